//! The loader for items of one DynamoDB table: GetItem for one key, BatchGetItem for more.

use std::collections::HashMap;
use std::error::Error;
use std::hash::Hash;
use std::marker::PhantomData;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::batch_get_item::BatchGetItemOutput;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures_util::future::join_all;
use serde::de::DeserializeOwned;

use crate::{Deadline, Found, Key, Loaded, Loader, Value};

/// The most keys that one BatchGetItem takes.
const BATCH: usize = 100;

/// How often keys left unprocessed are asked for again while none of them gets through.
const FRUITLESS_ROUNDS: u32 = 8;

type Item = HashMap<String, AttributeValue>;

/// Bounds one attempt, and lets three attempts fit into an invocation of a few seconds.
///
/// Left alone, the SDK limits nothing but the time to connect, and waits up to a second before
/// it tries again. A deadline cuts off what these allow.
pub fn with_limits(config: aws_sdk_dynamodb::config::Builder) -> aws_sdk_dynamodb::config::Builder {
    let timeouts = TimeoutConfig::builder()
        // A small function has a fraction of a core for the TLS handshake.
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_secs(2))
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(3)
        .with_initial_backoff(Duration::from_millis(50))
        .with_max_backoff(Duration::from_secs(1));
    config.timeout_config(timeouts).retry_config(retries)
}

/// The primary key of an item, by attribute: strings, as in most single-table designs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ItemKey(Vec<(&'static str, String)>);

impl ItemKey {
    /// A key of a partition key alone: the attribute's name and its value.
    pub fn partition(name: &'static str, value: impl Into<String>) -> Self {
        ItemKey(vec![(name, value.into())])
    }

    /// Adds a sort key, in place of an earlier one.
    #[must_use]
    pub fn sort(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.truncate(1);
        self.0.push((name, value.into()));
        self
    }

    fn attributes(&self) -> Item {
        let attribute =
            |(name, value): &(&str, String)| (name.to_string(), AttributeValue::S(value.clone()));
        self.0.iter().map(attribute).collect()
    }

    /// The key in `item`, which has the attributes of this one.
    fn same_in(&self, item: &Item) -> Option<ItemKey> {
        let names = self.0.iter().map(|(name, _)| *name);
        let parts = names.map(|name| Some((name, item.get(name)?.as_s().ok()?.clone())));
        parts.collect::<Option<_>>().map(ItemKey)
    }
}

/// Why an item could not be read. Says nothing of what is in it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The last caller's deadline passed first.
    #[error("DynamoDB did not answer before the deadline")]
    Deadline,
    /// DynamoDB left the key unprocessed again and again: it is throttling.
    #[error("DynamoDB left the key unprocessed")]
    Unprocessed,
    /// DynamoDB refused or failed, or could not be reached. The causes as text: the SDK's error
    /// itself can hold a whole response, and shows it in its debug output.
    #[error("DynamoDB could not be read: {causes}")]
    Request {
        /// DynamoDB's name for the error, if it answered.
        code: Option<String>,
        /// The messages of the error and of all that it comes from.
        causes: String,
    },
    /// The item is there and is not what it should be. serde's own message would quote it.
    #[error("the item cannot be decoded as {0}")]
    Decode(&'static str),
}

impl ReadError {
    /// Whether it is about the item or the request, rather than about DynamoDB.
    fn is_about_the_key(&self) -> bool {
        match self {
            ReadError::Decode(_) => true,
            ReadError::Request { code, .. } => code.as_deref() == Some("ValidationException"),
            ReadError::Deadline | ReadError::Unprocessed => false,
        }
    }
}

impl<E: ProvideErrorMetadata + Error + 'static> From<E> for ReadError {
    fn from(error: E) -> Self {
        let first: &(dyn Error + 'static) = &error;
        let causes = std::iter::successors(Some(first), |&error| error.source());
        let causes: Vec<_> = causes.map(ToString::to_string).collect();
        ReadError::Request {
            code: error.code().map(String::from),
            causes: causes.join(": "),
        }
    }
}

/// Reads items of one table and decodes each once, so that the cache holds values rather than
/// attribute maps, which take several times the space.
pub struct TableLoader<K, V> {
    client: Client,
    table: String,
    item_key: Box<dyn Fn(&K) -> ItemKey + Send + Sync>,
    consistent: bool,
    end_attribute: Option<&'static str>,
    decodes: PhantomData<fn() -> V>,
}

/// One item that was asked for: what it holds, or why it is not known. Absent items have none.
type Read<V> = (ItemKey, Result<Found<V>, ReadError>);

impl<K, V: DeserializeOwned> TableLoader<K, V> {
    /// Reads from `table` the item that `item_key` names for a key of the cache. Different keys
    /// should name different items; all must use the same attributes.
    ///
    /// `client` should have been configured [`with_limits`].
    pub fn new(
        client: Client,
        table: impl Into<String>,
        item_key: impl Fn(&K) -> ItemKey + Send + Sync + 'static,
    ) -> Self {
        TableLoader {
            client,
            table: table.into(),
            item_key: Box::new(item_key),
            consistent: false,
            end_attribute: None,
            decodes: PhantomData,
        }
    }

    /// Reads strongly consistently, at twice the price. Otherwise a read may miss writes of the
    /// last moments (usually less than a second), which adds to the staleness that the TTL allows.
    #[must_use]
    pub fn consistent(mut self, consistent: bool) -> Self {
        self.consistent = consistent;
        self
    }

