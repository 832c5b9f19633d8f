//! `add function`: what comes into a workspace, and what is refused. That it builds, and that the linters and Terraform have
//! nothing to say, `ci/checks/tests/function.rs` and `ci/variants` show.

use std::fs;
use std::path::{Path, PathBuf};

use snapbox::{assert_data_eq, str};

use crate::add::{commit, git, tree};
use crate::{fails, succeeds};

fn workspace(folder: &Path, flags: &[&str]) -> PathBuf {
    let new = ["new", "my-quotes", "--vcs", "none", "--quiet"];
    succeeds(folder, &[&new, flags].concat());
    let workspace = folder.join("my-quotes");
    commit(&workspace);
    workspace
}

#[test]
fn a_function_with_sam_is_a_crate_and_marked_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = workspace(folder.path(), &[]);
    let before = fs::read_to_string(workspace.join("infra/sam/template.yaml")).unwrap();
    let (_, said) = succeeds(
        &workspace.join("handler"),
        &["add", "function", "PriceList", "--trigger", "http-api"],
    );
    assert_data_eq!(
        said,
        str![[r#"
  edit   Cargo.toml
  edit   infra/deploy-role.yaml
  edit   infra/sam/template.yaml
  add    price-list/Cargo.toml
  add    price-list/src/domain.rs
  add    price-list/src/http/routes/mod.rs
  add    price-list/src/lambda.rs
  add    price-list/src/lib.rs
  add    price-list/src/main.rs
  add    price-list/tests/generic/function.rs
  add    price-list/tests/generic/loader.rs
  add    price-list/tests/generic/mod.rs
  add    price-list/tests/minimal.rs
  add    price-list/tests/support/mod.rs
  add    samples/minimal/items.json
  add    samples/minimal/request.json
added the function price-list

next:
  cargo test --package price-list

"#]]
    );
    let after = fs::read_to_string(workspace.join("infra/sam/template.yaml")).unwrap();
    // Without what is between the marks, and the empty lines around them, it is what it was.
    let mut is_between = false;
    let rest = after.lines().filter(|line| {
        let begins = line.contains("# >>> ");
        let ends = line.contains("# <<< ");
        is_between |= begins;
        let is_kept = !is_between;
        is_between &= !ends;
        is_kept
    });
    let lines = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| !line.is_empty())
            .map(String::from)
            .collect()
    };
    assert_eq!(lines(&rest.collect::<Vec<_>>().join("\n")), lines(&before));
    assert_eq!(
        after
            .matches("# >>> http-api: by `cached-lambda add function`")
            .count(),
        3
    );
    assert_eq!(
        after
            .matches("# >>> price-list: by `cached-lambda add function`")
            .count(),
        2
    );
    for line in [
        "  PriceListFunction:",
        "        Binary: price-list",
        "      Role: !GetAtt PriceListRole.Arn",
        "      IntegrationUri: !Ref PriceListFunction.Alias",
        "      Name: !Sub \"${AWS::StackName}-price-list\"",
        "  PriceListApiUrl:",
        "  JwtIssuer:",
        "  TakeTokens: !Not [!Equals [!Ref JwtIssuer, \"\"]]",
        "  TokensAreForSomebody:",
    ] {
        assert!(after.lines().any(|it| it == line), "{line}");
    }
    assert!(!after.contains("PriceListDashboard") && !after.contains("PriceListTable"));
    let main = fs::read_to_string(workspace.join("price-list/src/main.rs")).unwrap();
    assert!(
        main.contains("use price_list::{") && !main.contains("handler::"),
        "{main}"
    );
    let manifest = fs::read_to_string(workspace.join("Cargo.toml")).unwrap();
    assert!(
        manifest.contains("members = [\"cache-core\", \"handler\", \"price-list\"]"),
        "{manifest}"
    );
    let lock = fs::read_to_string(workspace.join("Cargo.lock")).unwrap();
    assert!(lock.contains("name = \"price-list\""));

    // One more, of the first one's trigger: nothing of the parameters is missing now.
    commit(&workspace);
    let (json, _) = succeeds(
        &workspace,
        &["add", "function", "audit", "--start", "quote", "--json"],
    );
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&report["function"], &report["trigger"], &report["start"]),
        (&"audit".into(), &"direct".into(), &"quote".into())
    );
    let after = fs::read_to_string(workspace.join("infra/sam/template.yaml")).unwrap();
    assert_eq!(
        after.matches("# >>> audit").count(),
        2,
        "resources and outputs"
    );
    assert!(!workspace.join("audit/examples").exists());
}

