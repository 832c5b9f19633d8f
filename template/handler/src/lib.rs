//! A Lambda function that answers from DynamoDB items, most of them from memory.
//!
//! Data goes one way: event -> request -> caches -> answer. [`domain`] is all that has to be replaced;
//! entry points and tests use it by the names below.

pub mod domain;
pub mod lambda;

pub use domain::{Answer, Caches, Error, KEY, answer, open};
