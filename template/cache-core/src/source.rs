//! What all sources have in common: why a read fails, and how what was read is decoded and told apart.

use std::collections::HashMap;
use std::error::Error;
use std::hash::Hash;
use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
#[cfg(any(feature = "parameters", feature = "secrets"))]
use futures_util::stream::{self, StreamExt};
use serde::Deserializer;
use serde::de::DeserializeOwned;

use crate::{Failure, Found, Key, Loaded};

/// Why something could not be read. Says nothing of what is in it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The last caller's deadline passed first.
    #[error("the source did not answer before the deadline")]
    Deadline,
    /// The source left the key unprocessed, again and again where it can be asked again: it is throttling.
    #[error("the source left the key unprocessed")]
    Unprocessed,
    /// The source refused or failed, or could not be reached. The causes as text: an SDK's error
    /// itself can hold a whole response, and shows it in its debug output.
    #[error("the source could not be read: {causes}")]
    Request {
        /// The source's name for the error, if it answered.
        code: Option<String>,
        /// The messages of the error and of all that it comes from.
        causes: String,
    },
    /// The source answered with this HTTP status.
    #[error("the source answered with the status {0}")]
    Status(u16),
    /// The answer is larger than so many bytes.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The declaration makes of the key what the source does not take, or has not in that form.
    #[error("{0}")]
    Key(&'static str),
    /// It is there and is not what it should be. serde's own message would quote it. A path has the keys of
    /// maps, too.
    #[error("what was read cannot be decoded as {what}: {at}")]
    Decode {
        /// The type that it should be.
        what: &'static str,
        /// The path of the field, or that it is missing.
        at: String,
    },
}

impl ReadError {
    /// Whether it is about the item or the request, rather than about the source.
    pub fn is_about_the_key(&self) -> bool {
        match self {
            ReadError::Decode { .. } | ReadError::Key(_) | ReadError::TooLarge(_) => true,
            // But not who asks (401, 403, 407), nor when (408, 429).
            ReadError::Status(status) => {
                matches!(status, 400..=499 if !matches!(status, 401 | 403 | 407 | 408 | 429))
            }
            ReadError::Request { code, .. } => matches!(
                code.as_deref(),
                Some(
                    "ValidationException"
                        | "InvalidParameterException"
                        | "InvalidRequestException"
                        | "DecryptionFailure"
                )
            ),
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

    /// Of an error without a name.
    #[cfg(feature = "http")]
    pub(crate) fn unnamed(error: &(dyn Error + 'static)) -> Self {
        ReadError::Request {
            code: None,
            causes: causes(error),
        }
    }
}

impl<E: ProvideErrorMetadata + Error + 'static> From<E> for ReadError {
    fn from(error: E) -> Self {
        ReadError::Request {
            code: error.code().map(String::from),
            causes: causes(&error),
        }
    }
}

fn causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    let causes: Vec<_> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}

/// Bounds one attempt of a client of AWS, and lets three attempts fit into an invocation of a few seconds.
///
/// Left alone, the SDK limits nothing but the time to connect, and waits up to a second before
/// it tries again. A deadline cuts off what these allow.
pub fn limits() -> (TimeoutConfig, RetryConfig) {
    let timeouts = TimeoutConfig::builder()
        // A small function has a fraction of a core for the TLS handshake.
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_secs(2))
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(3)
        .with_initial_backoff(Duration::from_millis(50))
        .with_max_backoff(Duration::from_secs(1));
    (timeouts, retries)
}

/// Decodes with serde.
///
/// # Errors
/// [`ReadError::Decode`] with the path of the field at fault.
pub(crate) fn decode<'de, T: DeserializeOwned>(
    read: impl Deserializer<'de>,
) -> Result<T, ReadError> {
    serde_path_to_error::deserialize(read).map_err(|error| {
        // Other messages of serde's may quote the value.
        let message = error.inner().to_string();
        let missing = message.starts_with("missing field").then_some(message);
        ReadError::Decode {
            what: std::any::type_name::<T>(),
            at: missing.unwrap_or_else(|| error.path().to_string()),
        }
    })
}

