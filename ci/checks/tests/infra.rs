//! SAM and Terraform make the same things, with the same tunables. What would drift apart is
//! compared here, and the table of both in the docs is derived from them.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use checks::root;
use serde_json::{Map, Value, json};
use serde_yaml_ng as yaml;

/// Parameters that one of the two has alone: Terraform moves an alias at once.
const SAM_ALONE: [&str; 1] = ["deployment_type"];
/// SAM names things after its stack, and builds the function itself.
const TERRAFORM_ALONE: [&str; 2] = ["name", "package"];

/// Both renderings of the same answers.
struct Both {
    sam: Value,
    terraform: Value,
    sam_readme: String,
    terraform_readme: String,
}

fn triggers() -> Vec<String> {
    checks::variants::choices().remove("trigger").unwrap()
}

impl Both {
    fn render(trigger: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let render = |iac| {
            let name = format!("my-{iac}");
            let workspace =
                checks::render(folder.path(), &name, &["--trigger", trigger, "--iac", iac]);
            let text = |path: &str| fs::read_to_string(workspace.join(path)).unwrap_or_default();
            let terraform = ["main", "observability", "outputs", "variables"];
            let terraform = terraform
                .map(|file| text(&format!("infra/terraform/{file}.tf")))
                .join("\n");
            (
                text("infra/sam/template.yaml"),
                terraform,
                text("README.md"),
            )
        };
        let (sam, _, sam_readme) = render("sam");
        let (_, terraform, terraform_readme) = render("terraform");
        Both {
            sam: plain(yaml::from_str(&sam).unwrap()),
            terraform: hcl::from_str(&terraform).unwrap(),
            sam_readme,
            terraform_readme,
        }
    }

    fn parameters(&self) -> BTreeMap<String, &Map<String, Value>> {
        let parameters = self.sam["Parameters"].as_object().unwrap();
        let parameters = parameters.iter();
        parameters
            .map(|(name, it)| (snake_case(name), it.as_object().unwrap()))
            .collect()
    }

    fn variables(&self) -> BTreeMap<String, &Map<String, Value>> {
        let variables = self.terraform["variable"].as_object().unwrap();
        variables
            .iter()
            .map(|(name, it)| (name.clone(), it.as_object().unwrap()))
            .collect()
    }
}

/// YAML as JSON, with CloudFormation's short forms as `{"!Sub": ...}`.
fn plain(value: yaml::Value) -> Value {
    match value {
        yaml::Value::Tagged(tagged) => {
            let mut function = Map::new();
            function.insert(tagged.tag.to_string(), plain(tagged.value));
            Value::Object(function)
        }
        yaml::Value::Mapping(mapping) => {
            let entries = mapping.into_iter();
            let entries =
                entries.map(|(key, value)| (key.as_str().unwrap().to_string(), plain(value)));
            Value::Object(entries.collect())
        }
        yaml::Value::Sequence(list) => list.into_iter().map(plain).collect(),
        scalar => serde_json::to_value(scalar).unwrap(),
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// As both write it: SAM has no booleans, and Terraform's numbers may be floating.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What `value` refers to, in whatever depth: the names after `!Ref`, and those in a `!Sub`.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        Value::Object(fields) => {
            for (key, value) in fields {
                // With variables of its own it is a list, the text first.
                let text = value.get(0).unwrap_or(value).as_str();
                match (key.as_str(), text) {
                    ("!Ref", Some(name)) => drop(found.insert(name.into())),
                    ("!Sub", Some(text)) => {
                        references(&value[1], found);
                        let names = text.split("${").skip(1);
                        found.extend(names.filter_map(|name| Some(name.split_once('}')?.0.into())));
                    }
                    _ => references(value, found),
                }
            }
        }
        _ => {}
    }
}

