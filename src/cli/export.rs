//! `confide export`: a bundle for other programs.

use std::path::PathBuf;

use clap::Args;
use clap::builder::FalseyValueParser;

use super::messages::Messages;
use super::{Global, Outcome};
use crate::bundle::{export_merged, export_tier};
use crate::corpus::refuse_existing;
use crate::error::Result;

/// Writes one tier of a bundle, or its encoder, as a plain Hugging Face model folder
#[derive(Debug, Args)]
#[command(
    after_long_help = "Example:\n  confide export bundle --tier attitude -o attitude-model\n\n\
    Python's transformers loads the folder with AutoModelForSequenceClassification, with the\n\
    bundle's logits. What a plain folder cannot hold is told."
)]
pub struct ExportArgs {
    /// The folder that train wrote
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// The tier to write as a model for sequence classification
    #[arg(long, value_name = "TIER", env = "CONFIDE_TIER", required_unless_present = "merged")]
    tier: Option<String>,
    /// Write the encoder alone, its adapter merged into its weights
    #[arg(long, env = "CONFIDE_MERGED", conflicts_with = "tier", value_parser = FalseyValueParser::new())]
    merged: bool,
    /// The folder to write
    #[arg(short, long, value_name = "DIR", env = "CONFIDE_OUTPUT")]
    output: PathBuf,
    /// The encoder of a bundle that holds an adapter, if it is not found by its name
    #[arg(long, value_name = "MODEL", env = "CONFIDE_BASE")]
    base: Option<String>,
    /// Replace a folder that exists
    #[arg(long, env = "CONFIDE_FORCE", value_parser = FalseyValueParser::new())]
    force: bool,
}

pub fn run(args: &ExportArgs, global: &Global) -> Result<Outcome> {
    let messages = Messages::new(global);
    refuse_existing(&args.output, args.force)?;
    let base = args.base.as_deref();
    let exported = match &args.tier {
        Some(tier) => export_tier(&args.bundle, base, tier, &args.output)?,
        None => export_merged(&args.bundle, base, &args.output)?,
    };
    for what in &exported.left_out {
        messages.warn(&format!("the folder does not carry over {what}"));
    }
    messages.note(&format!("wrote {}", args.output.display()));
    Ok(Outcome::Done)
}
