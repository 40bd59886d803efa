//! Unfinished work in `<output>.partial/`, and how it becomes the output.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use super::budget::{Worth, choose};
use super::crisis_file::CrisisRows;
use super::ledger::Ledger;
use super::places::{Places, open_part};
use super::second_pass::mark_rows;
use super::sink::Sink;
use super::state::{Counts, State, WorkPlan};
use crate::corpus::{Format, Row, TableWriter, refuse_existing};
use crate::error::{Error, Result};

/// What an output's name leads to.
pub(super) enum Work {
    /// Nothing is done yet.
    Fresh {
        /// Whether an output that stands is to be replaced.
        replaces: bool,
    },
    /// An earlier run came this far.
    Resumed(Box<State>),
    /// An earlier run did everything; its files now have their names.
    Finished(Counts),
}

/// Looks for unfinished work of the same plan; refuses what is in the way, unless `force`,
/// which discards unfinished work and has an output replaced once the new one is whole.
///
/// # Errors
/// A usage error for an output that exists, or for unfinished work of another plan.
pub(super) fn find_work(places: &Places, plan: &WorkPlan, force: bool) -> Result<Work> {
    if places.folder.is_dir() && places.part().exists() {
        places.lock()?;
    }
    if force {
        places.discard();
        for path in [&places.output, &places.rejects, &places.crisis] {
            if path.is_dir() {
                return Err(Error::usage("this is a folder, not a file")
                    .at(path.display().to_string())
                    .advise("choose another name for the output"));
            }
        }
        let replaces =
            [&places.output, &places.rejects].iter().any(|path| path.symlink_metadata().is_ok());
        return Ok(Work::Fresh { replaces });
    }
    let state = State::read(&places.state())?;
    let own = state.as_ref().filter(|state| state.plan == *plan);
    let finished = own.is_some_and(|state| state.finished);
    let replaces = own.is_some_and(|state| state.replaces);
    if !finished || places.part().exists() {
        refuse_existing(&places.output, replaces)?;
    }
    if !finished {
        refuse_existing(&places.rejects, replaces)?;
    }
    if own.is_none() && plan.screens() {
        refuse_existing(&places.crisis, replaces)?;
    }
    let Some(state) = state else { return Ok(Work::Fresh { replaces: false }) };
    let differences = state.plan.differences(plan);
    if !differences.is_empty() {
        return Err(Error::usage(format!(
            "there is unfinished work that differs in {}",
            differences.join(", ")
        ))
        .at(places.folder.display().to_string())
        .advise("run the earlier command again to finish it, or --force to discard it"));
    }
    if finished && (places.part().exists() || places.output.exists()) {
        places.settle(&state.counts, replaces)?;
        return Ok(Work::Finished(state.counts));
    }
    Ok(match plan.is_resumable() && !finished {
        true => Work::Resumed(Box::new(state)),
        false => Work::Fresh { replaces },
    })
}

/// What a table begins with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start<'a> {
    /// The columns of the output.
    pub columns: &'a [String],
    /// Those of the input.
    pub input: &'a [String],
    pub format: Format,
    /// The day by which rows that show a crisis are to be deleted, if they are looked for.
    pub delete_by: Option<&'a str>,
}

/// A table that is written to `<output>.partial/` and becomes the output when it is whole.
pub(super) struct PartialSink {
    places: Places,
    state: State,
    coded: TableWriter<BufWriter<File>>,
    rejects: TableWriter<BufWriter<File>>,
    /// What hand coding rows is worth, if some are to be chosen.
    ledger: Option<Ledger>,
    /// The rows that show a crisis, if they are looked for.
    crisis: Option<CrisisRows>,
    format: Format,
    columns: Vec<String>,
}

impl PartialSink {
    /// Begins the work, or continues it after its last whole window; `replaces` as in [`State`].
    ///
    /// # Errors
    /// If the folder cannot be written, or the unfinished work is damaged.
    pub fn open(
        places: &Places,
        plan: WorkPlan,
        resumed: Option<State>,
        replaces: bool,
        start: Start,
    ) -> Result<Self> {
        let Start { columns, input, format, delete_by } = start;
        let folder = &places.folder;
        if !folder.is_dir() {
            std::fs::create_dir(folder).map_err(|e| Error::writing(folder, &e))?;
        }
        let part = places.lock()?;
        let path = places.list();
        let list = open_part(&path)?;
        let listed: Vec<String> = ["row", "line", "reason", "detail"].map(String::from).into();
        let list_format = Format::Csv { delimiter: b',' };
        let fresh = resumed.is_none();
        let state = resumed.unwrap_or(State {
            plan,
            bytes: 0,
            reject_bytes: 0,
            crisis_bytes: None,
            delete_by: delete_by.map(str::to_owned),
            counts: Counts::default(),
            finished: false,
            replaces,
        });
        let part = cut(part, &places.part(), state.bytes)?;
        let list = cut(list, &path, state.reject_bytes)?;
        let failed = |e: std::io::Error| Error::writing(folder, &e);
        let harmless = state.plan.columns.spreadsheet_safe;
        let (coded, rejects) = if fresh {
            (
                TableWriter::new(part, format, columns).map_err(failed)?,
                TableWriter::new(list, list_format, &listed).map_err(failed)?,
            )
        } else {
            (
                TableWriter::resume(part, format, columns),
                TableWriter::resume(list, list_format, &listed),
            )
        };
        let coded = coded.harmless(harmless);
        let ledger = match state.plan.budget {
            Some(_) => Some(Ledger::open(&places.worth(), state.counts.rows)?),
            None => None,
        };
        let open = |day: &String| {
            CrisisRows::open(places, state.crisis_bytes, input, day.clone(), harmless)
        };
        let crisis = state.delete_by.as_ref().map(open).transpose()?;
        let (places, columns) = (places.clone(), columns.to_vec());
        let mut sink = Self { places, state, coded, rejects, ledger, crisis, format, columns };
        if fresh {
            sink.save()?;
        }
        Ok(sink)
    }

