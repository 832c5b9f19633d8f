//! Prints the variants that `ci/variants` checks: `name=value` for each placeholder, one a line.

fn main() {
    for variant in checks::variants::pairwise() {
        let values = variant
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        println!("{}", values.collect::<Vec<_>>().join(" "));
    }
}
