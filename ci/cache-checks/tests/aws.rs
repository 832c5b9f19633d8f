//! Parameter Store and Secrets Manager as sources, against an emulator of AWS, and where that differs from AWS
//! against answers as AWS documents them.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_secretsmanager::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_secretsmanager::primitives::Blob;
use aws_sdk_ssm::types::ParameterType;
use cache_core::environment::Environment;
use cache_core::parameters::{ParameterStore, Parameters};
use cache_core::secrets::{SecretText, Secrets, SecretsManager};
use cache_core::{Deadline, ReadError, caches};
use checks::proxy::{Fault, Proxy};
use checks::server::{Server, answer};
use mem_dbg::MemSize;
use serde::Deserialize;

#[derive(Debug, Deserialize, MemSize)]
#[mem_size(flat)]
struct Limits {
    requests: u32,
}

#[derive(Debug, Deserialize, MemSize)]
struct Login {
    password: SecretText,
}

caches! {
    struct Caches(parameters: &ParameterStore, secrets: &SecretsManager) {
        limits: Parameters<String, Limits> = parameters.json(|name: &String| name.clone());
        texts: Parameters<String, String> = parameters.text(|name: &String| name.clone());
        logins: Secrets<String, Login> = secrets.json(|name: &String| name.clone());
        maps: Secrets<String, HashMap<String, u32>> = secrets.json(|name: &String| name.clone());
        keys: Secrets<String, SecretText> = secrets.text(|name: &String| name.clone());
    }
}

/// ministack, until it is dropped.
struct Emulator {
    process: Child,
    endpoint: String,
}

