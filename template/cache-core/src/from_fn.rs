//! A loader from a closure, with a type that can be named.

use std::collections::HashMap;
use std::pin::Pin;

use futures_util::future::join_all;

use crate::{Deadline, Failure, Found, Key, Loaded, Loader, Value};

type Loading<K, V, E> = Pin<Box<dyn Future<Output = Result<Loaded<K, V, E>, E>> + Send>>;

type Load<K, V, E> = dyn Fn(Vec<K>, Deadline) -> Loading<K, V, E> + Send + Sync;

/// The loader that [`from_fn`] and [`from_fn_many`] make.
pub struct FromFn<K, V, E> {
    load: Box<Load<K, V, E>>,
    is_many: bool,
}

/// Loads each key with a closure, many keys at the same time. `Ok(None)` is an absence.
///
/// An error is an outage of the source, which holds back further loads of any key for a moment where
/// it met every key of a batch, or a second key, unless the closure says that it is about its key:
/// `Err(Failure::Key(error))`. A `?` makes an outage of it.
///
/// ```
/// use cache_core::{Cache, Deadline, Failure, from_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let squares = from_fn(|n: u32, _until| async move {
///     Ok::<_, Failure<String>>(n.checked_mul(n))
/// });
/// let cache = Cache::builder(squares).memory(1 << 20, |_, _| 0).build()?;
/// assert_eq!(cache.get(&7, &Deadline::none()).await?, Some(49));
/// assert_eq!(cache.get(&u32::MAX, &Deadline::none()).await?, None);
/// # Ok(())
/// # }
/// ```
///
/// Spawn nothing in it: what is spawned runs on behind the response, where Lambda freezes it.
pub fn from_fn<K, V, E, F, R>(load: F) -> FromFn<K, V, E>
where
    K: Key,
    V: Value,
    E: Send + 'static,
    F: Fn(K, Deadline) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Option<V>, Failure<E>>> + Send + 'static,
{
    let load = Box::new(move |keys: Vec<K>, until: Deadline| -> Loading<K, V, E> {
        let loads = join_all(keys.iter().map(|key| load(key.clone(), until.clone())));
        Box::pin(async move {
            let reads = loads.await.into_iter();
            let reads = reads.map(|read| read.map(|value| value.map(Found::from)));
            Loaded::of_reads(keys.into_iter().zip(reads))
        })
    });
    FromFn {
        load,
        is_many: false,
    }
}

/// Loads many keys with one call of a closure. A key that is not in the map is an absence, and an
/// error is an outage.
pub fn from_fn_many<K, V, E, F, R>(load: F) -> FromFn<K, V, E>
where
    K: Key,
    V: Value,
    E: Send + 'static,
    F: Fn(Vec<K>, Deadline) -> R + Send + Sync + 'static,
    R: Future<Output = Result<HashMap<K, V>, E>> + Send + 'static,
{
    let load = Box::new(move |keys: Vec<K>, until: Deadline| -> Loading<K, V, E> {
        let load = load(keys, until);
        Box::pin(async move {
            let found = load.await?.into_iter();
            Ok(Loaded {
                found: found.map(|(key, value)| (key, value.into())).collect(),
                ..Loaded::default()
            })
        })
    });
    FromFn {
        load,
        is_many: true,
    }
}

impl<K, V, E> Loader<K, V> for FromFn<K, V, E>
where
    K: Key,
    V: Value,
    E: std::fmt::Display + Send + Sync + 'static,
{
    type Error = E;

    async fn load(&self, keys: Vec<K>, until: Deadline) -> Result<Loaded<K, V, E>, E> {
        (self.load)(keys, until).await
    }

    fn reads_together(&self) -> bool {
        self.is_many
    }
}
