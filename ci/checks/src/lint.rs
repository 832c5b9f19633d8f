//! A lint for liquid templates: cargo-generate renders what it does not know as nothing, and
//! copies a file that it cannot parse as it is, both without a word.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

/// What is wrong with a template, one sentence each.
///
/// `placeholders` are those that are declared, with their choices where they have some. A branch is a
/// `case` that names each of them: what a new one is for is then asked here, and not answered by an
/// `else` that was written for another.
pub fn lint(template: &str, placeholders: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut wrong = Vec::new();
    let tag = pattern(r"(?s)\{%-?\s*(.*?)\s*-?%\}|\{\{-?\s*([^{}]*?)\s*-?\}\}");
    let word = pattern(r#""[^"]*"|[A-Za-z_][A-Za-z0-9_-]*"#);
    let mut known: BTreeSet<&str> = placeholders.keys().map(String::as_str).collect();
    // The choices that a `case` has not named yet.
    let mut cases: Vec<(&str, BTreeSet<&str>)> = Vec::new();
    let (mut raw, mut end) = (false, 0);
    for found in tag.captures_iter(template) {
        let whole = found.get_match();
        let line = template[..whole.start()].matches('\n').count() + 1;
        let mut tell = |what: String| wrong.push(format!("line {line}: {what}"));
        let between = &template[end..whole.start()];
        if !raw && (between.contains("{{") || between.contains("{%")) {
            tell("a tag before it is not closed".into());
        }
        end = whole.end();
        let (statement, value) = (found.get(1), found.get(2));
        let text = statement.or(value).map_or("", |text| text.as_str());
        // A filter's name is none of a variable.
        let mut words = word.find_iter(text.split('|').next().unwrap_or_default());
        let mut next = || words.next().map(|word| word.as_str());
        match (statement.and_then(|_| next()), raw) {
            (Some("raw"), _) => raw = true,
            (Some("endraw"), _) => raw = false,
            (_, true) => {}
            (Some("case"), _) => {
                let name = next().unwrap_or_default();
                let choices = placeholders.get(name).into_iter().flatten();
                cases.push((name, choices.map(String::as_str).collect()));
            }
            (Some("when"), _) => {
                let (name, left) = cases
                    .last_mut()
                    .map_or(("", None), |(name, left)| (*name, Some(left)));
                let Some(left) = left else { continue };
                for choice in std::iter::from_fn(next).filter(|word| *word != "or") {
                    if !left.remove(choice.trim_matches('"')) {
                        tell(format!(
                            "{choice} is no choice of `{name}`, or named before"
                        ));
                    }
                }
            }
            (Some("endcase"), _) => {
                let (name, left) = cases.pop().unwrap_or_default();
                for choice in left {
                    tell(format!(
                        "this case of `{name}` does not say what is for {choice:?}"
                    ));
                }
            }
            (Some("assign"), _) => {
                let name = next();
                for used in std::iter::from_fn(next).filter(|word| !word.starts_with('"')) {
                    if !known.contains(used) {
                        tell(format!("`{used}` is not declared"));
                    }
                }
                known.extend(name);
            }
            (Some(other), _) => tell(format!("`{other}`: a branch is a `case` with all choices")),
            (None, _) if template[..whole.start()].ends_with('$') => {
                tell(format!("${} outside a raw block", whole.as_str()));
            }
            (None, _) => {
                let name = next().unwrap_or_default();
                if !known.contains(name) {
                    tell(format!("`{name}` is not declared"));
                }
            }
        }
    }
    for (name, _) in cases {
        wrong.push(format!("a case of `{name}` is not closed"));
    }
    if raw {
        wrong.push("a raw block is not closed".into());
    }
    if template[end..].contains("{{") || template[end..].contains("{%") {
        wrong.push("a tag is not closed".into());
    }
    wrong
}

/// The tags that a rendered file still has. GitHub's `${{ ... }}` are none.
pub fn unrendered(file: &str) -> Vec<&str> {
    let tag = pattern(r"(?:^|[^$])(\{\{|\{%)");
    tag.captures_iter(file)
        .filter_map(|found| file[found.get(1)?.start()..].lines().next())
        .collect()
}

fn pattern(pattern: &str) -> Regex {
    // Literals of this file, used by its tests.
    Regex::new(pattern).unwrap_or_else(|error| panic!("{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(template: &str) -> Vec<String> {
        let choices = ["arm64", "x86_64"].map(String::from).to_vec();
        let placeholders = [("arch", choices), ("project-name", Vec::new())];
        lint(
            template,
            &placeholders.map(|(name, it)| (name.into(), it)).into(),
        )
    }

    #[test]
    fn a_right_template_passes() {
        let right = r#"{%- case arch %}{% when "arm64" %}{% assign bits = "64" %}{% when "x86_64" %}{% assign bits = "x" %}
            {%- endcase %}{{project-name | upcase}} {{bits}}
            {% case arch %}{% when "arm64" or "x86_64" %}a{% endcase %}
            {% raw %}${{ github.ref }}{% endraw %} ${NAME} {x}"#;
        assert_eq!(wrong(right), [""; 0]);
    }

    #[test]
    fn a_branch_that_does_not_name_each_choice_is_found() {
        for (template, said) in [
            (
                r#"{% case arch %}{% when "arm64" %}a{% endcase %}"#,
                "does not say what is for \"x86_64\"",
            ),
            (
                r#"{% case arch %}{% when "arm64" or "mips" or "x86_64" %}a{% endcase %}"#,
                "\"mips\" is no choice",
            ),
            (
                r#"{% case arch %}{% when "arm64" %}{% else %}a{% endcase %}"#,
                "`else`: a branch",
            ),
            (r#"{% if arch == "arm64" %}a{% endif %}"#, "`if`: a branch"),
        ] {
            assert!(wrong(template)[0].contains(said), "{:?}", wrong(template));
        }
    }

    #[test]
    fn what_is_not_declared_is_found_also_in_a_branch_that_is_not_taken() {
        assert_eq!(
            wrong("a\n{{ project_name }}"),
            ["line 2: `project_name` is not declared"]
        );
        let branch =
            r#"{% case arch %}{% when "arm64" %}{{ memory }}{% when "x86_64" %}{% endcase %}"#;
        assert_eq!(wrong(branch), ["line 1: `memory` is not declared"]);
    }

    #[test]
    fn an_expression_for_github_is_found_outside_a_raw_block() {
        assert_eq!(
            wrong("${{ arch }}"),
            ["line 1: ${{ arch }} outside a raw block"]
        );
    }

    #[test]
    fn what_is_not_closed_is_found() {
        assert_eq!(wrong("{% raw %}"), ["a raw block is not closed"]);
        assert_eq!(wrong("{{ arch }"), ["a tag is not closed"]);
        assert_eq!(wrong("{{ arch } {{ arch }}").len(), 1);
        assert_eq!(
            wrong("{% case start %}"),
            ["a case of `start` is not closed"]
        );
    }

    #[test]
    fn a_tag_that_was_not_rendered_is_found() {
        assert_eq!(
            unrendered("a ${{ b }}\n{{c}}\n{% d %}"),
            ["{{c}}", "{% d %}"]
        );
    }
}