impl Emulator {
    async fn start() -> Self {
        let port = checks::free_port().to_string();
        let process = Command::new(checks::root().join("target/ci/python/bin/ministack"))
            .envs([("BIND_HOST", "127.0.0.1"), ("GATEWAY_PORT", &port)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("ci/setup installs the emulator");
        let emulator = Emulator {
            process,
            endpoint: format!("http://127.0.0.1:{port}"),
        };
        let ssm = aws_sdk_ssm::Client::new(&config(&emulator.endpoint));
        for _ in 0..600 {
            if ssm.describe_parameters().send().await.is_ok() {
                return emulator;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the emulator does not answer");
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// As a function has it.
fn config(endpoint: &str) -> SdkConfig {
    let (timeouts, retries) = cache_core::limits();
    let credentials = Credentials::new("test", "test", None, None, "tests");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .timeout_config(timeouts)
        .retry_config(retries)
        .endpoint_url(endpoint)
        .build()
}

fn caches(endpoint: &str) -> Caches {
    let config = config(endpoint);
    let parameters = ParameterStore::new(aws_sdk_ssm::Client::new(&config));
    let secrets = SecretsManager::new(aws_sdk_secretsmanager::Client::new(&config));
    Caches::new(Environment::of([("", ""); 0]), &parameters, &secrets).unwrap()
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

#[tokio::test]
async fn parameters_are_read_by_tens_decrypted_and_told_from_what_is_not_there() {
    let emulator = Emulator::start().await;
    let ssm = aws_sdk_ssm::Client::new(&config(&emulator.endpoint));
    let put = async |name: &str, kind: ParameterType, value: &str| {
        let put = ssm.put_parameter().name(name).r#type(kind).value(value);
        put.overwrite(true).send().await.unwrap();
    };
    for n in 0..19 {
        let value = format!(r#"{{"requests":{n}}}"#);
        put(&format!("/limits/{n}"), ParameterType::SecureString, &value).await;
    }
    let proxy = Proxy::start(&emulator.endpoint).await.unwrap();
    let caches = caches(&proxy.endpoint);
    let names = (0..21).map(|n| format!("/limits/{n}"));
    let answers = caches.limits.get_many(names.clone(), &soon()).await;
    for (name, answer) in &answers {
        let n: u32 = name.rsplit('/').next().unwrap().parse().unwrap();
        let requests = answer.as_ref().unwrap().as_ref().map(|it| it.requests);
        assert_eq!(requests, (n < 19).then_some(n));
    }
    assert_eq!(proxy.seen(), 3, "21 names");
    caches.limits.get_many(names, &soon()).await;
    assert_eq!(proxy.seen(), 0, "absences are remembered, too");

    put("greeting", ParameterType::String, "hello").await;
    put("greeting", ParameterType::String, "hi").await;
    let label = ssm
        .label_parameter_version()
        .name("greeting")
        .labels("live");
    label.parameter_version(1).send().await.unwrap();
    let arn = "arn:aws:ssm:us-east-1:000000000000:parameter/greeting";
    let with_version = format!("{arn}:1");
    let names = [
        "greeting",
        "greeting:1",
        "greeting:live",
        "greeting:9",
        arn,
        &with_version,
    ];
    let names = names.map(String::from);
    let answers = caches.texts.get_many(names.clone(), &soon()).await;
    let answers = names.map(|name| {
        let text = answers[&name].as_ref().unwrap().as_ref();
        text.map(|text| text.to_string()).unwrap_or_default()
    });
    assert_eq!(answers, ["hi", "hello", "hello", "", "hi", "hello"]);

    // The other names of its batch are read all the same, and nothing is sent for it alone.
    proxy.seen();
    let names = ["bad name", "", "greeting:live", "/limits/1"].map(String::from);
    let answers = caches.limits.get_many(names, &soon()).await;
    for name in ["bad name", "", "greeting:live"] {
        let error = answers[name].as_ref().unwrap_err();
        assert!(error.is_about_the_key(), "{error}");
        assert!(!format!("{error:?}").contains("hello"), "{error:?}");
    }
    assert_eq!(
        answers["/limits/1"]
            .as_ref()
            .unwrap()
            .as_ref()
            .unwrap()
            .requests,
        1
    );
    assert_eq!(proxy.seen(), 1);

    // What may not be read is told from what may.
    proxy.decide(|_, body| match body.contains("/limits/13\"") {
        true => Fault::Error(400, "AccessDeniedException"),
        false => Fault::None,
    });
    caches.limits.invalidate_all();
    let names = (10..20).map(|n| format!("/limits/{n}"));
    let answers = caches.limits.get_many(names, &soon()).await;
    assert_eq!(proxy.seen(), 11, "one of ten, and then each");
    let failed: Vec<_> = answers.iter().filter(|(_, it)| it.is_err()).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].0, "/limits/13");
    // A throttled source is not asked more for that.
    proxy.all(Fault::Error(400, "ThrottlingException"));
    caches.limits.invalidate_all();
    let names = (0..10).map(|n| format!("/limits/{n}"));
    caches.limits.get_many(names, &soon()).await;
    assert_eq!(proxy.seen(), 3, "three attempts");

    caches.limits.invalidate_all();
    proxy.all(Fault::Error(400, "AccessDeniedException"));
    let error = caches.limits.get("/limits/50", &soon()).await.unwrap_err();
    assert!(
        !error.is_about_the_key() && error.to_string().contains("AccessDenied"),
        "{error}"
    );
}

#[tokio::test]
async fn secrets_are_read_by_twenties_and_shown_to_nobody() {
    let emulator = Emulator::start().await;
    let manager = aws_sdk_secretsmanager::Client::new(&config(&emulator.endpoint));
    let put = async |name: &str, value: &str| {
        let put = manager.create_secret().name(name).secret_string(value);
        put.send().await.unwrap().arn.unwrap()
    };
    for n in 0..39 {
        put(
            &format!("login/{n}"),
            &format!(r#"{{"password":"s3cret-{n}"}}"#),
        )
        .await;
    }
    let proxy = Proxy::start(&emulator.endpoint).await.unwrap();
    let caches = caches(&proxy.endpoint);
    let names = (0..41).map(|n| format!("login/{n}"));
    let answers = caches.logins.get_many(names, &soon()).await;
    for (name, answer) in &answers {
        let n: u32 = name.rsplit('/').next().unwrap().parse().unwrap();
        let login = answer.as_ref().unwrap().as_ref();
        let password = login.map(|login| login.password.to_string());
        assert_eq!(password, (n < 39).then(|| format!("s3cret-{n}")));
        assert!(!format!("{login:?} {:?}", login.map(|it| &it.password)).contains("s3cret"));
    }
    assert_eq!(proxy.seen(), 3, "41 names");

    let arn = put("key", "s3cret").await;
    let without_its_end = arn[..arn.len() - 7].to_string();
    let names = [arn, without_its_end, "key".into()];
    for (name, key) in caches.keys.get_many(names, &soon()).await {
        assert_eq!(&***key.unwrap().unwrap(), "s3cret", "{name}");
    }
    put("map", r#"{"s3cret":"s3cret"}"#).await;
    let error = caches.maps.get("map", &soon()).await.unwrap_err();
    assert!(
        !format!("{error} {error:?}").contains("s3cret"),
        "{error:?}"
    );
    let binary = manager.create_secret().name("binary");
    binary.secret_binary(Blob::new("x")).send().await.unwrap();
    put("deleted", "s3cret").await;
    let delete = manager.delete_secret().secret_id("deleted");
    delete.send().await.unwrap();
    let names = ["key", "binary", "deleted", "bad name", "missing"].map(String::from);
    let answers = caches.logins.get_many(names, &soon()).await;
    assert!(answers["missing"].as_ref().unwrap().is_none());
    for (name, says) in [
        ("key", "decoded as aws::Login"),
        ("binary", "is binary"),
        ("deleted", "InvalidRequestException"),
        ("bad name", "1 to 512"),
    ] {
        let error = answers[name].as_ref().unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(says), "{text}");
        assert!(error.is_about_the_key(), "{text}");
        assert!(!text.contains("s3cret"), "{text}");
    }
}

/// As Secrets Manager documents it, and the emulator does not do it.
#[tokio::test]
async fn secrets_come_in_pages_and_what_is_left_out_is_no_absence() {
    let bodies = [
        r#"{"SecretValues":[{"Name":"a","SecretString":"A"}],"NextToken":"more"}"#,
        r#"{"SecretValues":[],"NextToken":"more"}"#,
        r#"{"SecretValues":[{"Name":"b","SecretString":"B"}],
            "Errors":[{"SecretId":"c","ErrorCode":"DecryptionFailure","Message":"no"},
                      {"SecretId":"arn:aws:secretsmanager:us-east-1:1:secret:d-AbCdEf",
                       "ErrorCode":"ResourceNotFoundException"}]}"#,
    ];
    let number = AtomicUsize::new(0);
    let server = Server::start(move |_| {
        let body = bodies[number.fetch_add(1, SeqCst) % bodies.len()];
        std::future::ready(Some(answer(200, "", body)))
    });
    let server = server.await.unwrap();
    let caches = caches(&server.endpoint);
    let names = ["a", "b", "c", "d", "e"].map(String::from);
    let answers = caches.keys.get_many(names, &soon()).await;
    let text = |name| {
        answers[name]
            .as_ref()
            .unwrap()
            .as_ref()
            .map(|it| it.to_string())
    };
    assert_eq!(
        (text("a"), text("b"), text("d")),
        (Some("A".into()), Some("B".into()), None)
    );
    assert!(answers["c"].as_ref().unwrap_err().is_about_the_key());
    let left_out = answers["e"].as_ref().unwrap_err();
    assert!(
        matches!(left_out, cache_core::Error::Load(it) if matches!(**it, ReadError::Unprocessed))
    );
    assert_eq!(server.seen().len(), 3);

    // A page that fails takes none before it along, and pages that do not end are left.
    let fails = answer(400, "", r#"{"__type":"InternalServiceError"}"#);
    for (then, requests) in [(fails, 2), (answer(200, "", bodies[1]), 4)] {
        let first = Mutex::new(Some(answer(200, "", bodies[0])));
        let server = Server::start(move |_| {
            let answer = first.lock().unwrap().take();
            std::future::ready(Some(answer.unwrap_or_else(|| then.clone())))
        });
        let server = server.await.unwrap();
        let names = ["a", "b", "c"].map(String::from);
        let caches = self::caches(&server.endpoint);
        let answers = caches.keys.get_many(names, &soon()).await;
        assert!(answers["a"].is_ok() && answers["b"].is_err());
        assert_eq!(server.seen().len(), requests);
    }

    // A secret whose name is the end of another one's ARN, in whatever order.
    let arn = "arn:aws:secretsmanager:us-east-1:1:secret";
    let theirs = format!(r#"{{"Name":"a","ARN":"{arn}:a-AbCdEf","SecretString":"theirs"}}"#);
    let mine =
        format!(r#"{{"Name":"a-AbCdEf","ARN":"{arn}:a-AbCdEf-GhIjKl","SecretString":"mine"}}"#);
    for values in [format!("{mine},{theirs}"), format!("{theirs},{mine}")] {
        let server = Server::start(move |_| {
            let body = format!(r#"{{"SecretValues":[{values}]}}"#);
            std::future::ready(Some(answer(200, "", &body)))
        });
        let server = server.await.unwrap();
        let caches = self::caches(&server.endpoint);
        let texts = [
            ("a".to_string(), "theirs"),
            ("a-AbCdEf".to_string(), "mine"),
            (format!("{arn}:a-AbCdEf"), "theirs"),
            (format!("{arn}:a-AbCdEf-GhIjKl"), "mine"),
        ];
        let names = texts.clone().map(|(name, _)| name);
        let mut answers = caches.keys.get_many(names, &soon()).await;
        for (name, text) in texts {
            let secret = answers.remove(&name).unwrap().unwrap().unwrap();
            assert_eq!(&***secret, text, "{name}");
        }
    }

    // Likewise of parameters.
    let server = Server::start(|_| {
        let body = r#"{"Parameters":[],"InvalidParameters":["a"]}"#;
        std::future::ready(Some(answer(200, "", body)))
    });
    let server = server.await.unwrap();
    let caches = self::caches(&server.endpoint);
    let names = ["a", "b"].map(String::from);
    let answers = caches.texts.get_many(names, &soon()).await;
    assert!(answers["a"].as_ref().unwrap().is_none());
    assert!(answers["b"].is_err());
}
