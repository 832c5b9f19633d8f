//! Secrets Manager as a source: BatchGetSecretValue by twenties, the current version, as JSON or as text. The
//! feature `secrets`.
//!
//! ```
//! use cache_core::caches;
//! use cache_core::secrets::{SecretText, Secrets, SecretsManager};
//! use mem_dbg::MemSize;
//! use serde::Deserialize;
//!
//! #[derive(Deserialize, MemSize)]
//! pub struct Login { username: String, password: SecretText }
//!
//! caches! {
//!     pub struct Caches(secrets: &SecretsManager) {
//!         logins: Secrets<String, Login> = secrets.json(|tenant| format!("database/{tenant}")).ttl(300);
//!         api_key: Secrets<(), SecretText> = secrets.text(|()| "api-key").ttl(300);
//!     }
//! }
//! ```
//!
//! A name may be an ARN. What is not there is an absence; a secret that is to be deleted is an error. The role needs
//! `secretsmanager:BatchGetSecretValue` on `*`, `secretsmanager:GetSecretValue` on each secret, and `kms:Decrypt`
//! where a key of one's own encrypts. A rotation is seen when the TTL is over: where a login fails,
//! [`invalidate`](Cache::invalidate) and try once more.
//!
//! Values are in no log, no error and no `Debug`. A [`SecretText`] is cleared from memory when it is dropped, and so
//! is the JSON that a value was decoded from. What the libraries of the network have copied is not in our hands.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use aws_sdk_secretsmanager::Client;
use mem_dbg::MemSize;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::{Zeroize, Zeroizing};

use crate::kinds::{Kind, Source};
use crate::source::{self, Decode, Name, Reads};
use crate::{Cache, Deadline, Found, Key, Loaded, Loader, ReadError};

/// A cache of secrets.
pub type Secrets<K, T> = Cache<K, Arc<Secret<T>>, SecretLoader<K, T>>;

/// The most names that one BatchGetSecretValue takes.
const BATCH: usize = 20;
const NAME: &str =
    "a secret's name has 1 to 512 of A-Z a-z 0-9 / _ + = . @ - !, and an ARN colons, too";

/// Secrets Manager, by a client that reaches it: one with [limits](crate::limits).
#[derive(Clone, Debug)]
pub struct SecretsManager(Client);

impl SecretsManager {
    /// By this client.
    pub fn new(client: Client) -> Self {
        SecretsManager(client)
    }
}

/// A value that shows itself to nobody who only looks.
#[derive(Default, MemSize)]
pub struct Secret<T>(T);

impl<T> From<T> for Secret<T> {
    /// For [`Cache::put`].
    fn from(value: T) -> Self {
        Secret(value)
    }
}

impl<T> Deref for Secret<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A text that is cleared from memory when it is dropped: a secret as it is, or a field of one.
#[derive(Deserialize, MemSize)]
#[serde(from = "String")]
pub struct SecretText(String);

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        SecretText(text)
    }
}

impl Deref for SecretText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

