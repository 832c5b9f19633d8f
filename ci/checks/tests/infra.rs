//! SAM and Terraform make the same things, with the same tunables. What would drift apart is
//! compared here, and the table of both in the docs is derived from them.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use checks::root;
use serde_json::{Map, Value, json};
use serde_yaml_ng as yaml;

/// Parameters that one of the two has alone: how the alias moves is said to each in its way, and Terraform finds
/// the subnets' VPC.
const SAM_ALONE: [&str; 2] = ["deployment_type", "shared_cache_vpc_id"];
/// SAM names things after its stack, and builds the function itself.
const TERRAFORM_ALONE: [&str; 4] = ["name", "package", "new_version_percent", "stable_version"];

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
            let terraform = ["main", "observability", "outputs", "shared", "variables"];
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

/// As both write it: SAM has no booleans and no lists, and Terraform's numbers may be floating.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) if list.is_empty() => String::new(),
        other => other.to_string(),
    }
}

/// Terraform's form of a value: a parameter is a variable.
fn in_terraform(value: &Value) -> Value {
    match value["!Ref"].as_str() {
        Some(parameter) => format!("${{var.{}}}", snake_case(parameter)).into(),
        None => value.clone(),
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
    // One, or several.
    let validation = variable.get("validation").unwrap_or(&Value::Null);
    let first = validation.get(0).unwrap_or(validation);
    let condition = text(first.get("condition").unwrap_or(&Value::Null));
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
    let action = regex::Regex::new("^[a-z0-9]+:[A-Z][A-Za-z]+$").unwrap();
    let name = regex::Regex::new("[A-Z]+(_[A-Z]+)+").unwrap();
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
            assert_eq!(in_terraform(ours), *theirs);
        }
        let variables = sam["Environment"]["Variables"].as_object().unwrap();
        // There some of them depend on others.
        let locals = &both.terraform["locals"];
        let theirs = &terraform["environment"]["variables"];
        let theirs = format!("{locals} {theirs}");
        let theirs: BTreeSet<_> = name.find_iter(&theirs).map(|name| name.as_str()).collect();
        assert_eq!(
            variables
                .keys()
                .map(String::as_str)
                .collect::<BTreeSet<_>>(),
            theirs
        );
        let role = &both.sam["Resources"]["Role"]["Properties"]["Policies"];
        let policy = &both.terraform["resource"]["aws_iam_role_policy"]["function"]["policy"];
        let mut allowed = vec![
            "dynamodb:BatchGetItem",
            "dynamodb:GetItem",
            "ec2:AssignPrivateIpAddresses",
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:UnassignPrivateIpAddresses",
            "elasticache:Connect",
            "kms:Decrypt",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
        ];
        if trigger == "direct" {
            allowed.extend(["sns:Publish", "sqs:SendMessage"]);
        }
        allowed.extend(["xray:PutTelemetryRecords", "xray:PutTraceSegments"]);
        for policy in [role.to_string(), policy.to_string()] {
            let quoted = policy.split(['"', '\\']);
            let actions: BTreeSet<_> = quoted
                .filter(|text| action.is_match(text) && *text != "kms:ViaService")
                .collect();
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
            alarm("NewVersionAlarm", "new_version"),
            alarm("LoadErrorAlarm", "load_errors"),
            alarm("DurationAlarm", "duration"),
            alarm("ThrottleAlarm", "throttles"),
        ] {
            for (ours, theirs) in [
                (&ours["ComparisonOperator"], &theirs["comparison_operator"]),
                (&ours["EvaluationPeriods"], &theirs["evaluation_periods"]),
                (&ours["TreatMissingData"], &theirs["treat_missing_data"]),
                (&ours["Threshold"], &theirs["threshold"]),
            ] {
                assert!(!ours.is_null());
                assert_eq!(in_terraform(ours), *theirs);
            }
            for (ours, theirs) in [
                (&ours["DatapointsToAlarm"], &theirs["datapoints_to_alarm"]),
                (&ours["MetricName"], &theirs["metric_name"]),
                (&ours["ExtendedStatistic"], &theirs["extended_statistic"]),
            ] {
                assert_eq!(ours, theirs);
            }
        }

        for (ours, theirs) in [
            alarm("ErrorAlarm", "errors"),
            alarm("NewVersionAlarm", "new_version"),
        ] {
            let (rate, query) = (&ours["Metrics"][0], &theirs["metric_query"]);
            assert_eq!(rate["Expression"], query["expression"]);
            assert_eq!(rate["Label"], query["label"]);
            // Terraform lists the metrics by what differs between them.
            let queries = theirs["dynamic"]["metric_query"].to_string();
            let metrics = &ours["Metrics"].as_array().unwrap()[1..];
            assert_eq!(metrics.len(), 3);
            for metric in metrics {
                let stat = &metric["MetricStat"];
                let every_minute = (&Value::from("Sum"), &Value::from(60));
                assert_eq!((&stat["Stat"], &stat["Period"]), every_minute);
                let dimensions = stat["Metric"]["Dimensions"].as_array().unwrap().iter();
                let dimensions = dimensions.map(|dimension| &dimension["Name"]);
                for name in dimensions.chain([&metric["Id"], &stat["Metric"]["MetricName"]]) {
                    let name = name.as_str().unwrap();
                    assert!(queries.contains(name), "{name}: {queries}");
                }
            }
            // What callers do wrong is Lambda's error with `direct`, and nobody's over HTTP.
            let (own, bad) = match trigger.as_str() {
                "direct" => ("ClientErrors", "errors - FILL(own, 0)"),
                _ => ("ServerErrors", "errors + FILL(own, 0)"),
            };
            assert!(text(&rate["Expression"]).contains(bad));
            assert_eq!(metrics[1]["MetricStat"]["Metric"]["MetricName"], own);
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
    for (pattern, longest) in [(sam, 130), (terraform, 255)] {
        let pattern = pattern.split('"').find(|part| part.starts_with('^'));
        let pattern = regex::Regex::new(pattern.unwrap()).unwrap();
        let arn = "arn:aws:dynamodb:eu-central-1:123456789012:table/a-1";
        for name in ["", "a-1", "My.Table_", &"a".repeat(longest), arn] {
            assert!(pattern.is_match(name), "{name}");
        }
        let index = format!("{arn}/index/b");
        for name in ["ab", "a table", "é-1", &"a".repeat(longest + 1), &index] {
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
    // Of it there is no room for more than whether there is one.
    assert!(used.remove("SharedCache"));
    used.retain(|name| parameters.contains_key(name));
    named.retain(|name| parameters.contains_key(name));
    assert_eq!(used, named);
    assert!(named.contains("CacheEnabled"));
    // What is longer than 256 characters is refused when it is deployed.
    let longest = |name: &str| match name {
        "ExistingTableName" => 130,
        "Level" => "one".len(),
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

/// What CloudFormation gets of the template, by the translator that SAM itself runs.
fn translated(trigger: &str) -> Map<String, Value> {
    let folder = tempfile::tempdir().unwrap();
    let workspace = checks::render(folder.path(), "my-sam", &["--trigger", trigger]);
    let output = Command::new(root().join("target/ci/python/bin/python"))
        .arg(root().join("ci/translate.py"))
        .arg(workspace.join("infra/sam/template.yaml"))
        .output()
        .expect("ci/setup installs the translator");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let template: Value = serde_json::from_slice(&output.stdout).unwrap();
    template["Resources"].as_object().unwrap().clone()
}

#[test]
fn what_sam_makes_of_the_template_keeps_the_version_before_and_adds_no_role() {
    for trigger in triggers() {
        let resources = translated(&trigger);
        let of_type = |wanted: &str| {
            let found = resources.iter().filter(|(_, it)| it["Type"] == wanted);
            found.collect::<Vec<_>>()
        };
        let [(_, version)] = of_type("AWS::Lambda::Version")[..] else {
            panic!("one version");
        };
        // Of a version that is replaced, and of one that is no more in the template.
        assert_eq!(version["UpdateReplacePolicy"], "Retain");
        assert_eq!(version["DeletionPolicy"], "Retain");
        let function = &resources["Function"];
        assert!(
            function.get("DeletionPolicy").is_none(),
            "it goes with the stack"
        );
        let roles = of_type("AWS::IAM::Role");
        let roles: Vec<_> = roles.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(roles, ["DeploymentRole", "Role"]);
        for (name, role) in of_type("AWS::IAM::Role") {
            let properties = &role["Properties"];
            assert!(properties["PermissionsBoundary"].is_object(), "{name}");
            assert!(properties["Path"].is_object(), "{name}");
        }
        let [(_, alias)] = of_type("AWS::Lambda::Alias")[..] else {
            panic!("one alias");
        };
        assert!(alias["Properties"]["ProvisionedConcurrencyConfig"]["Fn::If"].is_array());
        // SAM takes apart what it knows, and has lost conditions on the way.
        for lost in ["VpcConfig", "KmsKeyArn", "ReservedConcurrentExecutions"] {
            assert!(function["Properties"][lost]["Fn::If"].is_array(), "{lost}");
        }
        if trigger == "direct" {
            let asynchronous = &resources["AsynchronousInvocations"]["Properties"];
            assert!(asynchronous["DestinationConfig"]["Fn::If"].is_array());
        }
    }
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
