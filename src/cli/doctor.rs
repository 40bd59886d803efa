//! `confide doctor`.

use clap::Args;

use super::{Global, Outcome, pending};
use crate::error::Result;

/// (to come)
#[derive(Debug, Args)]
pub struct DoctorArgs {}

pub fn run(_args: &DoctorArgs, _global: &Global) -> Result<Outcome> {
    pending("doctor")
}
