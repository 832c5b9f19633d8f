//! A price quote from DynamoDB items that are read often and change seldom.
//!
//! Data goes one way: event -> request -> caches -> quote -> response. [`quote`] is the example, and
//! all that has to be replaced; entry points and tests use it by the names below.

pub mod lambda;
pub mod quote;

pub use quote::{Caches, Error, KEY, Quote as Answer, answer, open};