#[test]
fn the_tunables_are_the_same_with_the_same_defaults_and_words() {
    for trigger in triggers() {
        let both = Both::render(&trigger);
        let (mut parameters, mut variables) = (both.parameters(), both.variables());
        assert!(
            SAM_ALONE
                .iter()
                .all(|name| parameters.remove(*name).is_some())
        );
        assert!(
            TERRAFORM_ALONE
                .iter()
                .all(|name| variables.remove(*name).is_some())
        );
        let names = |map: &BTreeMap<String, _>| map.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&parameters), names(&variables));
        for (name, parameter) in parameters {
            let variable = variables[&name];
            assert_eq!(
                text(&parameter["Default"]),
                text(&variable["default"]),
                "{name}"
            );
            assert_eq!(parameter["Description"], variable["description"], "{name}");
            check_limits(&name, parameter, variable);
        }
    }
}

/// Each limit of a parameter stands in the variable's condition.
fn check_limits(name: &str, parameter: &Map<String, Value>, variable: &Map<String, Value>) {
    let condition = variable
        .get("validation")
        .map(|validation| text(&validation["condition"]));
    let condition = condition.unwrap_or_default();
    let is_bool = text(&variable["type"]).contains("bool");
    let mut limits: Vec<String> = ["MinValue", "MaxValue", "AllowedPattern"]
        .iter()
        .filter_map(|limit| parameter.get(*limit).map(text))
        .collect();
    if !is_bool && let Some(values) = parameter.get("AllowedValues") {
        limits.extend(values.as_array().unwrap().iter().map(text));
    }
    if name == "existing_table_name" {
        // A test of its own has its lengths, which differ.
        limits.clear();
    }
    for limit in limits {
        assert!(
            condition.contains(&limit),
            "{name}: {limit} is not in {condition}"
        );
    }
}

