//! `log.jsonl`: how a training goes, update by update.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use serde_json::Value;

use super::RunFolder;
use super::event_file::EventFile;
use crate::error::{Error, Result};

/// The log's name in the run folder.
const LOG: &str = "log.jsonl";
/// The folder of the event files.
const EVENTS: &str = "tensorboard";

/// `log.jsonl`, one JSON object a line, cut back to the checkpoint when a run continues.
///
/// Its lines have the fields of the `log_history` in Hugging Face's `trainer_state.json`
/// (<https://huggingface.co/docs/transformers/main_classes/callback>): an update has `step`,
/// `epoch`, `loss`, `learning_rate` and `grad_norm`, an evaluation `step`, `epoch` and `eval_…`.
pub(super) struct Log {
    file: File,
    path: PathBuf,
    length: u64,
    events: Option<EventFile>,
}

impl Log {
    /// Opens the log at this length in bytes; what stands behind it belongs to updates that will
    /// be made again. With `events`, TensorBoard's event file follows it.
    pub fn open(run: &RunFolder, length: u64, events: bool) -> Result<Self> {
        let path = run.file(LOG);
        let failed = |e: std::io::Error| Error::writing(&path, &e);
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
        let length = length.min(file.metadata().map_err(failed)?.len());
        file.set_len(length).map_err(failed)?;
        let events = if events {
            let text = std::fs::read_to_string(&path).map_err(failed)?;
            let lines: Vec<Value> =
                text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            Some(EventFile::follow(&run.file(EVENTS), &lines)?)
        } else {
            None
        };
        Ok(Self { file, path, length, events })
    }

    /// Adds a line.
    pub fn write(&mut self, line: &Value) -> Result<()> {
        let text = format!("{line}\n");
        self.file.write_all(text.as_bytes()).map_err(|e| Error::writing(&self.path, &e))?;
        self.length += text.len() as u64;
        self.events.as_mut().map_or(Ok(()), |events| events.write(line))
    }

    /// Its length in bytes once all of them are on the disk: no checkpoint may know of lines that
    /// a power failure can take away.
    pub fn kept(&self) -> Result<u64> {
        self.file.sync_data().map_err(|e| Error::writing(&self.path, &e))?;
        Ok(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_log_is_cut_back_to_the_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::of(&folder.path().join("bundle"));
        std::fs::create_dir(run.path()).unwrap();
        let mut log = Log::open(&run, 0, false).unwrap();
        log.write(&json!({"step": 1})).unwrap();
        let length = log.kept().unwrap();
        log.write(&json!({"step": 2})).unwrap();
        Log::open(&run, length, false).unwrap();
        assert_eq!(std::fs::read_to_string(run.file(LOG)).unwrap(), "{\"step\":1}\n");
    }
}
