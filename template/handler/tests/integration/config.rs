//! The environment's variables.

use std::time::Duration;

use cache_core::TtlPolicy;
use handler::config::Config;

fn read(variables: &[(&str, &str)]) -> Result<Config, String> {
    let variable = |name: &str| {
        variables
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| (*value).into())
    };
    Config::read(variable).map_err(|error| error.to_string())
}

#[test]
fn a_table_name_is_enough() {
    let config = read(&[
        ("TABLE_NAME", "quotes"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
    ]);
    let config = config.unwrap();
    assert_eq!(config.ttl, TtlPolicy::Fixed(Duration::from_secs(60)));
    assert_eq!(config.absent_ttl, Duration::from_secs(5));
    assert_eq!(config.stale_if_error, Duration::ZERO);
    assert_eq!(config.jitter_percent, 10);
    assert_eq!(config.metrics_namespace, "local");
    assert_eq!(config.metrics_interval, Duration::from_secs(60));
    // A quarter of what is left beside the runtime's 48 MB.
    assert_eq!(config.cache_bytes, (256 - 48) * 1024 * 1024 / 4);
}

#[test]
fn every_wrong_variable_is_named_on_one_line_with_its_value_and_what_is_allowed() {
    let error = read(&[
        ("TABLE_NAME", "a\nb"),
        ("CACHE_ENABLED", "yes"),
        ("CACHE_TTL_POLICY", "Fixed"),
        ("CACHE_TTL_SECONDS", "86401"),
        ("CACHE_ABSENT_TTL_SECONDS", "+5"),
        ("CACHE_STALE_IF_ERROR_SECONDS", ""),
        ("CACHE_JITTER_PERCENT", "51"),
        ("CACHE_MEMORY_PERCENT", "0"),
        ("METRICS_NAMESPACE", "a*b"),
        ("METRICS_INTERVAL_SECONDS", "1h"),
    ]);
    let error = error.unwrap_err();
    assert_eq!(error.lines().count(), 1);
    let parts: Vec<_> = error.split("; ").collect();
    assert_eq!(
        parts,
        [
            r#"invalid configuration: TABLE_NAME is "a\nb", allowed: a table name, 3 to 255 of A-Z a-z 0-9 . _ -"#,
            r#"CACHE_ENABLED is "yes", allowed: true, false"#,
            r#"CACHE_TTL_POLICY is "Fixed", allowed: fixed, per-item, immutable"#,
            r#"CACHE_TTL_SECONDS is "86401", allowed: a whole number from 0 to 86400"#,
            r#"CACHE_ABSENT_TTL_SECONDS is "+5", allowed: a whole number from 0 to 3600"#,
            r#"CACHE_STALE_IF_ERROR_SECONDS is "", allowed: a whole number from 0 to 86400"#,
            r#"CACHE_JITTER_PERCENT is "51", allowed: a whole number from 0 to 50"#,
            r#"CACHE_MEMORY_PERCENT is "0", allowed: a whole number from 1 to 80"#,
            r#"METRICS_NAMESPACE is "a*b", allowed: 1 to 255 of A-Z a-z 0-9 . - _ / # : and spaces"#,
            r#"METRICS_INTERVAL_SECONDS is "1h", allowed: a whole number from 0 to 3600"#,
        ]
    );
    assert!(read(&[]).unwrap_err().contains("TABLE_NAME is not set"));
}

#[test]
fn the_smallest_cache_of_the_smallest_function_can_be_built() {
    let config = read(&[("TABLE_NAME", "quotes"), ("CACHE_MEMORY_PERCENT", "1")]).unwrap();
    let client = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest());
    let client = aws_sdk_dynamodb::Client::from_conf(client.build());
    assert!(handler::service::QuoteService::new(&client, &config).is_ok());
}
