//! The binary: all of it is in the library, so that a release can make a manual page of the same.

use std::process::ExitCode;

fn main() -> ExitCode {
    cached_lambda::main()
}