    fn save(&mut self) -> Result<()> {
        let failed = |e: std::io::Error| Error::writing(&self.places.output, &e);
        self.state.bytes = durable(&mut self.coded).map_err(failed)?;
        self.state.reject_bytes = durable(&mut self.rejects).map_err(failed)?;
        if let Some(ledger) = &mut self.ledger {
            ledger.save()?;
        }
        if let Some(crisis) = &mut self.crisis {
            self.state.crisis_bytes = Some(crisis.save()?);
        }
        self.state.write(&self.places.state())
    }

    /// Chooses rows for hand coding, if so many are to be chosen, and gives the output its name.
    ///
    /// # Errors
    /// If it cannot be written or renamed; the same command then tries again.
    pub fn finish(mut self) -> Result<Counts> {
        self.tell_crises()?;
        if let Some(budget) = self.state.plan.budget {
            self.save()?;
            let rows = Ledger::read(&self.places.worth(), self.state.counts.rows)?;
            let chosen = choose(&rows, budget);
            let (part, marked) = (self.places.part(), self.places.chosen());
            let new = mark_rows(&part, &marked, self.format, &self.columns, &chosen)?;
            self.state.counts.review += new;
        }
        self.state.finished = true;
        self.save()?;
        self.places.settle(&self.state.counts, self.state.replaces)?;
        Ok(self.state.counts)
    }

    /// Gives the file of rows that show a crisis all of them, if they are looked for.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn tell_crises(&mut self) -> Result<()> {
        self.crisis.as_mut().map_or(Ok(()), |crisis| crisis.finish().map(|_| ()))
    }

    /// Removes the work, which nothing can complete.
    pub fn discard(self) {
        self.places.discard();
    }
}

impl Sink for PartialSink {
    fn row(&mut self, row: &Row, cells: &[(&str, String)]) -> Result<()> {
        let failed = |e: std::io::Error| Error::writing(&self.places.output, &e);
        self.coded.write(row, cells).map_err(failed)?;
        if let Some(defect) = &row.defect {
            let place = Row {
                number: row.number,
                line: row.line,
                cells: Vec::new(),
                json: None,
                defect: None,
            };
            let cells = [
                ("row", row.number.to_string()),
                ("line", row.line.to_string()),
                ("reason", defect.code().to_owned()),
                ("detail", defect.to_string()),
            ];
            self.rejects.write(&place, &cells).map_err(failed)?;
        }
        Ok(())
    }

    fn worth(&mut self, worth: Option<Worth>) -> Result<()> {
        self.ledger.as_mut().map_or(Ok(()), |ledger| ledger.add(worth))
    }

    fn flagged(&mut self, row: &Row, score: f64) -> Result<()> {
        self.crisis.as_mut().map_or(Ok(()), |crisis| crisis.add(row, score))
    }

    fn commit(&mut self, counts: &Counts) -> Result<()> {
        self.state.counts = *counts;
        self.save()
    }
}

/// Cuts a file to its durable length and stands at its end.
pub(super) fn cut(mut file: File, path: &Path, bytes: u64) -> Result<BufWriter<File>> {
    let failed = |e: std::io::Error| Error::writing(path, &e);
    if file.metadata().map_err(failed)?.len() < bytes {
        return Err(Error::usage("the unfinished work is damaged: the file is too short")
            .at(path.display().to_string())
            .advise("--force discards it and begins anew"));
    }
    file.set_len(bytes).map_err(failed)?;
    file.seek(SeekFrom::End(0)).map_err(failed)?;
    Ok(BufWriter::new(file))
}

/// Makes what was written durable; the length of the file.
pub(super) fn durable(writer: &mut TableWriter<BufWriter<File>>) -> std::io::Result<u64> {
    let sink = writer.sink();
    sink.flush()?;
    sink.get_mut().sync_data()?;
    sink.get_mut().stream_position()
}
