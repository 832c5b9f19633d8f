//! A lint for liquid templates: cargo-generate renders what it does not know as nothing, and
//! copies a file that it cannot parse as it is, both without a word.

use std::collections::BTreeSet;

use regex::Regex;

/// What is wrong with a template, one sentence each.
///
/// `declared` are the names of the placeholders.
pub fn lint(template: &str, declared: &BTreeSet<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    let tag = pattern(r"(?s)\{%-?\s*(.*?)\s*-?%\}|\{\{-?\s*(.*?)\s*-?\}\}");
    let word = pattern(r#""[^"]*"|'[^']*'|[A-Za-z_][A-Za-z0-9_-]*"#);
    let keywords = [
        "if",
        "elsif",
        "else",
        "endif",
        "unless",
        "endunless",
        "case",
        "when",
        "endcase",
        "raw",
        "endraw",
        "and",
        "or",
        "contains",
    ];
    let (mut raw, mut end) = (false, 0);
    for found in tag.captures_iter(template) {
        let whole = found.get_match();
        let line = template[..whole.start()].matches('\n').count() + 1;
        end = whole.end();
        match (found.get(1), found.get(2)) {
            (Some(statement), _) if statement.as_str() == "raw" => raw = true,
            (Some(statement), _) if statement.as_str() == "endraw" => raw = false,
            _ if raw => {}
            (_, Some(_)) if template[..whole.start()].ends_with('$') => {
                wrong.push(format!(
                    "line {line}: ${} outside a raw block",
                    whole.as_str()
                ));
            }
            (statement, value) => {
                let text = statement.or(value).map_or("", |text| text.as_str());
                // A filter's name is none of a variable.
                let expression = text.split('|').next().unwrap_or_default();
                for name in word.find_iter(expression).map(|name| name.as_str()) {
                    let is_text = name.starts_with(['"', '\'']);
                    let is_keyword = statement.is_some() && keywords.contains(&name);
                    if !is_text && !is_keyword && !declared.contains(name) {
                        wrong.push(format!("line {line}: `{name}` is not declared"));
                    }
                }
            }
        }
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
        lint(template, &["arch", "project-name"].map(String::from).into())
    }

    #[test]
    fn a_right_template_passes() {
        let right = r#"{{project-name | kebab_case}} {% if arch == "arm64" %}a{% else %}b{% endif %}
            {% case arch %}{% when "arm64" %}a{% endcase %}
            {% raw %}${{ github.ref }}{% endraw %} ${NAME} {x}"#;
        assert_eq!(wrong(right), [""; 0]);
    }

    #[test]
    fn what_is_not_declared_is_found_also_in_a_branch_that_is_not_taken() {
        assert_eq!(
            wrong("a\n{{ project_name }}"),
            ["line 2: `project_name` is not declared"]
        );
        let branch = r#"{% if architecture == "x" %}{{ memory }}{% endif %}"#;
        assert_eq!(wrong(branch).len(), 2);
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
    }

    #[test]
    fn a_tag_that_was_not_rendered_is_found() {
        assert_eq!(
            unrendered("a ${{ b }}\n{{c}}\n{% d %}"),
            ["{{c}}", "{% d %}"]
        );
    }
}
