//! The function against a real DynamoDB Local: nothing of the database is imitated.
//!
//! A container is started for the tests and removed after them. Where `AWS_ENDPOINT_URL_DYNAMODB`
//! is set that server is used instead, and no Docker is needed.
#![allow(clippy::unwrap_used)]

mod config;
mod loader;
mod metrics;
mod quote;
mod support;
