//! What property tests have in common.

use proptest::test_runner::{Config, RngSeed};

/// The same cases in every run, and no file of failures beside the code.
pub fn repeatable() -> Config {
    Config { failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..Config::default() }
}
