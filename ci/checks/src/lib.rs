//! What the checks of this repository share.

pub mod database;
pub mod lint;
pub mod proxy;
