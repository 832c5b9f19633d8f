//! A read-through cache that lives in one Lambda execution environment, across its warm
//! invocations.
#![doc = "TODO"]

mod backoff;
mod builder;
mod cache;
pub mod clock;
mod deadline;
pub mod dynamodb;
mod error;
mod flight;
mod loader;
mod stats;
mod store;
mod ttl;

pub use builder::Builder;
pub use cache::Cache;
pub use deadline::Deadline;
pub use error::{ConfigError, Error};
pub use loader::{Found, Loaded, Loader};
pub use stats::Stats;
pub use ttl::TtlPolicy;
