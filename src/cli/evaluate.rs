//! `confide evaluate`.

use clap::Args;

use super::{Global, Outcome, pending};
use crate::error::Result;

/// (to come)
#[derive(Debug, Args)]
pub struct EvaluateArgs {}

pub fn run(_args: &EvaluateArgs, _global: &Global) -> Result<Outcome> {
    pending("evaluate")
}
