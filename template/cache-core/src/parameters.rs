//! Parameter Store as a source: GetParameters by tens, decrypted, as JSON or as text. The feature `parameters`.
//!
//! ```
//! use cache_core::caches;
//! use cache_core::parameters::{Parameters, ParameterStore};
//! use mem_dbg::MemSize;
//! use serde::Deserialize;
//!
//! #[derive(Deserialize, MemSize)]
//! #[mem_size(flat)]
//! pub struct Limits { requests: u32 }
//!
//! caches! {
//!     pub struct Caches(parameters: &ParameterStore) {
//!         limits: Parameters<String, Limits> = parameters.json(|tenant| format!("/limits/{tenant}")).ttl(300);
//!         greeting: Parameters<(), String> = parameters.text(|()| "/greeting:live");
//!     }
//! }
//! ```
//!
//! A name may be an ARN, and end with `:` and a version or a label: check a key that strangers give, or `acme:3` is
//! the third version of what is Acme's. What is not there is an absence. The role needs
//! `ssm:GetParameters`, and `kms:Decrypt` where a key of one's own encrypts. A region gives 40 reads a second
//! unless its higher throughput is on: a TTL of minutes is what this source is made for.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_ssm::Client;
use futures_util::future::join_all;
use mem_dbg::MemSize;
use serde::de::DeserializeOwned;

use crate::kinds::{Kind, Source};
use crate::source::{self, Decode, Name, Reads};
use crate::{Cache, Deadline, Key, Loaded, Loader, ReadError};

/// A cache of parameters.
pub type Parameters<K, T> = Cache<K, Arc<T>, ParameterLoader<K, T>>;

/// The most names that one GetParameters takes.
const BATCH: usize = 10;
const NAME: &str =
    "a parameter's name has 1 to 2048 of A-Z a-z 0-9 _ . - /, and : before a version or a label";

/// Parameter Store, by a client that reaches it: one with [limits](crate::limits).
#[derive(Clone, Debug)]
pub struct ParameterStore(Client);

impl ParameterStore {
    /// By this client.
    pub fn new(client: Client) -> Self {
        ParameterStore(client)
    }
}

impl<S, K, T> Source<'_, S, Parameters<K, T>>
where
    S: Borrow<ParameterStore>,
    K: Key + MemSize,
    T: MemSize + Send + Sync + 'static,
{
    /// The parameter of that name, decoded as JSON.
    pub fn json<N: Into<String>>(
        &self,
        name: impl Fn(&K) -> N + Send + Sync + 'static,
    ) -> Kind<K, Arc<T>, ParameterLoader<K, T>>
    where
        T: DeserializeOwned,
    {
        self.named(name, |text| source::decode_json(text.as_bytes()))
    }

    /// The parameter of that name as it is.
    pub fn text<N: Into<String>>(
        &self,
        name: impl Fn(&K) -> N + Send + Sync + 'static,
    ) -> Kind<K, Arc<T>, ParameterLoader<K, T>>
    where
        T: From<String>,
    {
        self.named(name, |text| Ok(T::from(text)))
    }

    fn named<N: Into<String>>(
        &self,
        name: impl Fn(&K) -> N + Send + Sync + 'static,
        decode: Decode<T>,
    ) -> Kind<K, Arc<T>, ParameterLoader<K, T>> {
        let store: &ParameterStore = (**self).borrow();
        Kind::of(ParameterLoader {
            client: store.0.clone(),
            name: source::names(name, b"_.-/:", NAME),
            decode,
        })
    }
}

/// Reads parameters.
pub struct ParameterLoader<K, T> {
    client: Client,
    name: Name<K>,
    decode: Decode<T>,
}

impl<K, T> ParameterLoader<K, T> {
    async fn get(&self, names: Vec<String>, until: &Deadline) -> Reads<String, Arc<T>> {
        let single = async |name: &[String]| match self.ask(name, until).await {
            Ok(reads) => reads,
            Err(error) => source::all_failed(name, error),
        };
        match self.ask(&names, until).await {
            Ok(reads) => reads,
            // One name that is refused fails all names of its request.
            Err(error) if names.len() > 1 && is_refusal(&error) => {
                let reads = join_all(names.chunks(1).map(single)).await;
                reads.into_iter().flatten().collect()
            }
            Err(error) => source::all_failed(&names, error),
        }
    }

    async fn ask(
        &self,
        names: &[String],
        until: &Deadline,
    ) -> Result<Reads<String, Arc<T>>, ReadError> {
        let request = self.client.get_parameters().with_decryption(true);
        let request = request.set_names(Some(names.to_vec())).send();
        let output = until.limit(request).await.ok_or(ReadError::Deadline)??;
        let missing = output.invalid_parameters.unwrap_or_default();
        let mut found = HashMap::new();
        for parameter in output.parameters.unwrap_or_default() {
            let selector = parameter.selector.unwrap_or_default();
            let value = parameter.value.unwrap_or_default();
            // It may have been asked for by its name or by its ARN.
            for name in [parameter.arn, parameter.name].into_iter().flatten() {
                found.insert(name + &selector, value.clone());
            }
        }
        let mut read = |name: &String| match found.remove(name) {
            Some(text) => Ok(Some(Arc::new((self.decode)(text)?).into())),
            None if missing.contains(name) => Ok(None),
            None => Err(ReadError::Unprocessed),
        };
        let reads = names.iter().map(|name| (name.clone(), read(name)));
        Ok(reads.collect())
    }
}

fn is_refusal(error: &ReadError) -> bool {
    const REFUSALS: [&str; 3] = [
        "AccessDeniedException",
        "InvalidKeyId",
        "ValidationException",
    ];
    matches!(error, ReadError::Request { code: Some(code), .. } if REFUSALS.contains(&code.as_str()))
}

impl<K: Key, T: Send + Sync + 'static> Loader<K, Arc<T>> for ParameterLoader<K, T> {
    type Error = ReadError;

    fn reads_together(&self) -> bool {
        true
    }

    async fn load(
        &self,
        keys: Vec<K>,
        until: Deadline,
    ) -> Result<Loaded<K, Arc<T>, ReadError>, ReadError> {
        let batch = |names: Vec<String>| async { self.get(names, &until).await };
        let read = |names| source::in_batches(names, BATCH, batch);
        source::load_named(keys, &self.name, read).await
    }
}
