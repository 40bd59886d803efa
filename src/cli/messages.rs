//! What goes to standard error: notes, warnings, errors and progress.

use std::io::IsTerminal;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Global, LogFormat};
use crate::error::Error;
use crate::training::{EpochRecord, Observer};

/// Standard error in the manner the user chose.
#[derive(Clone, Copy, Debug)]
pub struct Messages {
    quiet: bool,
    format: LogFormat,
}

impl Messages {
    /// After the global flags.
    pub fn new(global: &Global) -> Self {
        Self { quiet: global.quiet, format: global.log_format }
    }

    fn line(&self, level: &str, text: &str) {
        match self.format {
            LogFormat::Json => eprintln!("{}", json!({"level": level, "message": text})),
            LogFormat::Text if level == "note" => eprintln!("{text}"),
            LogFormat::Text => eprintln!("{level}: {text}"),
        }
    }

    /// What is being done; silent with `-q`.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.line("note", text);
        }
    }

    /// Something that was passed over, with its count.
    pub fn warn(&self, text: &str) {
        self.line("warning", text);
    }

    /// Why the command failed.
    pub fn error(&self, error: &Error) {
        self.line("error", &error.to_string());
    }

    /// A bar on terminals; nothing in a pipe or with `-q`.
    pub fn bar(&self, total: u64, unit: &str) -> ProgressBar {
        let shown =
            !self.quiet && self.format == LogFormat::Text && std::io::stderr().is_terminal();
        if !shown {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(total);
        let template =
            format!("{{prefix}} [{{bar:30}}] {{pos}}/{{len}} {unit} {{msg}} (eta {{eta}})");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar
    }
}

/// Shows a training: a bar a training, a line an epoch.
pub struct TrainingView {
    messages: Messages,
    bar: Option<ProgressBar>,
    started: Instant,
}

impl TrainingView {
    /// A view in the manner the user chose.
    pub fn new(messages: Messages) -> Self {
        Self { messages, bar: None, started: Instant::now() }
    }
}

impl Observer for TrainingView {
    fn resumed(&mut self, epoch: usize, batch: usize) {
        self.messages.note(&format!(
            "continuing an earlier training at epoch {}, batch {}",
            epoch + 1,
            batch + 1
        ));
    }

    fn batch(&mut self, epoch: usize, epochs: usize, batch: usize, batches: usize, loss: f64) {
        let bar = self.bar.get_or_insert_with(|| self.messages.bar(batches as u64, "batches"));
        bar.set_length(batches as u64);
        bar.set_prefix(format!("epoch {epoch}/{epochs}"));
        bar.set_message(format!("loss {loss:.3}"));
        bar.set_position(batch as u64);
    }

    fn epoch(&mut self, record: &EpochRecord, best: bool) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let loss = record.train_loss.map_or_else(|| "      ".into(), |l| format!("{l:6.3}"));
        self.messages.note(&format!(
            "epoch {:>2}  train loss {loss}  validation loss {:.3}  score {:.3}{}  {:.0} s",
            record.epoch,
            record.validation_loss,
            record.score.mean,
            if best { " *" } else { "  " },
            self.started.elapsed().as_secs_f64(),
        ));
    }
}
