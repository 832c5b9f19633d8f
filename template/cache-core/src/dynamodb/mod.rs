//! DynamoDB as a source: items by their key, and rows by a Query.
//!
//! A [`Table`] knows the client and the names of the table's key. [`ItemLoader`] reads with GetItem
//! and BatchGetItem, [`QueryLoader`] with Query; both decode once, so that the cache holds values
//! rather than attribute maps, which take several times the space.

mod items;
mod key;
mod query;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::DeserializeOwned;

pub use items::ItemLoader;
pub use key::{ItemKey, KeyType, KeyValue, NotANumber, Number, TableKey};
pub use query::{Query, QueryLoader};

use crate::{Cache, Found, ReadError, source};

/// A cache of items. Values are shared with the cache rather than copied out of it.
pub type Items<K, T> = Cache<K, Arc<T>, ItemLoader<K, T>>;

/// A cache of what Queries find: all rows of a key together.
pub type Rows<K, T> = Cache<K, Arc<Vec<T>>, QueryLoader<K, T>>;

/// The attributes of an item, as the SDK has them.
pub type Attributes = HashMap<String, AttributeValue>;

/// A client's configuration with [`limits`](crate::limits).
pub fn with_limits(config: aws_sdk_dynamodb::config::Builder) -> aws_sdk_dynamodb::config::Builder {
    let (timeouts, retries) = source::limits();
    config.timeout_config(timeouts).retry_config(retries)
}

/// A table: the client that reaches it, its name, and the names of its key.
#[derive(Clone)]
pub struct Table {
    client: Client,
    name: String,
    key: TableKey,
    end_attribute: Option<&'static str>,
}

impl Table {
    /// `client` should have been configured [`with_limits`].
    pub fn new(client: Client, name: impl Into<String>, key: TableKey) -> Self {
        Table {
            client,
            name: name.into(),
            key,
            end_attribute: None,
        }
    }

    /// The number attribute that holds an item's end in seconds since the Unix epoch: the one that
    /// is the table's TTL attribute. See [`TtlPolicy::PerItem`](crate::TtlPolicy::PerItem).
    #[must_use]
    pub fn end_attribute(mut self, name: &'static str) -> Self {
        self.end_attribute = Some(name);
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The client, for reads and writes of one's own.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The names and types of its primary key.
    pub fn key(&self) -> TableKey {
        self.key
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Table").field(&self.name).finish()
    }
}

/// Decodes an item with serde, and finds the end that it has of its own in `end_attribute`.
///
/// # Errors
/// [`ReadError::Decode`] with the path of the field at fault.
pub fn decode<T: DeserializeOwned>(
    item: Attributes,
    end_attribute: Option<&str>,
) -> Result<Found<T>, ReadError> {
    // A fraction or a negative number is allowed there; `as` saturates.
    let end = end_attribute.and_then(|name| item.get(name)?.as_n().ok()?.parse::<f64>().ok());
    let item = serde_dynamo::Deserializer::from_attribute_value(AttributeValue::M(item).into());
    Ok(Found {
        value: source::decode(item)?,
        expires_at: end.map(|seconds| seconds as u64),
    })
}