    /// The number attribute that holds an item's end in seconds since the Unix epoch: the one that
    /// is the table's TTL attribute. See [`TtlPolicy::PerItem`](crate::TtlPolicy::PerItem).
    #[must_use]
    pub fn end_attribute(mut self, name: &'static str) -> Self {
        self.end_attribute = Some(name);
        self
    }

    async fn get(&self, key: &ItemKey, until: &Deadline) -> Vec<Read<V>> {
        let request = self.client.get_item().table_name(&self.table);
        let request = request.set_key(Some(key.attributes()));
        let request = request.consistent_read(self.consistent);
        let read = match until.limit(request.send()).await {
            Some(Ok(output)) => output.item.map(|item| self.decode(item)),
            Some(Err(error)) => Some(Err(error.into())),
            None => Some(Err(ReadError::Deadline)),
        };
        read.map(|read| (key.clone(), read)).into_iter().collect()
    }

    async fn get_batch(&self, keys: &[ItemKey], until: &Deadline) -> Vec<Read<V>> {
        let mut reads = Vec::with_capacity(keys.len());
        let mut pending = keys.to_vec();
        let mut fruitless = 0;
        let error = loop {
            let output = match until.limit(self.send_batch(&pending)).await {
                Some(Ok(output)) => output,
                Some(Err(error)) => break error,
                None => break ReadError::Deadline,
            };
            let items = output
                .responses
                .and_then(|mut tables| tables.remove(&self.table));
            for item in items.into_iter().flatten() {
                if let Some(key) = keys[0].same_in(&item) {
                    reads.push((key, self.decode(item)));
                }
            }
            let left = output
                .unprocessed_keys
                .and_then(|mut tables| tables.remove(&self.table));
            let left = left.map(|left| left.keys).unwrap_or_default();
            if left.is_empty() {
                return reads;
            }
            let got_some = left.len() < pending.len();
            fruitless = if got_some { 0 } else { fruitless + 1 };
            pending = left.iter().filter_map(|key| keys[0].same_in(key)).collect();
            let pause = Duration::from_millis(fastrand::u64(0..=25 << fruitless));
            let pause = until.limit(tokio::time::sleep(pause));
            if fruitless == FRUITLESS_ROUNDS || pause.await.is_none() {
                break ReadError::Unprocessed;
            }
        };
        reads.extend(pending.into_iter().map(|key| (key, Err(error.clone()))));
        reads
    }

    async fn send_batch(&self, keys: &[ItemKey]) -> Result<BatchGetItemOutput, ReadError> {
        let keys = keys.iter().map(ItemKey::attributes).collect();
        let keys = KeysAndAttributes::builder().set_keys(Some(keys));
        let keys = keys.consistent_read(self.consistent).build();
        let keys = keys.map_err(aws_sdk_dynamodb::Error::from)?;
        let request = self.client.batch_get_item();
        Ok(request.request_items(&self.table, keys).send().await?)
    }

    fn decode(&self, item: Item) -> Result<Found<V>, ReadError> {
        // A fraction or a negative number is allowed there; `as` saturates.
        let end = self
            .end_attribute
            .and_then(|name| item.get(name)?.as_n().ok()?.parse::<f64>().ok());
        match serde_dynamo::aws_sdk_dynamodb_1::from_item(item) {
            Ok(value) => Ok(Found {
                value,
                expires_at: end.map(|seconds| seconds as u64),
            }),
            Err(_) => Err(ReadError::Decode(std::any::type_name::<V>())),
        }
    }
}

impl<K: Key, V: Value + DeserializeOwned> Loader<K, V> for TableLoader<K, V> {
    type Error = ReadError;

    async fn load(
        &self,
        keys: Vec<K>,
        until: Deadline,
    ) -> Result<Loaded<K, V, ReadError>, ReadError> {
        // By item: DynamoDB refuses a batch that names one twice.
        let mut wanted: HashMap<ItemKey, Vec<K>> = HashMap::new();
        let mut items = Vec::new();
        for key in keys {
            let item = (self.item_key)(&key);
            let askers = wanted.entry(item.clone()).or_default();
            if askers.is_empty() {
                items.push(item);
            }
            askers.push(key);
        }
        let reads = match items.as_slice() {
            [item] => self.get(item, &until).await,
            _ => {
                let batches = items.chunks(BATCH);
                let batches = batches.map(|batch| self.get_batch(batch, &until));
                join_all(batches).await.into_iter().flatten().collect()
            }
        };
        // Nothing got through, and no key is to blame: that is DynamoDB's failure as a whole.
        let is_outage =
            |(_, read): &Read<V>| read.as_ref().is_err_and(|error| !error.is_about_the_key());
        if reads.len() == items.len()
            && reads.iter().all(is_outage)
            && let Some((_, Err(error))) = reads.first()
        {
            return Err(error.clone());
        }
        let mut loaded = Loaded::default();
        for (item, read) in reads {
            for key in wanted.remove(&item).into_iter().flatten() {
                match read.clone() {
                    Ok(found) => drop(loaded.found.insert(key, found)),
                    Err(error) => drop(loaded.failed.insert(key, error)),
                }
            }
        }
        Ok(loaded)
    }
}
