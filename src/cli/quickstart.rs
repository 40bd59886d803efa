//! `confide quickstart`.

use clap::Args;

use super::{Global, Outcome, pending};
use crate::error::Result;

/// (to come)
#[derive(Debug, Args)]
pub struct QuickstartArgs {}

pub fn run(_args: &QuickstartArgs, _global: &Global) -> Result<Outcome> {
    pending("quickstart")
}