#[test]
fn a_function_with_terraform_is_a_crate_and_a_file_in_each_stage() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = workspace(folder.path(), &["--iac", "terraform"]);
    let infra = |path: &str| workspace.join("infra/terraform").join(path);
    succeeds(&workspace, &["add", "function", "price"]);
    for (stage, name) in [
        ("production", "my-quotes-price"),
        ("test", "my-quotes-test-price"),
    ] {
        let file = fs::read_to_string(infra(&format!("stages/{stage}/price.tf"))).unwrap();
        assert!(
            file.contains(&format!("= \"{name}\"")) && file.contains("source = \"../..\""),
            "{file}"
        );
    }
    assert!(!infra("price").exists());
    commit(&workspace);
    succeeds(
        &workspace,
        &[
            "add",
            "function",
            "page",
            "--trigger",
            "function-url",
            "--start",
            "minimal",
        ],
    );
    let file = fs::read_to_string(infra("stages/test/page.tf")).unwrap();
    assert!(file.contains("source = \"../../page\""), "{file}");
    let module = fs::read_to_string(infra("page/main.tf")).unwrap();
    assert!(module.contains("aws_lambda_function_url"));
    assert!(!infra("page/stages").exists() && !infra("page/tests").exists());
}

/// What a stage has of its own is the second function's, too, and the role that deploys may make what its trigger has.
#[test]
fn a_function_has_its_stages_settings_and_may_be_deployed() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = workspace(folder.path(), &["--iac", "terraform"]);
    let stage = workspace.join("infra/terraform/stages/test");
    fs::write(stage.join("../README.md"), "ours\n").unwrap();
    let main = fs::read_to_string(stage.join("main.tf")).unwrap();
    // One of another trigger, one that costs, a value with lines that look like arguments, and a comment.
    let settings = "  retry_attempts      = 1\n  kms_key_arn         = local.key\n  shared_cache        = \"new\"\n  # Ours.\n  \
                    subnet_ids = [\n    \"a\",\n  ]\n  role_path           = jsonencode({\n    name = \"a\"\n  })\n";
    let at = "  package             = var.package\n";
    fs::write(
        stage.join("main.tf"),
        main.replace(at, &format!("{at}{settings}")),
    )
    .unwrap();
    commit(&workspace);
    let (_, said) = succeeds(
        &workspace,
        &["add", "function", "page", "--trigger", "http-api"],
    );
    assert!(said.contains("note: of infra/terraform/stages/test/main.tf the second function has not: retry_attempts, shared_cache"), "{said}");
    let page = fs::read_to_string(stage.join("page.tf")).unwrap();
    let expected = "\n\n  kms_key_arn = local.key\n  subnet_ids = [\n    \"a\",\n  ]\n  role_path = jsonencode({\n    name = \
                    \"a\"\n  })\n  existing_table_key_arn = local.key\n}\n";
    assert!(page.contains(expected), "{page}");
    let role = fs::read_to_string(workspace.join("infra/deploy-role.yaml")).unwrap();
    assert!(role.contains("Action: apigateway:*"));
    // Where its owner changed the same place, it is said.
    git(&workspace, &["checkout", "--quiet", "."]);
    git(&workspace, &["clean", "--quiet", "--force", "-d"]);
    let ours = role.replace("Action: apigateway:*", "Action: ours:*");
    fs::write(workspace.join("infra/deploy-role.yaml"), ours).unwrap();
    commit(&workspace);
    let (_, said) = succeeds(
        &workspace,
        &["add", "function", "page", "--trigger", "http-api"],
    );
    assert!(
        said.contains("infra/deploy-role.yaml could not be merged: let the role"),
        "{said}"
    );
}

#[test]
fn a_function_is_added_to_a_workspace_of_today_alone_and_takes_nobodys_name() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = workspace(folder.path(), &[]);
    let record = workspace.join("cached-lambda.toml");
    let text = fs::read_to_string(&record).unwrap();
    let add = ["add", "function", "price", "--allow-dirty"];
    fs::write(
        &record,
        text.replace("template-hash = \"", "template-hash = \"0"),
    )
    .unwrap();
    let (error, _) = fails(&workspace, &add);
    assert!(
        error.contains("tip: `cached-lambda upgrade` first"),
        "{error}"
    );
    fs::write(
        &record,
        text.replace("template-version = \"", "template-version = \"9"),
    )
    .unwrap();
    let (error, _) = fails(&workspace, &add);
    assert!(error.contains("tip: install the newest"), "{error}");
    fs::write(&record, text).unwrap();
    fs::write(workspace.join("handler/src/bin/price.rs"), "fn main() {}\n").unwrap();
    let (error, _) = fails(&workspace, &add);
    assert!(
        error.contains("the workspace has a target `price` already"),
        "{error}"
    );
}

