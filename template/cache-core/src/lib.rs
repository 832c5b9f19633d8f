//! A read-through cache that lives in one Lambda execution environment, across its warm
//! invocations.
//!
//! Lambda keeps the process alive between invocations, so what is held outside the handler
//! survives, and a read that cost milliseconds costs microseconds. A map with a time to live does
//! that on a good day. This crate is for the others: the environment is frozen between
//! invocations and clocks stall or step; many tasks ask for the same key at once; DynamoDB is
//! slow, throttles or is away; memory is small and Lambda kills what exceeds it.
//!
//! moka stores, weighs and evicts. This crate owns time, loading and failure, and what a function
//! needs around its caches.
//!
//! # A lookup's way
//!
//! ```text
//!  get(key, deadline)
//!        |
//!        v
//!   fresh entry? --- yes ----------------------------------> value, or known absence
//!        | no
//!        v
//!   load of the key under way? --- yes --- join it ---+
//!        | no                                         |
//!        v                                            |
//!   a failure of the last moments? --- yes --+        |
//!        | no                                |        |
//!        v                                   |        v
//!   start a load ----------------------------|----> wait, until the deadline
//!                                            |        |
//!                                            v        v
//!                       expired value within  <--- failed or late?
//!                       stale-if-error, or           | no
//!                       the error                    v
//!                                             store, unless invalidated meanwhile --> value
//! ```
//!
//! Who waits for a load drives it: there is no task behind it, so nothing runs on behind a
//! response, where Lambda would freeze it. Who goes away leaves the others their load. A load is
//! joined as long as an answer with the declared TTLs would be fresh, and nobody has waited for it in vain.
//!
//! # The clock rule
//!
//! **An entry's age is the larger of what the monotonic and the wall clock say since before its
//! read was sent; a clock that ran backwards means expired.** Nobody promises that the monotonic
//! clock goes on in a frozen environment, and wall clocks are stepped. See [`clock`].
//!
//! # Example
//!
//! ```
//! use std::collections::HashMap;
//! use std::time::Duration;
//! use cache_core::{Cache, Deadline, Found, Loaded, Loader, TtlPolicy};
//!
//! struct Lengths;
//!
//! impl Loader<String, usize> for Lengths {
//!     type Error = std::convert::Infallible;
//!
//!     async fn load(
//!         &self,
//!         keys: Vec<String>,
//!         _until: Deadline,
//!     ) -> Result<Loaded<String, usize, Self::Error>, Self::Error> {
//!         let found = |key: String| (key.clone(), Found { value: key.len(), expires_at: None });
//!         Ok(Loaded { found: keys.into_iter().map(found).collect(), ..Loaded::default() })
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cache = Cache::builder(Lengths)
//!     .ttl(TtlPolicy::Fixed(Duration::from_secs(60)))
//!     .memory(1024 * 1024, |key: &String, _value| key.capacity())
//!     .build()?;
//!
//! let deadline = Deadline::after(Duration::from_secs(1));
//! assert_eq!(cache.get("four", &deadline).await?, Some(4));
//! assert_eq!(cache.get("four", &deadline).await?, Some(4));
//! assert_eq!(cache.stats().loads, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # In a function
//!
//! A function declares its kinds of data with [`caches!`], one line each: a source (an item, a Query,
//! a closure), how long it lives, its part of the memory. The [`environment`] changes that at
//! deployment, [`metrics`] say what the caches do, and an [`invocation`] ends in time. [`kinds`] holds
//! it together; this crate knows nothing of `lambda_runtime`.
//!
//! Sources: [`dynamodb`] for items and Queries; with the features of these names `http`, `parameters` and `secrets`;
//! [`from_fn`] for a closure, [`Loader`] for the rest. With the feature `shared` a second level that all environments
//! share can stand before any of them.
//!
//! # Choosing keys
//!
//! One environment serves invocations of many callers, one after another or at once. **Whatever
//! changes the answer belongs into the key**: the tenant, and the principal where what may be seen
//! depends on who asks.
//!
//! ```
//! # use cache_core::{caches, dynamodb::{Items, Table}};
//! # #[derive(serde::Deserialize, mem_dbg::MemSize)]
//! # struct Document { title: String }
//! #[derive(Clone, Debug, PartialEq, Eq, Hash, mem_dbg::MemSize)]
//! struct DocumentKey {
//!     tenant: String,
//!     document: String,
//! }
//!
//! caches! {
//!     struct Caches(table: &Table) {
//!         documents: Items<DocumentKey, Document> = table.item(|key| {
//!             (format!("TENANT#{}", key.tenant), format!("DOCUMENT#{}", key.document))
//!         });
//!     }
//! }
//! ```
//!
//! Cache what was read, not what was decided: a permission cached for a minute is a permission
//! that cannot be withdrawn for a minute.
//!
//! # After your own writes, and after a restore
//!
//! [`Cache::put`] after a write stores what was written, and [`Cache::invalidate`] makes this
//! environment read again. Neither can reach the other environments: they answer with what they have until its time to
//! live is over. Those of a kind with a second level do, within seconds; where all must agree at once, read without a
//! cache.
//!
//! An environment restored from a snapshot starts with the entries and the clocks of the moment
//! when it was taken. Register an after-restore hook that calls [`Cache::invalidate_all`].

mod ahead;
mod backoff;
mod builder;
mod cache;
pub mod clock;
mod deadline;
pub mod dynamodb;
pub mod environment;
mod error;
mod flight;
mod from_fn;
#[cfg(feature = "http")]
pub mod http;
pub mod invocation;
pub mod kinds;
mod loader;
mod max_age;
pub mod metrics;
#[cfg(feature = "parameters")]
pub mod parameters;
#[cfg(feature = "secrets")]
pub mod secrets;
#[cfg(feature = "shared")]
pub mod shared;
mod source;
mod stats;
mod store;
mod ttl;

pub use builder::Builder;
pub use cache::Cache;
pub use deadline::Deadline;
pub use error::{ConfigError, Error};
pub use from_fn::{FromFn, from_fn, from_fn_many};
pub use loader::{Failure, Found, Key, Loaded, Loader, Value};
pub use source::{ReadError, limits};
pub use stats::Stats;
pub use store::LEAST_MEMORY;
pub use ttl::TtlPolicy;

use std::sync::{Mutex, MutexGuard};

/// A panic under one of this crate's locks leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
