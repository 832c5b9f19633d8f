//! Which variants the template has, as its cargo-generate.toml says. No check lists them again. ci/parity,
//! which is in no workspace, has this file for a module, too: `crate::root` is there in both.

use std::collections::{BTreeMap, BTreeSet};

/// A value for each placeholder.
pub type Variant = BTreeMap<String, String>;

/// The values that are tried of what takes numbers: the edges and one between.
const NUMBERS: [(&str, [&str; 3]); 2] = [
    ("memory_mb", ["128", "256", "10240"]),
    ("ttl_seconds", ["1", "60", "86400"]),
];

/// What is asked, by its placeholders.
///
/// # Panics
/// Where cargo-generate.toml is none.
pub fn placeholders() -> toml::Table {
    let path = crate::root().join("template/cargo-generate.toml");
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{error}"));
    let config: toml::Table = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}"));
    config["placeholders"]
        .as_table()
        .cloned()
        .unwrap_or_default()
}

/// What there is without a flag.
pub fn defaults() -> Variant {
    let placeholders = placeholders().into_iter();
    let with_default = placeholders.filter_map(|(name, it)| {
        let default = it.get("default")?.as_str()?.to_string();
        Some((name, default))
    });
    with_default.collect()
}

/// The choices of each placeholder that has some.
pub fn choices() -> BTreeMap<String, Vec<String>> {
    let placeholders = placeholders().into_iter();
    let with_choices = placeholders.filter_map(|(name, it)| {
        let choices = it.get("choices")?.as_array()?.iter();
        let choices = choices.filter_map(toml::Value::as_str);
        Some((name, choices.map(String::from).collect()))
    });
    with_choices.collect()
}

/// Every combination of choices. Numbers take turns.
pub fn product() -> Vec<Variant> {
    let mut variants = combined(&choices());
    for (index, variant) in variants.iter_mut().enumerate() {
        for ((name, values), turn) in NUMBERS.into_iter().zip([index / 3, index / 9 + index]) {
            variant.insert(name.into(), values[turn % values.len()].into());
        }
    }
    variants
}

/// A few combinations that have every value, and every pair of the values of two placeholders.
pub fn pairwise() -> Vec<Variant> {
    let mut values = choices();
    values.extend(NUMBERS.map(|(name, edges)| (name.into(), edges.map(Into::into).into())));
    let all = combined(&values);
    let mut missing: BTreeSet<_> = all.iter().flat_map(pairs).collect();
    let mut chosen = Vec::new();
    while !missing.is_empty() {
        let new = |variant: &&Variant| pairs(variant).filter(|it| missing.contains(it)).count();
        let best = all.iter().max_by_key(new).cloned().unwrap_or_default();
        for pair in pairs(&best) {
            missing.remove(&pair);
        }
        chosen.push(best);
    }
    chosen
}

fn combined(values: &BTreeMap<String, Vec<String>>) -> Vec<Variant> {
    let mut variants = vec![Variant::new()];
    for (name, values) in values {
        let with = |variant: Variant| {
            values.iter().map(move |value| {
                let mut variant = variant.clone();
                variant.insert(name.clone(), value.clone());
                variant
            })
        };
        variants = variants.into_iter().flat_map(with).collect();
    }
    variants
}

fn pairs(variant: &Variant) -> impl Iterator<Item = [(String, String); 2]> {
    let values: Vec<_> = variant.clone().into_iter().collect();
    (0..values.len()).flat_map(move |one| {
        let values = values.clone();
        (one + 1..values.len()).map(move |other| [values[one].clone(), values[other].clone()])
    })
}

/// As a file of answers.
pub fn answers(variant: &Variant) -> String {
    let lines = variant.iter();
    lines
        .map(|(name, value)| format!("{name} = {value:?}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_variants_have_every_pair_and_all_have_every_combination() {
        let (product, few, choices) = (product(), pairwise(), choices());
        assert_eq!(
            product.len(),
            choices.values().map(Vec::len).product::<usize>()
        );
        assert!(few.len() < 16, "{few:?}");
        let pairs_of = |variants: &[Variant]| -> BTreeSet<_> {
            let only = |variant: &Variant| -> Variant {
                let all = variant.clone().into_iter();
                all.filter(|(name, _)| choices.contains_key(name)).collect()
            };
            variants
                .iter()
                .map(only)
                .flat_map(|it| pairs(&it).collect::<Vec<_>>())
                .collect()
        };
        assert_eq!(pairs_of(&few), pairs_of(&product));
    }
}