#[test]
fn a_template_that_its_owner_edited_is_added_to_or_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = workspace(folder.path(), &[]);
    let file = workspace.join("infra/sam/template.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let add = ["add", "function", "price", "--allow-dirty", "--quiet"];
    let role = "Resources:\n  PriceRole:\n    Type: AWS::IAM::Role\n";
    for (edited, said) in [
        (
            text.replace("Resources:\n", role),
            "it has a `PriceRole` already: choose another name",
        ),
        (
            text.replace("\n  LogGroup:\n", "\n  Logs:\n"),
            "it has no `LogGroup`, which the function needs",
        ),
        (
            text.replace("\n  ", "\n    "),
            "is not indented by two blanks",
        ),
    ] {
        assert_ne!(edited, text);
        fs::write(&file, &edited).unwrap();
        let before = tree(&workspace);
        let (error, code) = fails(&workspace, &add);
        assert_eq!(code, 1);
        assert!(error.contains(said), "{error}");
        assert_eq!(tree(&workspace), before);
    }
    // Without outputs, with a comment behind a heading, and with the line ends of Windows.
    let (text, _) = text.split_once("\nOutputs:\n").unwrap();
    let edited = text
        .replace("Resources:\n", "Resources: # all\n")
        .replace('\n', "\r\n");
    fs::write(&file, &edited).unwrap();
    succeeds(&workspace, &add);
    let added = fs::read_to_string(&file).unwrap();
    assert!(added.contains("\r\nOutputs:\r\n"), "{added}");
    assert!(!added.replace("\r\n", "").contains('\n'));
}

#[test]
fn what_cannot_be_a_function_is_told_and_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = workspace(folder.path(), &["--iac", "terraform"]);
    let before = tree(&workspace);
    for (name, said) in [
        ("handler", "`handler` is the name of something else"),
        ("Cache-Core", "`cache-core` is the name of something else"),
        ("main", "`main` is the name of something else"),
        ("match", "`match` is the name of something else"),
        ("serde_json", "`serde_json` is the name of something else"),
        ("my_override", "would be part of one"),
        ("x-load", "would be part of one"),
        ("test-x", "would be part of one"),
        ("1st", "it must start with a letter"),
    ] {
        let (error, code) = fails(&workspace, &["add", "function", name]);
        assert_eq!(code, 2, "{error}");
        assert!(error.contains(said), "{error}");
    }
    let (error, code) = fails(&workspace, &["add", "function", "x", "--trigger", "url"]);
    assert_eq!(code, 2);
    assert!(
        error.contains("a similar value exists: 'function-url'"),
        "{error}"
    );
    let (error, code) = fails(
        &workspace,
        &["add", "--kind", "a:String:A", "function", "x"],
    );
    assert_eq!(code, 2, "{error}");
    let long = "a-name-of-thirty-seven-characters-xyz";
    let (error, _) = fails(&workspace, &["add", "function", long]);
    assert!(
        error.contains("my-quotes-a-name-of-thirty-seven-characters-xyz has over 45 characters"),
        "{error}"
    );
    assert_eq!(tree(&workspace), before);

    fs::create_dir(workspace.join("price")).unwrap();
    let (error, code) = fails(&workspace, &["add", "function", "price"]);
    assert_eq!(code, 1);
    assert!(
        error.contains("price exists; nothing was changed"),
        "{error}"
    );
    fs::remove_dir(workspace.join("price")).unwrap();
    let main = workspace.join("infra/terraform/stages/test/main.tf");
    let text = fs::read_to_string(&main).unwrap();
    fs::write(
        &main,
        text.replace("module \"function\"", "module \"ours\""),
    )
    .unwrap();
    let (error, code) = fails(&workspace, &["add", "function", "price", "--allow-dirty"]);
    assert_eq!(code, 1);
    assert!(
        error.contains("infra/terraform/stages/test/main.tf: there is no `module \"function\"`"),
        "{error}"
    );
    assert!(!workspace.join("price").exists());
    let named = text.replace("\"my-quotes-test\"", "local.name")
        + "\nresource \"x\" \"y\" {\n  name = \"z\"\n}\n";
    fs::write(&main, named).unwrap();
    let (error, _) = fails(&workspace, &["add", "function", "price", "--allow-dirty"]);
    assert!(error.contains("with a literal name"), "{error}");
    let (error, _) = fails(folder.path(), &["add", "function", "price"]);
    assert!(error.contains("no cached-lambda.toml in"), "{error}");
}

#[test]
fn the_diff_of_a_dry_run_makes_the_function() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = workspace(folder.path(), &["--start", "minimal"]);
    let before = tree(&workspace);
    let (diff, _) = succeeds(&workspace, &["add", "function", "price", "--dry-run"]);
    assert_eq!(tree(&workspace), before);
    fs::write(workspace.join(".git/diff"), diff).unwrap();
    git(&workspace, &["apply", ".git/diff"]);
    let applied = tree(&workspace);
    git(&workspace, &["checkout", "--quiet", "."]);
    git(&workspace, &["clean", "--quiet", "--force", "-d"]);
    succeeds(&workspace, &["add", "function", "price", "--quiet"]);
    git(&workspace, &["checkout", "--quiet", "Cargo.lock"]);
    assert_eq!(tree(&workspace), applied);
}
