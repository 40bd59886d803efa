//! `confide train`.

use clap::Args;

use super::{Global, Outcome, pending};
use crate::error::Result;

/// (to come)
#[derive(Debug, Args)]
pub struct TrainArgs {}

pub fn run(_args: &TrainArgs, _global: &Global) -> Result<Outcome> {
    pending("train")
}
