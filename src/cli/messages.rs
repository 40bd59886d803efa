//! What goes to standard error: notes, warnings, errors and progress.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use super::{Global, LogFormat};
use crate::codebook::Codebook;
use crate::error::{Error, Kind};
use crate::training::{EpochRecord, Observer};

/// Standard error in the manner the user chose.
#[derive(Clone, Copy, Debug)]
pub struct Messages {
    quiet: bool,
    format: LogFormat,
}

impl Messages {
    /// After the arguments of a command line that was not understood, and the environment.
    pub fn of_misused(arguments: impl Iterator<Item = OsString>) -> Self {
        let mut format = std::env::var_os("CONFIDE_LOG_FORMAT");
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            match argument.to_str() {
                Some("--log-format") => format = arguments.peek().cloned(),
                Some(text) => {
                    let own = text.strip_prefix("--log-format=").map(OsString::from);
                    format = own.or(format);
                }
                None => {}
            }
        }
        let json = format.is_some_and(|format| format == "json");
        Self { quiet: false, format: if json { LogFormat::Json } else { LogFormat::Text } }
    }

    /// Whether messages are JSON objects.
    pub fn are_json(&self) -> bool {
        self.format == LogFormat::Json
    }

    /// After the global flags.
    pub fn new(global: &Global) -> Self {
        Self { quiet: global.quiet, format: global.log_format }
    }

    fn line(&self, level: &str, text: &str, fields: Map<String, Value>) {
        match self.format {
            LogFormat::Json => {
                let mut line = Map::new();
                line.insert("level".into(), level.into());
                line.insert("message".into(), text.trim().into());
                line.extend(fields);
                eprintln!("{}", Value::Object(line));
            }
            LogFormat::Text if level == "note" => eprintln!("{text}"),
            LogFormat::Text => eprintln!("{level}: {text}"),
        }
    }

    /// What is being done; silent with `-q`.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.line("note", text, Map::new());
        }
    }

    /// What is being done, and as fields of their own the figures in it, for the JSON format.
    pub fn note_with(&self, text: &str, fields: Map<String, Value>) {
        if !self.quiet {
            self.line("note", text, fields);
        }
    }

    /// Something that was passed over, with its count.
    pub fn warn(&self, text: &str) {
        self.line("warning", text, Map::new());
    }

    /// Why the command failed.
    pub fn error(&self, error: &Error) {
        self.failure(&error.to_string(), error.exit_code());
    }

    /// Why the command line was not understood.
    pub fn misuse(&self, error: &clap::Error) {
        let text = error.to_string();
        self.failure(text.strip_prefix("error: ").unwrap_or(&text), Kind::Usage.exit_code());
    }

    fn failure(&self, text: &str, exit_code: u8) {
        self.line("error", text, object(json!({"exit_code": exit_code})));
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

/// The fields of a JSON object.
pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// Shows a training: a bar a training, a line an epoch.
pub struct TrainingView<'a> {
    messages: Messages,
    codebook: &'a Codebook,
    bar: Option<ProgressBar>,
    started: Instant,
}

impl<'a> TrainingView<'a> {
    /// A view in the manner the user chose.
    pub fn new(messages: Messages, codebook: &'a Codebook) -> Self {
        Self { messages, codebook, bar: None, started: Instant::now() }
    }
}

impl Observer for TrainingView<'_> {
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
        let seconds = self.started.elapsed().as_secs_f64();
        let mut figures = record.figures(self.codebook);
        if let Some(loss) = record.train_loss {
            figures.insert("train_loss".into(), loss.into());
        }
        figures.insert("best".into(), best.into());
        figures.insert("seconds".into(), seconds.into());
        let text = format!(
            "epoch {:>2}  train loss {loss}  validation loss {:.3}  score {:.3}{}  {:.0} s",
            record.epoch,
            record.validation_loss,
            record.score.mean,
            if best { " *" } else { "  " },
            seconds,
        );
        self.messages.note_with(&text, figures);
    }
}