/// The same of a JSON text.
#[cfg(any(feature = "http", feature = "parameters", feature = "secrets"))]
pub(crate) fn decode_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, ReadError> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = decode(&mut json)?;
    json.end().map_err(|_| ReadError::Decode {
        what: std::any::type_name::<T>(),
        at: "behind its end".into(),
    })?;
    Ok(value)
}

/// How a text becomes a value.
#[cfg(any(feature = "parameters", feature = "secrets"))]
pub(crate) type Decode<T> = fn(String) -> Result<T, ReadError>;

/// What the source calls a key.
#[cfg(any(feature = "parameters", feature = "secrets"))]
pub(crate) type Name<K> = Box<dyn Fn(&K) -> Result<String, ReadError> + Send + Sync>;

/// Names of letters, digits and `others`. One that the source refuses would fail all of its request.
#[cfg(any(feature = "parameters", feature = "secrets"))]
pub(crate) fn names<K, N: Into<String>>(
    name: impl Fn(&K) -> N + Send + Sync + 'static,
    others: &'static [u8],
    allowed: &'static str,
) -> Name<K> {
    Box::new(move |key| {
        let name = name(key).into();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || others.contains(&byte);
        if (1..=2048).contains(&name.len()) && name.bytes().all(fits) {
            Ok(name)
        } else {
            Err(ReadError::Key(allowed))
        }
    })
}

/// What is known of each name that was asked for. One that is not in it does not exist.
pub(crate) type Reads<N, V> = Vec<(N, Result<Option<Found<V>>, ReadError>)>;

/// Of a request that failed.
#[cfg(any(feature = "parameters", feature = "secrets"))]
pub(crate) fn all_failed<V>(names: &[String], error: ReadError) -> Reads<String, V> {
    let failed = names.iter().map(|name| (name.clone(), Err(error.clone())));
    failed.collect()
}

/// How many batches of one load are under way at a time.
#[cfg(any(feature = "parameters", feature = "secrets"))]
const AT_ONCE: usize = 4;

/// Reads so many names with one request.
#[cfg(any(feature = "parameters", feature = "secrets"))]
pub(crate) async fn in_batches<V, R: Future<Output = Reads<String, V>>>(
    names: Vec<String>,
    most: usize,
    read: impl Fn(Vec<String>) -> R,
) -> Reads<String, V> {
    // Collected first: the compiler sees no `Send` through a closure over slices.
    let batches: Vec<R> = names
        .chunks(most)
        .map(|names| read(names.to_vec()))
        .collect();
    let batches = stream::iter(batches).buffer_unordered(AT_ONCE);
    let batches: Vec<_> = batches.collect().await;
    batches.into_iter().flatten().collect()
}

/// Loads what `name` calls each key, every name once.
///
/// # Errors
/// As [`Loaded::of_reads`].
pub(crate) async fn load_named<K, N, V, R>(
    keys: Vec<K>,
    name: impl Fn(&K) -> Result<N, ReadError>,
    read: impl FnOnce(Vec<N>) -> R,
) -> Result<Loaded<K, V, ReadError>, ReadError>
where
    K: Key,
    N: Clone + Eq + Hash,
    V: Clone,
    R: Future<Output = Reads<N, V>>,
{
    let mut askers: HashMap<N, Vec<K>> = HashMap::new();
    let (mut names, mut refused) = (Vec::new(), Vec::new());
    for key in keys {
        match name(&key) {
            Err(error) => refused.push((key, Err(error.into_failure()))),
            Ok(name) => {
                let askers = askers.entry(name.clone()).or_default();
                askers.push(key);
                if askers.len() == 1 {
                    names.push(name);
                }
            }
        }
    }
    let mut reads: HashMap<_, _> = read(names).await.into_iter().collect();
    let answers = askers.into_iter().flat_map(|(name, keys)| {
        let read = reads.remove(&name).unwrap_or(Ok(None));
        let read = read.map_err(ReadError::into_failure);
        keys.into_iter().map(move |key| (key, read.clone()))
    });
    Loaded::of_reads(refused.into_iter().chain(answers))
}
