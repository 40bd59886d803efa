//! `confide classify`.

use clap::Args;

use super::{Global, Outcome, pending};
use crate::error::Result;

/// (to come)
#[derive(Debug, Args)]
pub struct ClassifyArgs {}

pub fn run(_args: &ClassifyArgs, _global: &Global) -> Result<Outcome> {
    pending("classify")
}
