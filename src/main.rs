//! The `confide` command; everything it does is in the library.

use std::process::ExitCode;

#[global_allocator]
static MEMORY: confide::cli::Memory = confide::cli::Memory;

fn main() -> ExitCode {
    confide::cli::main()
}