#[test]
fn the_function_and_what_it_may_do_are_the_same() {
    for trigger in triggers() {
        let both = Both::render(&trigger);
        let sam = &both.sam["Resources"]["Function"]["Properties"];
        let terraform = &both.terraform["resource"]["aws_lambda_function"]["function"];
        for (ours, theirs) in [
            (&sam["Handler"], &terraform["handler"]),
            (&sam["Runtime"], &terraform["runtime"]),
            (&sam["Timeout"], &terraform["timeout"]),
            (&sam["Architectures"], &terraform["architectures"]),
            (&sam["Tracing"], &terraform["tracing_config"]["mode"]),
            (
                &sam["LoggingConfig"]["LogFormat"],
                &terraform["logging_config"]["log_format"],
            ),
            (
                &sam["LoggingConfig"]["ApplicationLogLevel"],
                &terraform["logging_config"]["application_log_level"],
            ),
        ] {
            assert!(!ours.is_null());
            assert_eq!(ours, theirs);
        }
        let names = |variables: &Value| {
            variables
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(
            names(&sam["Environment"]["Variables"]),
            names(&terraform["environment"]["variables"])
        );
        let role = &both.sam["Resources"]["Role"]["Properties"]["Policies"];
        let policy = &both.terraform["resource"]["aws_iam_role_policy"]["function"]["policy"];
        let allowed = [
            "dynamodb:BatchGetItem",
            "dynamodb:GetItem",
            "kms:Decrypt",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
            "xray:PutTelemetryRecords",
            "xray:PutTraceSegments",
        ];
        for policy in [role.to_string(), policy.to_string()] {
            let quoted = policy.split(['"', '\\']);
            let actions = quoted.filter(|text| {
                ["dynamodb:", "logs:", "xray:", "kms:"]
                    .iter()
                    .any(|service| text.starts_with(service))
            });
            let actions: BTreeSet<_> = actions.filter(|text| *text != "kms:ViaService").collect();
            assert_eq!(actions.into_iter().collect::<Vec<_>>(), allowed);
        }
    }
}

#[test]
fn the_alarms_are_the_same() {
    for trigger in triggers() {
        let both = Both::render(&trigger);
        let alarm = |ours: &str, theirs: &str| {
            let ours = &both.sam["Resources"][ours]["Properties"];
            let theirs = &both.terraform["resource"]["aws_cloudwatch_metric_alarm"][theirs];
            (ours, theirs)
        };
        for (ours, theirs) in [
            alarm("ErrorAlarm", "errors"),
            alarm("LoadErrorAlarm", "load_errors"),
        ] {
            for (ours, theirs) in [
                (&ours["ComparisonOperator"], &theirs["comparison_operator"]),
                (&ours["EvaluationPeriods"], &theirs["evaluation_periods"]),
                (&ours["DatapointsToAlarm"], &theirs["datapoints_to_alarm"]),
                (&ours["TreatMissingData"], &theirs["treat_missing_data"]),
            ] {
                assert!(!ours.is_null());
                assert_eq!(ours, theirs);
            }
        }

        let (ours, theirs) = alarm("ErrorAlarm", "errors");
        let (rate, query) = (&ours["Metrics"][0], &theirs["metric_query"]);
        assert_eq!(rate["Expression"], query["expression"]);
        assert_eq!(rate["Label"], query["label"]);
        // Terraform lists the metrics by what differs between them.
        let queries = theirs["dynamic"]["metric_query"].to_string();
        let metrics = &ours["Metrics"].as_array().unwrap()[1..];
        assert_eq!(metrics.len(), 2);
        for metric in metrics {
            let stat = &metric["MetricStat"];
            assert_eq!(
                (&stat["Stat"], &stat["Period"]),
                (&Value::from("Sum"), &Value::from(60))
            );
            for name in [&metric["Id"], &stat["Metric"]["MetricName"]] {
                assert!(
                    queries.contains(name.as_str().unwrap()),
                    "{name}: {queries}"
                );
            }
        }

        // Of all caches together: a kind that is added is in it, and none is named.
        let (ours, theirs) = alarm("LoadErrorAlarm", "load_errors");
        for (ours, theirs) in [
            (&ours["MetricName"], &theirs["metric_name"]),
            (&ours["Statistic"], &theirs["statistic"]),
            (&ours["Period"], &theirs["period"]),
        ] {
            assert!(!ours.is_null());
            assert_eq!(ours, theirs);
        }
        assert_eq!(ours["MetricName"], "CacheLoadErrors");
        let function = json!({"!Ref": "Function"});
        assert_eq!(ours["Namespace"], function);
        assert_eq!(
            ours["Dimensions"],
            json!([{"Name": "FunctionName", "Value": function}])
        );
        assert_eq!(theirs["namespace"], "${local.name}");
        assert_eq!(
            theirs["dimensions"],
            json!({"FunctionName": "${local.name}"})
        );
        assert_eq!(ours["Threshold"], json!({"!Ref": "LoadErrorsPerMinute"}));
        assert_eq!(theirs["threshold"], "${var.load_errors_per_minute}");
        assert!(ours.get("Metrics").is_none());
        assert!(theirs.get("metric_query").is_none() && theirs.get("dynamic").is_none());
    }
}

/// As DynamoDB has them, but for SAM, where a version's description has to hold the name.
#[test]
fn an_existing_table_may_have_any_name_that_a_table_may_have() {
    let both = Both::render("direct");
    let sam = text(&both.parameters()["existing_table_name"]["AllowedPattern"]);
    let terraform = text(&both.variables()["existing_table_name"]["validation"]["condition"]);
    for (pattern, longest) in [(sam, 150), (terraform, 255)] {
        let pattern = pattern.split('"').find(|part| part.starts_with('^'));
        let pattern = regex::Regex::new(pattern.unwrap()).unwrap();
        for name in ["", "a-1", "My.Table_", &"a".repeat(longest)] {
            assert!(pattern.is_match(name), "{name}");
        }
        for name in ["ab", "a table", "é-1", &"a".repeat(longest + 1)] {
            assert!(!pattern.is_match(name), "{name}");
        }
    }
}

#[test]
fn the_dashboard_is_the_same() {
    for trigger in triggers() {
        let both = Both::render(&trigger);
        let ours = &both.sam["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["!Sub"][0];
        let theirs =
            &both.terraform["resource"]["aws_cloudwatch_dashboard"]["caches"]["dashboard_body"];
        let theirs = theirs.as_str().unwrap();
        let theirs = theirs
            .replace("${local.name}", "${Function}")
            .replace("${local.region}", "${Region}");
        let ours = ours.as_str().unwrap().replace("${!", "$${");
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(json(&ours), json(&theirs));
    }
}

/// SAM publishes a version when its description changes, and does not see the values of parameters.
#[test]
fn every_parameter_that_changes_the_function_publishes_a_version() {
    let both = Both::render("function-url");
    let function = both.sam["Resources"]["Function"]["Properties"]
        .as_object()
        .unwrap();
    let (mut used, mut named) = (BTreeSet::new(), BTreeSet::new());
    for (property, value) in function {
        // These are no part of a version, or have no room there.
        if ![
            "ReservedConcurrentExecutions",
            "DeploymentPreference",
            "ProvisionedConcurrencyConfig",
            "VersionDescription",
            "VpcConfig",
        ]
        .contains(&property.as_str())
        {
            references(value, &mut used);
        }
    }
    references(&function["VersionDescription"], &mut named);
    let parameters = both.sam["Parameters"].as_object().unwrap();
    used.retain(|name| parameters.contains_key(name));
    assert_eq!(used, named);
    assert!(named.contains("CacheEnabled"));
    // What is longer than 256 characters is refused when it is deployed.
    let longest = |name: &str| match name {
        "ExistingTableName" => 130,
        "TtlPolicy" => "immutable".len(),
        // The last part of its ARN.
        "Key" => 36,
        _ => 5,
    };
    let description = text(&function["VersionDescription"]["!Sub"][0]);
    let name = regex::Regex::new(r"\$\{(.+?)\}").unwrap();
    let longest = name.replace_all(&description, |found: &regex::Captures| {
        "x".repeat(longest(&found[1]))
    });
    assert!(longest.len() <= 256, "{longest}");
}

#[test]
fn the_dashboards_address_is_that_of_its_partition() {
    let both = Both::render("direct");
    let consoles = both.sam["Mappings"]["Partitions"].as_object().unwrap();
    assert_eq!(consoles.len(), 3);
    let theirs = both.terraform["locals"][0]["console"].as_str().unwrap();
    let theirs = theirs.split_whitespace().collect::<String>();
    for (partition, it) in consoles {
        let console = it["Console"].as_str().unwrap();
        assert!(
            theirs.contains(&format!("{partition}=\"{console}\"")),
            "{theirs}"
        );
    }
}

#[test]
fn each_readme_lists_every_tunable() {
    for trigger in triggers() {
        let both = Both::render(&trigger);
        for name in both.sam["Parameters"].as_object().unwrap().keys() {
            assert!(both.sam_readme.contains(&format!("| `{name}` |")), "{name}");
        }
        for name in both
            .variables()
            .keys()
            .filter(|name| !TERRAFORM_ALONE.contains(&name.as_str()))
        {
            assert!(
                both.terraform_readme.contains(&format!("| `{name}` |")),
                "{name}"
            );
        }
    }
}

#[test]
fn the_docs_show_both_side_by_side() {
    let both = Both::render("direct");
    let mut table = String::from("| SAM | Terraform | default | what |\n|---|---|---|---|\n");
    for (name, parameter) in both.sam["Parameters"].as_object().unwrap() {
        let snake = snake_case(name);
        let theirs = if SAM_ALONE.contains(&snake.as_str()) {
            "-".into()
        } else {
            format!("`{snake}`")
        };
        let default = match text(&parameter["Default"]).as_str() {
            "" => "empty".to_string(),
            default => format!("`{default}`"),
        };
        let what = text(&parameter["Description"]);
        table += &format!("| `{name}` | {theirs} | {default} | {what} |\n");
    }
    let docs = fs::read_to_string(root().join(Path::new("docs/src/infrastructure.md"))).unwrap();
    assert!(docs.contains(&table), "the table should be\n\n{table}");
}
