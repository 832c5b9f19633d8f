//! A price quote from DynamoDB items that are read often and change seldom.
//!
//! Data goes one way: event -> [`request`] -> caches in [`service`] -> [`quote`] -> response.
//! Everything that comes from outside, the environment's variables, is checked once in [`config`].

pub mod config;
pub mod error;
pub mod items;
pub mod lambda;
pub mod metrics;
pub mod quote;
pub mod request;
pub mod service;