impl Drop for SecretText {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<S, K, T> Source<'_, S, Secrets<K, T>>
where
    S: Borrow<SecretsManager>,
    K: Key + MemSize,
    T: MemSize + Send + Sync + 'static,
    Secret<T>: MemSize,
{
    /// The secret of that name, decoded as JSON.
    pub fn json<N: Into<String>>(
        &self,
        name: impl Fn(&K) -> N + Send + Sync + 'static,
    ) -> Kind<K, Arc<Secret<T>>, SecretLoader<K, T>>
    where
        T: DeserializeOwned,
    {
        let decode = |text: String| {
            source::decode_json(Zeroizing::new(text).as_bytes()).map_err(|error| match error {
                // The path of the field can be a key of the secret.
                ReadError::Decode { what, .. } => ReadError::Decode {
                    what,
                    at: "it is not said where".into(),
                },
                error => error,
            })
        };
        self.named(name, decode)
    }

    /// The secret of that name as it is: [`SecretText`], or what is made of a `String`.
    pub fn text<N: Into<String>>(
        &self,
        name: impl Fn(&K) -> N + Send + Sync + 'static,
    ) -> Kind<K, Arc<Secret<T>>, SecretLoader<K, T>>
    where
        T: From<String>,
    {
        self.named(name, |text| Ok(T::from(text)))
    }

    fn named<N: Into<String>>(
        &self,
        name: impl Fn(&K) -> N + Send + Sync + 'static,
        decode: Decode<T>,
    ) -> Kind<K, Arc<Secret<T>>, SecretLoader<K, T>> {
        let manager: &SecretsManager = (**self).borrow();
        Kind::of(SecretLoader {
            client: manager.0.clone(),
            name: source::names(name, b"/_+=.@-!:", NAME),
            decode,
        })
    }
}

/// Reads secrets.
pub struct SecretLoader<K, T> {
    client: Client,
    name: Name<K>,
    decode: Decode<T>,
}

impl<K, T> SecretLoader<K, T> {
    async fn get(&self, names: Vec<String>, until: &Deadline) -> Reads<String, Arc<Secret<T>>> {
        let mut found = HashMap::new();
        let mut page = None;
        let mut left_out = ReadError::Unprocessed;
        // Each page brings one at least, or nobody knows when it ends.
        for _ in 0..=names.len() {
            let request = self.client.batch_get_secret_value().set_next_token(page);
            let request = request.set_secret_id_list(Some(names.clone())).send();
            let output = match until.limit(request).await {
                Some(Ok(output)) => output,
                Some(Err(error)) => {
                    left_out = error.into();
                    break;
                }
                None => {
                    left_out = ReadError::Deadline;
                    break;
                }
            };
            let mut read = |name: Option<&str>, arn: Option<&str>, read: Result<_, _>| {
                for id in names.iter().filter(|id| is_of(id, name, arn)) {
                    // One that has this very name or ARN wins over one that only begins so.
                    if [name, arn].contains(&Some(id)) || !found.contains_key(id) {
                        found.insert(id.clone(), read.clone());
                    }
                }
            };
            for entry in output.secret_values.unwrap_or_default() {
                let secret = self.decoded(entry.secret_string);
                read(entry.name.as_deref(), entry.arn.as_deref(), secret);
            }
            for error in output.errors.unwrap_or_default() {
                let failure = match error.error_code {
                    Some(code) if code == "ResourceNotFoundException" => Ok(None),
                    code => Err(ReadError::Request {
                        causes: error.message.unwrap_or_default(),
                        code,
                    }),
                };
                let id = error.secret_id.as_deref();
                let arn = id.filter(|id| id.starts_with("arn:"));
                read(id.xor(arn), arn, failure);
            }
            page = output.next_token;
            if page.is_none() {
                break;
            }
        }
        let reads = names.iter().map(|name| {
            let read = found.remove(name).unwrap_or_else(|| Err(left_out.clone()));
            (name.clone(), read)
        });
        reads.collect()
    }

    fn decoded(&self, text: Option<String>) -> Result<Option<Found<Arc<Secret<T>>>>, ReadError> {
        let text = text.ok_or(ReadError::Key("the secret is binary, and has no text"))?;
        Ok(Some(Arc::new(Secret((self.decode)(text)?)).into()))
    }
}

/// Whether a secret has been asked for by its name, its ARN, or that without the six characters at its end.
fn is_of(id: &str, name: Option<&str>, arn: Option<&str>) -> bool {
    let is_end = |rest: &str| matches!(rest.as_bytes(), [b'-', _, _, _, _, _, _]);
    let arn = arn.unwrap_or_default();
    if id.starts_with("arn:") {
        return arn
            .strip_prefix(id)
            .is_some_and(|rest| rest.is_empty() || is_end(rest));
    }
    // Only where no name is said, the ARN's is it: a name may look like the end of another secret's ARN.
    let named = arn.split_once(":secret:").filter(|_| name.is_none());
    let named = named.and_then(|(_, named)| named.strip_prefix(id));
    name == Some(id) || named.is_some_and(is_end)
}

impl<K: Key, T: Send + Sync + 'static> Loader<K, Arc<Secret<T>>> for SecretLoader<K, T> {
    type Error = ReadError;

    fn reads_together(&self) -> bool {
        true
    }

    async fn load(
        &self,
        keys: Vec<K>,
        until: Deadline,
    ) -> Result<Loaded<K, Arc<Secret<T>>, ReadError>, ReadError> {
        let batch = |names: Vec<String>| async { self.get(names, &until).await };
        let read = |names| source::in_batches(names, BATCH, batch);
        source::load_named(keys, &self.name, read).await
    }
}
