//! The loader of items: GetItem for one key, BatchGetItem for more.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::operation::batch_get_item::BatchGetItemOutput;
use aws_sdk_dynamodb::types::KeysAndAttributes;
use futures_util::future::join_all;
use serde::de::DeserializeOwned;

use super::{Attributes, ItemKey, Table, decode};
use crate::source::{self, Reads};
use crate::{Deadline, Found, Key, Loaded, Loader, ReadError};

/// The most keys that one BatchGetItem takes.
const BATCH: usize = 100;

/// How often keys left unprocessed are asked for again while none of them gets through.
const FRUITLESS_ROUNDS: u32 = 8;

/// Reads items of one table.
pub struct ItemLoader<K, T> {
    table: Table,
    item_key: Box<dyn Fn(&K) -> ItemKey + Send + Sync>,
    consistent: bool,
    projection: Option<Projection>,
    decodes: PhantomData<fn() -> T>,
}

/// Attributes by placeholder, since a name may be a reserved word.
struct Projection {
    expression: String,
    names: HashMap<String, String>,
}

impl<K, T: DeserializeOwned> ItemLoader<K, T> {
    /// Reads from `table` the item that `item_key` names for a key of the cache. Different keys
    /// should name different items.
    pub fn new<I: Into<ItemKey>>(
        table: &Table,
        item_key: impl Fn(&K) -> I + Send + Sync + 'static,
    ) -> Self {
        ItemLoader {
            table: table.clone(),
            item_key: Box::new(move |key| item_key(key).into()),
            consistent: false,
            projection: None,
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

    /// Reads these attributes alone, beside the key's. It spares the network, not the price.
    #[must_use]
    pub fn attributes<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut names: Vec<_> = names.into_iter().map(String::from).collect();
        names.extend(self.table.key.names().map(String::from));
        names.extend(self.table.end_attribute.map(String::from));
        // DynamoDB refuses a name that stands there twice.
        names.sort();
        names.dedup();
        let numbered = names.into_iter().enumerate();
        let names: HashMap<_, _> = numbered.map(|(n, name)| (format!("#a{n}"), name)).collect();
        let placeholders: Vec<_> = names.keys().map(String::as_str).collect();
        let expression = placeholders.join(", ");
        self.projection = Some(Projection { expression, names });
        self
    }

    async fn get(
        &self,
        key: &ItemKey,
        until: &Deadline,
    ) -> Result<Option<Found<Arc<T>>>, ReadError> {
        let projection = self.projection.as_ref();
        let request = self.table.client.get_item().table_name(&self.table.name);
        let request = request
            .set_key(Some(self.table.key.of(key)?))
            .consistent_read(self.consistent)
            .set_projection_expression(projection.map(|it| it.expression.clone()))
            .set_expression_attribute_names(projection.map(|it| it.names.clone()));
        let output = until.limit(request.send()).await;
        let output = output.ok_or(ReadError::Deadline)??;
        output.item.map(|item| self.decode(item)).transpose()
    }

    async fn get_batch(&self, keys: &[ItemKey], until: &Deadline) -> Reads<ItemKey, Arc<T>> {
        let mut reads = Vec::with_capacity(keys.len());
        let mut pending = keys.to_vec();
        let mut fruitless = 0;
        let error = loop {
            let output = match until.limit(self.send_batch(&pending)).await {
                Some(Ok(output)) => output,
                Some(Err(error)) => break error,
                None => break ReadError::Deadline,
            };
            // Only one table was asked, by its name or its ARN.
            let items = output.responses.into_iter().flat_map(HashMap::into_values);
            for item in items.flatten() {
                if let Some(key) = self.table.key.find(&item) {
                    reads.push((key, self.decode(item).map(Some)));
                }
            }
            let left = output.unprocessed_keys.into_iter();
            let left = left.flat_map(HashMap::into_values);
            let left: Vec<_> = left.flat_map(|left| left.keys).collect();
            if left.is_empty() {
                return reads;
            }
            let got_some = left.len() < pending.len();
            fruitless = if got_some { 0 } else { fruitless + 1 };
            let left = left.iter().filter_map(|key| self.table.key.find(key));
            pending = left.collect();
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
        let keys = keys.iter().map(|key| self.table.key.of(key));
        let projection = self.projection.as_ref();
        let keys = KeysAndAttributes::builder()
            .set_keys(Some(keys.collect::<Result<_, _>>()?))
            .consistent_read(self.consistent)
            .set_projection_expression(projection.map(|it| it.expression.clone()))
            .set_expression_attribute_names(projection.map(|it| it.names.clone()))
            .build();
        let keys = keys.map_err(aws_sdk_dynamodb::Error::from)?;
        let request = self.table.client.batch_get_item();
        Ok(request.request_items(&self.table.name, keys).send().await?)
    }

    fn decode(&self, item: Attributes) -> Result<Found<Arc<T>>, ReadError> {
        let Found { value, expires_at } = decode(item, self.table.end_attribute)?;
        Ok(Found {
            value: Arc::new(value),
            expires_at,
        })
    }
}

impl<K: Key, T: DeserializeOwned + Send + Sync + 'static> Loader<K, Arc<T>> for ItemLoader<K, T> {
    type Error = ReadError;

    fn reads_together(&self) -> bool {
        true
    }

    async fn load(
        &self,
        keys: Vec<K>,
        until: Deadline,
    ) -> Result<Loaded<K, Arc<T>, ReadError>, ReadError> {
        let item = |key: &K| {
            let item = (self.item_key)(key);
            self.table.key.of(&item)?;
            Ok(item)
        };
        // DynamoDB refuses a batch that names an item twice.
        let read = async |items: Vec<ItemKey>| {
            if let [item] = &items[..] {
                return vec![(item.clone(), self.get(item, &until).await)];
            }
            let batches = items.chunks(BATCH);
            let batches = batches.map(|batch| self.get_batch(batch, &until));
            join_all(batches).await.into_iter().flatten().collect()
        };
        source::load_named(keys, item, read).await
    }
}
