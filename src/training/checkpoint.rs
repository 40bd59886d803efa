//! The folder of a run: its plan, and checkpoints from which it continues.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{EpochRecord, Plan};
use crate::corpus::WholeFile;
use crate::encoder::save_weights;
use crate::error::{Error, Result};

const CHECKPOINT: &str = "checkpoint.safetensors";
const STATE: &str = "state";
/// Its presence says that the training takes the place of an earlier one, whose bundle still stands.
const REPLACES: &str = "replaces";

/// `<bundle>.run/`: everything about a training that its bundle does not hold.
#[derive(Clone, Debug)]
pub struct RunFolder {
    folder: PathBuf,
}

/// Keeps other processes from the training of a run folder for as long as it lives.
#[derive(Debug)]
pub struct RunLock(
    #[allow(dead_code, reason = "the lock goes when the file is closed")] Option<File>,
);

/// Where a training stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// The epoch in progress, from 0.
    pub epoch: usize,
    /// The next batch of it.
    pub batch: usize,
    /// Updates made.
    pub steps: u64,
    /// Sum of the batch losses of the epoch so far.
    pub loss: f64,
    /// The epochs that are done.
    pub history: Vec<EpochRecord>,
    /// The best epoch so far, counted from 1; 0 is the start.
    pub best: Option<usize>,
    /// Whether all epochs are done.
    pub finished: bool,
    /// Length of `log.jsonl` in bytes at this point.
    pub log: u64,
}

impl RunFolder {
    /// The run folder of a bundle.
    pub fn of(bundle: &Path) -> Self {
        let mut name = bundle.file_name().unwrap_or_default().to_os_string();
        name.push(".run");
        Self { folder: bundle.with_file_name(name) }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file of the folder whole.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        WholeFile::write_all_to(&self.file(name), bytes)
    }

    /// Takes the folder, which is made if it is not there, for this process alone.
    ///
    /// # Errors
    /// If another process has it, or it cannot be made.
    pub fn lock(&self) -> Result<RunLock> {
        std::fs::create_dir_all(&self.folder).map_err(|e| Error::writing(&self.folder, &e))?;
        // Systems on which a folder cannot be opened, or not be locked, go without.
        let Ok(folder) = File::open(&self.folder) else { return Ok(RunLock(None)) };
        match folder.try_lock() {
            Err(TryLockError::WouldBlock) => Err(Error::usage("this output is being written")
                .at(self.folder.with_extension("").display().to_string())
                .advise("wait for the other run, or choose another name")),
            _ => Ok(RunLock(Some(folder))),
        }
    }

    /// Empties the folder, so that a training begins anew; if it `replaces` an earlier bundle, that
    /// stays until the new one is whole.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn clear(&self, replaces: bool) -> Result<()> {
        let failed = |path: &Path, e: std::io::Error| Error::writing(path, &e);
        let entries = std::fs::read_dir(&self.folder).map_err(|e| failed(&self.folder, e))?;
        for entry in entries {
            let path = entry.map_err(|e| failed(&self.folder, e))?.path();
            let removed = match path.is_dir() && !path.is_symlink() {
                true => std::fs::remove_dir_all(&path),
                false => std::fs::remove_file(&path),
            };
            removed.map_err(|e| failed(&path, e))?;
        }
        if replaces { self.write(REPLACES, b"") } else { Ok(()) }
    }

    /// Whether an unfinished training here takes the place of a bundle that still stands.
    pub fn replaces(&self) -> bool {
        self.file(REPLACES).exists()
    }

    /// Opens the folder for this plan. Returns whether an earlier run of the same plan is to be
    /// continued.
    ///
    /// # Errors
    /// If a run of another plan is in the way: what differs is named.
    pub fn open(&self, plan: &Plan) -> Result<bool> {
        let file = self.file("plan.json");
        if let Some(text) = there(&file)? {
            let found: Plan = serde_json::from_slice(&text).map_err(|_| {
                Error::usage("this is not the plan of a training")
                    .at(file.display().to_string())
                    .advise("choose another output, or --force to start over")
            })?;
            let differences = found.differences(plan);
            if !differences.is_empty() {
                return Err(Error::usage(format!(
                    "an unfinished training is here that cannot be continued: changed since then: {}",
                    differences.join(", ")
                ))
                .at(self.folder.display().to_string())
                .advise("undo the change, choose another output, or --force to start over"));
            }
            self.sweep();
            return Ok(true);
        }
        std::fs::create_dir_all(&self.folder).map_err(|e| Error::writing(&self.folder, &e))?;
        self.sweep();
        self.write("plan.json", &json(plan)?)?;
        Ok(false)
    }

    /// Removes the folder if the training in it never reached a checkpoint: nothing is lost, and
    /// a corrected command is not held up by it.
    pub fn discard_unbegun(&self) {
        if !self.file(CHECKPOINT).exists() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }

    /// Removes what an earlier process left half-written.
    fn sweep(&self) {
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|e| e == "tmp") {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// Removes checkpoints once they are no longer needed.
    pub fn remove_checkpoints(&self) {
        let _ = std::fs::remove_file(self.file(REPLACES));
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|e| e == "safetensors") {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    pub(super) fn save(
        &self,
        state: &State,
        weights: BTreeMap<String, Tensor>,
        moments: BTreeMap<String, Tensor>,
    ) -> Result<()> {
        let mut tensors = moments;
        tensors.extend(weights.into_iter().map(|(n, t)| (format!("weight.{n}"), t)));
        let state = String::from_utf8_lossy(&json(state)?).into_owned();
        let metadata = HashMap::from([(STATE.to_owned(), state)]);
        self.write(CHECKPOINT, &save_weights(&tensors, Some(metadata))?)
    }

    pub(super) fn load(&self) -> Result<Option<(State, HashMap<String, Tensor>)>> {
        let path = self.file(CHECKPOINT);
        let Some(bytes) = there(&path)? else { return Ok(None) };
        let damaged = || {
            Error::model("the checkpoint is damaged")
                .at(path.display().to_string())
                .advise("--force starts the training over")
        };
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).map_err(|_| damaged())?;
        let state = header.metadata().as_ref().and_then(|m| m.get(STATE)).ok_or_else(damaged)?;
        let state = serde_json::from_str(state).map_err(|_| damaged())?;
        let tensors =
            candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).map_err(|_| damaged())?;
        Ok(Some((state, tensors)))
    }

    fn best_name(epoch: usize) -> String {
        format!("best-{epoch}.safetensors")
    }

    pub(super) fn save_best(&self, epoch: usize, weights: &BTreeMap<String, Tensor>) -> Result<()> {
        self.write(&Self::best_name(epoch), &save_weights(weights, None)?)
    }

    pub(super) fn load_best(&self, epoch: usize) -> Result<BTreeMap<String, Tensor>> {
        let path = self.file(&Self::best_name(epoch));
        let tensors = candle_core::safetensors::load(&path, &Device::Cpu).map_err(|_| {
            Error::model("the best weights so far cannot be read")
                .at(path.display().to_string())
                .advise("--force starts the training over")
        })?;
        Ok(tensors.into_iter().collect())
    }

    pub(super) fn remove_best(&self, epoch: usize) {
        let _ = std::fs::remove_file(self.file(&Self::best_name(epoch)));
    }
}

