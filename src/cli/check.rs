//! `confide check`.

use clap::Args;

use super::{Global, Outcome, pending};
use crate::error::Result;

/// (to come)
#[derive(Debug, Args)]
pub struct CheckArgs {}

pub fn run(_args: &CheckArgs, _global: &Global) -> Result<Outcome> {
    pending("check")
}
