//! DynamoDB as a source: items by their key, and rows by a Query.
//!
//! A [`Table`] knows the client and the names of the table's key. [`ItemLoader`] reads with GetItem
//! and BatchGetItem, [`QueryLoader`] with Query; both decode once, so that the cache holds values
//! rather than attribute maps, which take several times the space.

mod items;
mod key;
mod query;

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::DeserializeOwned;

pub use items::ItemLoader;
pub use key::{ItemKey, KeyType, KeyValue, NotANumber, Number, TableKey};
pub use query::{Query, QueryLoader};

use crate::{Cache, Failure, Found};

/// A cache of items. Values are shared with the cache rather than copied out of it.
pub type Items<K, T> = Cache<K, Arc<T>, ItemLoader<K, T>>;

/// A cache of what Queries find: all rows of a key together.
pub type Rows<K, T> = Cache<K, Arc<Vec<T>>, QueryLoader<K, T>>;

/// The attributes of an item, as the SDK has them.
pub type Attributes = HashMap<String, AttributeValue>;

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
    match serde_path_to_error::deserialize(item) {
        Ok(value) => Ok(Found {
            value,
            expires_at: end.map(|seconds| seconds as u64),
        }),
        Err(error) => {
            // Other messages of serde's may quote the value.
            let message = error.inner().to_string();
            let missing = message.starts_with("missing field").then_some(message);
            Err(ReadError::Decode {
                what: std::any::type_name::<T>(),
                at: missing.unwrap_or_else(|| error.path().to_string()),
            })
        }
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
    /// The declaration gives a key that is none of the table's.
    #[error("{0}")]
    Key(&'static str),
    /// The item is there and is not what it should be. serde's own message would quote it.
    #[error("the item cannot be decoded as {what}: {at}")]
    Decode {
        /// The type that it should be.
        what: &'static str,
        /// The path of the field, or that it is missing.
        at: String,
    },
}

impl ReadError {
    /// Whether it is about the item or the request, rather than about DynamoDB.
    pub fn is_about_the_key(&self) -> bool {
        match self {
            ReadError::Decode { .. } | ReadError::Key(_) => true,
            ReadError::Request { code, .. } => code.as_deref() == Some("ValidationException"),
            ReadError::Deadline | ReadError::Unprocessed => false,
        }
    }

    /// The same, for [`Loaded::of_reads`](crate::Loaded::of_reads).
    pub fn into_failure(self) -> Failure<Self> {
        if self.is_about_the_key() {
            Failure::Key(self)
        } else {
            Failure::Source(self)
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
