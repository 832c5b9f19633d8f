//! Passwords of ElastiCache that the function's role signs.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::config::{Credentials, ProvideCredentials};
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use aws_types::SdkConfig;
use futures_util::FutureExt;

use super::server::Login;

/// How long ElastiCache takes one for a new connection: no longer than this.
const EXPIRES: Duration = Duration::from_secs(900);

pub(super) fn login(
    config: &SdkConfig,
    user: String,
    cache: String,
    serverless: bool,
) -> Arc<Login> {
    let config = config.clone();
    Arc::new(move || {
        let (config, user, cache) = (config.clone(), user.clone(), cache.clone());
        let login = async move {
            let provider = config
                .credentials_provider()
                .ok_or("there are no credentials of AWS")?;
            let region = config.region().ok_or("there is no region of AWS")?;
            let credentials = provider.provide_credentials().await;
            let credentials = credentials.map_err(|error| error.to_string())?;
            let now = SystemTime::now();
            let password = sign_in(credentials, region.as_ref(), &user, &cache, serverless, now)?;
            Ok(Some((user, password)))
        };
        login.boxed()
    })
}

/// A request to connect, signed in its query: without its scheme it is the password.
/// <https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html>
fn sign_in(
    credentials: Credentials,
    region: &str,
    user: &str,
    cache: &str,
    serverless: bool,
    now: SystemTime,
) -> Result<String, String> {
    let identity = credentials.into();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(EXPIRES);
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("elasticache")
        .time(now)
        .settings(settings)
        .build()
        .map_err(|error| error.to_string())?;
    let mut url = format!("http://{cache}/?Action=connect&User={user}");
    if serverless {
        url += "&ResourceType=ServerlessCache";
    }
    let headers = [("host", cache)].into_iter();
    let signable = SignableRequest::new("GET", &url, headers, SignableBody::Bytes(&[]));
    let signed = signable.and_then(|signable| sign(signable, &parameters.into()));
    let (signed, _) = signed.map_err(|error| error.to_string())?.into_parts();
    let mut request = http::Request::get(url)
        .body(())
        .map_err(|error| error.to_string())?;
    signed.apply_to_request_http1x(&mut request);
    Ok(request
        .uri()
        .to_string()
        .trim_start_matches("http://")
        .to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against what AWS's library for Python, botocore, makes of the same.
    #[test]
    fn a_password_is_signed_as_aws_signs_it() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1795720469);
        let token = "a/token+with=signs";
        for (token, serverless, signature) in [
            (
                None,
                true,
                "7af16be3483807eacef61ceacf6854629f5aa2404e04ced9eaed0e052a0a44fe",
            ),
            (
                None,
                false,
                "ba783b7d588e91581bad32b80e84e9a138161a6384aa37be19ccd45c44b31cd5",
            ),
            (
                Some(token),
                true,
                "c9fa9f88d323b09cab3a995f0a387ca9591819da4ce85ea5064bb3be403cda87",
            ),
        ] {
            let credentials = Credentials::new(
                "AKIDEXAMPLE",
                "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                token.map(String::from),
                None,
                "tests",
            );
            let region = "eu-central-1";
            let password = sign_in(credentials, region, "function", "sessions", serverless, now);
            let password = password.unwrap_or_else(|error| panic!("{error}"));
            let (host, query) = password
                .split_once("/?")
                .unwrap_or_else(|| panic!("{password}"));
            assert_eq!(host, "sessions");
            let signature = format!("X-Amz-Signature={signature}");
            let is_there = |part: &str| query.split('&').any(|other| other == part);
            for part in [
                "Action=connect",
                "User=function",
                "X-Amz-Expires=900",
                &signature,
            ] {
                assert!(is_there(part), "{part} in {query}");
            }
            assert_eq!(is_there("ResourceType=ServerlessCache"), serverless);
            let token = "X-Amz-Security-Token=a%2Ftoken%2Bwith%3Dsigns";
            assert_eq!(is_there(token), signature.contains("c9fa9"));
        }
    }
}