/// The bytes of a file; `None` if there is none. One that cannot be read must not be taken for none:
/// the training would begin anew over it.
fn there(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::reading(path, &error)),
    }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value)
        .map_err(|e| Error::resource(format!("the state cannot be written: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: u64) -> Plan {
        let s = String::new;
        Plan {
            version: s(),
            seed,
            recipe: s(),
            data: s(),
            codebook: s(),
            base: s(),
            kernel: s(),
            folds: None,
            unlabelled: None,
            teachers: None,
        }
    }

    #[test]
    fn another_plan_is_refused_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::of(&folder.path().join("bundle"));
        assert!(!run.open(&plan(1)).unwrap());
        assert!(run.open(&plan(1)).unwrap());
        let error = run.open(&plan(2)).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("seed"));
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_absent() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::of(&folder.path().join("bundle"));
        // A folder is there and cannot be read as a file.
        std::fs::create_dir_all(run.file("plan.json")).unwrap();
        assert_eq!(run.open(&plan(1)).unwrap_err().exit_code(), 3);
        std::fs::create_dir_all(run.file(CHECKPOINT)).unwrap();
        assert_eq!(run.load().unwrap_err().exit_code(), 3);
    }

    #[test]
    fn one_process_at_a_time_and_what_stood_is_emptied() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::of(&folder.path().join("bundle"));
        let first = run.lock().unwrap();
        let error = run.lock().unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("bundle:"), "{error}");
        drop(first);
        let _lock = run.lock().unwrap();
        run.open(&plan(1)).unwrap();
        std::fs::create_dir_all(run.file("folds-2/1")).unwrap();
        assert!(!run.replaces());
        run.clear(true).unwrap();
        assert!(run.replaces() && std::fs::read_dir(run.path()).unwrap().count() == 1);
        run.remove_checkpoints();
        assert!(!run.replaces());
    }

    #[test]
    fn a_checkpoint_reads_back_and_a_damaged_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::of(&folder.path().join("bundle"));
        run.open(&plan(1)).unwrap();
        assert!(run.load().unwrap().is_none());
        let tensor = Tensor::new(&[1f32, 2.0], &Device::Cpu).unwrap();
        let state = State { epoch: 3, batch: 7, ..State::default() };
        let weights = BTreeMap::from([("a".to_owned(), tensor)]);
        run.save(&state, weights, BTreeMap::new()).unwrap();
        let (found, tensors) = run.load().unwrap().unwrap();
        assert_eq!(found, state);
        assert_eq!(tensors["weight.a"].to_vec1::<f32>().unwrap(), [1.0, 2.0]);
        std::fs::write(run.file(CHECKPOINT), b"short").unwrap();
        assert_eq!(run.load().unwrap_err().exit_code(), 4);
    }
}
