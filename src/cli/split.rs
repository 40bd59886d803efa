//! `confide split`.

use clap::Args;

use super::{Global, Outcome, pending};
use crate::error::Result;

/// (to come)
#[derive(Debug, Args)]
pub struct SplitArgs {}

pub fn run(_args: &SplitArgs, _global: &Global) -> Result<Outcome> {
    pending("split")
}
