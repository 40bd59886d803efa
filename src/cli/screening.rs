//! `--crisis`: texts screened for people in danger, whatever the codebook.

use std::path::PathBuf;

use clap::Args;
use clap::builder::FalseyValueParser;
use time::{Duration, OffsetDateTime};

use super::messages::Messages;
use crate::crisis::Screen;
use crate::encoder::kernels::Level;
use crate::error::Result;
use crate::inference::{Counts, CrisisFile};

/// Whether and how texts are screened.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Screening for crises (English; read CRISIS.md first)")]
pub struct CrisisArgs {
    /// Add crisis (crisis, no_crisis, not_screened) and crisis_p, put rows that may show a person in
    /// danger in review, and list them in a file of their own. It misses some: it is no monitoring
    #[arg(long, env = "CONFIDE_CRISIS", value_parser = FalseyValueParser::new())]
    crisis: bool,
    /// The file for the person responsible [default: OUTPUT.crisis.csv]
    #[arg(long, value_name = "FILE", env = "CONFIDE_CRISIS_FILE", requires = "crisis")]
    crisis_file: Option<PathBuf>,
    /// Days after which that file is to be deleted: the date stands in it
    #[arg(long, value_name = "N", env = "CONFIDE_CRISIS_DAYS", default_value_t = 30,
        requires = "crisis", value_parser = clap::value_parser!(u16).range(1..))]
    crisis_days: u16,
}

impl CrisisArgs {
    /// Whether texts are screened.
    pub fn is_asked(&self) -> bool {
        self.crisis
    }

    /// What screens, if it was asked for, and the file of what it flags.
    ///
    /// # Errors
    /// If this build holds no screen.
    pub fn screen(&self, level: Level) -> Result<Option<(Screen, CrisisFile)>> {
        if !self.crisis {
            return Ok(None);
        }
        let day = OffsetDateTime::now_utc() + Duration::days(i64::from(self.crisis_days));
        let delete_by = format!("{:04}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day());
        Ok(Some((
            Screen::shipped(level)?,
            CrisisFile { path: self.crisis_file.clone(), delete_by },
        )))
    }
}

/// Says that nothing was screened.
pub fn tell_not_screened(messages: &Messages) {
    messages.note("no text was screened for people in danger; --crisis does so, see CRISIS.md");
}

/// Says what a screening found, and what that is worth.
pub fn tell_screened(counts: &Counts, file: &str, messages: &Messages) {
    let text = format!(
        "{} rows may show a person in danger: {file} lists them for the person responsible; {} rows were \
         not screened. The screen misses some, and flags many for nothing: see CRISIS.md",
        counts.crisis, counts.not_screened
    );
    match counts.crisis > 0 || counts.not_screened > 0 {
        true => messages.warn(&text),
        false => messages.note(&text),
    }
}
