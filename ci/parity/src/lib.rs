//! Has tests alone: the generator against cargo-generate, used as a library.
