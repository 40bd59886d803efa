//! Unfinished work in `<output>.partial/`, and how it becomes the output.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use super::budget::{Worth, choose};
use super::ledger::Ledger;
use super::places::Places;
use super::second_pass::mark_rows;
use super::sink::Sink;
use super::state::{Counts, State, WorkPlan};
use crate::corpus::{Format, Row, TableWriter, refuse_existing};
use crate::error::{Error, Result};

/// What an output's name leads to.
pub(super) enum Work {
    /// Nothing is done yet.
    Fresh,
    /// An earlier run came this far.
    Resumed(Box<State>),
    /// An earlier run did everything; its files now have their names.
    Finished(Counts),
}

/// Looks for unfinished work of the same plan; refuses what is in the way, unless `force`,
/// which removes it.
///
/// # Errors
/// A usage error for an output that exists, or for unfinished work of another plan.
pub(super) fn find_work(places: &Places, plan: &WorkPlan, force: bool) -> Result<Work> {
    if places.folder.is_dir() && places.part().exists() {
        places.lock()?;
    }
    if force {
        places.discard();
        for path in [&places.output, &places.rejects] {
            if path.is_dir() {
                return Err(Error::usage("this is a folder, not a file")
                    .at(path.display().to_string())
                    .advise("choose another name for the output"));
            }
            if path.symlink_metadata().is_ok() {
                std::fs::remove_file(path).map_err(|e| Error::writing(path, &e))?;
            }
        }
        return Ok(Work::Fresh);
    }
    let state = State::read(&places.state())?;
    let finished = state.as_ref().is_some_and(|state| state.finished && state.plan == *plan);
    if !finished || places.part().exists() {
        refuse_existing(&places.output, false)?;
    }
    if !finished {
        refuse_existing(&places.rejects, false)?;
    }
    let Some(state) = state else { return Ok(Work::Fresh) };
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
        places.settle(&state.counts)?;
        return Ok(Work::Finished(state.counts));
    }
    Ok(if plan.is_resumable() && !finished { Work::Resumed(Box::new(state)) } else { Work::Fresh })
}

/// A table that is written to `<output>.partial/` and becomes the output when it is whole.
pub(super) struct PartialSink {
    places: Places,
    state: State,
    coded: TableWriter<BufWriter<File>>,
    rejects: TableWriter<BufWriter<File>>,
    /// What hand coding rows is worth, if some are to be chosen.
    ledger: Option<Ledger>,
    format: Format,
    columns: Vec<String>,
}

impl PartialSink {
    /// Begins the work, or continues it after its last whole window.
    ///
    /// # Errors
    /// If the folder cannot be written, or the unfinished work is damaged.
    pub fn open(
        places: &Places,
        plan: WorkPlan,
        resumed: Option<State>,
        format: Format,
        columns: &[String],
    ) -> Result<Self> {
        let folder = &places.folder;
        if !folder.is_dir() {
            std::fs::create_dir(folder).map_err(|e| Error::writing(folder, &e))?;
        }
        let part = places.lock()?;
        let path = places.list();
        let list = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| Error::writing(&path, &e))?;
        let listed: Vec<String> = ["row", "line", "reason", "detail"].map(String::from).into();
        let list_format = Format::Csv { delimiter: b',' };
        let fresh = resumed.is_none();
        let state = resumed.unwrap_or(State {
            plan,
            bytes: 0,
            reject_bytes: 0,
            counts: Counts::default(),
            finished: false,
        });
        let part = cut(part, &places.part(), state.bytes)?;
        let list = cut(list, &path, state.reject_bytes)?;
        let failed = |e: std::io::Error| Error::writing(folder, &e);
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
        let ledger = match state.plan.budget {
            Some(_) => Some(Ledger::open(&places.worth(), state.counts.rows)?),
            None => None,
        };
        let (places, columns) = (places.clone(), columns.to_vec());
        let mut sink = Self { places, state, coded, rejects, ledger, format, columns };
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
        self.state.write(&self.places.state())
    }

    /// Chooses rows for hand coding, if so many are to be chosen, and gives the output its name.
    ///
    /// # Errors
    /// If it cannot be written or renamed; the same command then tries again.
    pub fn finish(mut self) -> Result<Counts> {
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
        self.places.settle(&self.state.counts)?;
        Ok(self.state.counts)
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

    fn commit(&mut self, counts: &Counts) -> Result<()> {
        self.state.counts = *counts;
        self.save()
    }
}

/// Cuts a file to its durable length and stands at its end.
fn cut(mut file: File, path: &Path, bytes: u64) -> Result<BufWriter<File>> {
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
fn durable(writer: &mut TableWriter<BufWriter<File>>) -> std::io::Result<u64> {
    let sink = writer.sink();
    sink.flush()?;
    sink.get_mut().sync_data()?;
    sink.get_mut().stream_position()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::Defect;
    use tempfile::TempDir;

    const CSV: Format = Format::Csv { delimiter: b',' };

    fn row(number: u64, defect: Option<Defect>) -> Row {
        Row { number, line: number + 1, cells: vec![format!("t{number}")], json: None, defect }
    }

    fn open(places: &Places, resumed: Option<State>) -> PartialSink {
        let columns = ["text".to_owned(), "status".to_owned()];
        PartialSink::open(places, WorkPlan::invented(), resumed, CSV, &columns).unwrap()
    }

    fn write(sink: &mut PartialSink, numbers: std::ops::Range<u64>) {
        for number in numbers {
            let defect = (number == 2).then_some(Defect::Ragged { columns: 1, cells: 3 });
            sink.row(&row(number, defect), &[("status", "ok".into())]).unwrap();
        }
    }

    fn counts(rows: u64) -> Counts {
        Counts { rows, rejected: 1, ..Counts::default() }
    }

    fn find(places: &Places) -> Work {
        find_work(places, &WorkPlan::invented(), false).unwrap()
    }

    const WHOLE: &str = "text,status\nt1,ok\nt2,ok\nt3,ok\nt4,ok\n";
    const LIST: &str = "row,line,reason,detail\n2,3,ragged_row,3 cells where the header has 1\n";

    /// Finished work of which nothing has its name yet.
    fn unnamed() -> (TempDir, Places) {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::new(&folder.path().join("o.csv"));
        let mut sink = open(&places, None);
        write(&mut sink, 1..5);
        sink.state.finished = true;
        sink.commit(&counts(4)).unwrap();
        drop(sink);
        (folder, places)
    }

    fn stands_whole(folder: &TempDir, places: &Places) {
        assert_eq!(std::fs::read_to_string(&places.output).unwrap(), WHOLE);
        assert_eq!(std::fs::read_to_string(&places.rejects).unwrap(), LIST);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_comes_after_the_last_window_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::new(&folder.path().join("o.csv"));
        let mut sink = open(&places, None);
        write(&mut sink, 1..3);
        sink.commit(&counts(2)).unwrap();
        write(&mut sink, 3..4);
        sink.coded.sink().flush().unwrap();
        drop(sink);
        let Work::Resumed(state) = find(&places) else { panic!("nothing to resume") };
        assert_eq!(state.counts.rows, 2);
        let mut sink = open(&places, Some(*state));
        write(&mut sink, 3..5);
        sink.commit(&counts(4)).unwrap();
        sink.finish().unwrap();
        stands_whole(&folder, &places);
        assert!(find_work(&places, &WorkPlan::invented(), false).is_err(), "the output stands");
    }

    #[test]
    fn a_kill_between_the_names_is_mended() {
        // Before the first, between the two, and after both.
        for named in 0..3 {
            let (folder, places) = unnamed();
            if named > 0 {
                std::fs::rename(places.list(), &places.rejects).unwrap();
            }
            if named > 1 {
                std::fs::rename(places.part(), &places.output).unwrap();
            }
            let Work::Finished(done) = find(&places) else { panic!("it was finished") };
            assert_eq!(done, counts(4));
            stands_whole(&folder, &places);
        }
    }

    #[test]
    fn a_file_that_came_in_between_is_not_replaced() {
        let (_folder, places) = unnamed();
        std::fs::write(&places.output, "mine").unwrap();
        assert!(find_work(&places, &WorkPlan::invented(), false).is_err());
        assert_eq!(std::fs::read_to_string(&places.output).unwrap(), "mine");
    }

    /// Work of four rows, of which the second is worth most, with nothing left but to choose one.
    fn unchosen() -> (TempDir, Places) {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::new(&folder.path().join("o.csv"));
        begun(&places, None).commit(&Counts { rows: 4, ..Counts::default() }).unwrap();
        (folder, places)
    }

    fn begun(places: &Places, resumed: Option<State>) -> PartialSink {
        let columns = ["text", "status", "reason"].map(String::from);
        let (plan, is_new) = (WorkPlan::invented().with_budget(1), resumed.is_none());
        let mut sink = PartialSink::open(places, plan, resumed, CSV, &columns).unwrap();
        for number in (1..5).filter(|_| is_new) {
            let cells = [("status", "ok".to_owned()), ("reason", String::new())];
            sink.row(&row(number, None), &cells).unwrap();
            let wrong = if number == 2 { 1.0 } else { 0.5 };
            sink.worth(Some(Worth { wrong, text: number })).unwrap();
        }
        sink
    }

    #[test]
    fn a_kill_while_rows_are_chosen_is_mended() {
        // Before the second pass, within it, and after it but before the names.
        for killed in 0..3 {
            let (folder, places) = unchosen();
            let find = || find_work(&places, &WorkPlan::invented().with_budget(1), false).unwrap();
            let Work::Resumed(state) = find() else { panic!("nothing to resume") };
            match killed {
                1 => std::fs::write(places.chosen(), "text,sta").unwrap(),
                2 => {
                    let state = State { finished: true, ..*state.clone() };
                    state.write(&places.state()).unwrap();
                    std::fs::write(places.chosen(), "text,status,reason\nt2,review,budget\n")
                        .unwrap();
                }
                _ => {}
            }
            let counts = match find() {
                Work::Resumed(state) => begun(&places, Some(*state)).finish().unwrap(),
                Work::Finished(counts) => counts,
                Work::Fresh => panic!("the work is lost"),
            };
            let found = std::fs::read_to_string(&places.output).unwrap();
            assert!(found.contains("t2,review,budget\n"), "{found}");
            if killed < 2 {
                assert_eq!((counts.rows, counts.review), (4, 1));
                assert_eq!(found.matches("ok,\n").count(), 3, "{found}");
            }
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_part_that_is_too_short_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::new(&folder.path().join("o.csv"));
        drop(open(&places, None));
        std::fs::write(places.part(), "te").unwrap();
        let Work::Resumed(state) = find(&places) else { panic!("nothing to resume") };
        let columns = ["text".to_owned()];
        let error = PartialSink::open(&places, WorkPlan::invented(), Some(*state), CSV, &columns);
        assert_eq!(error.err().map(|e| e.exit_code()), Some(2));
    }

    #[test]
    fn a_stream_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::new(&folder.path().join("o.csv"));
        let plan = || WorkPlan::invented().with_input(None);
        drop(PartialSink::open(&places, plan(), None, CSV, &["text".to_owned()]).unwrap());
        assert!(matches!(find_work(&places, &plan(), false), Ok(Work::Fresh)));
        let other = find_work(&places, &WorkPlan::invented(), false);
        assert_eq!(other.err().map(|e| e.exit_code()), Some(2));
    }
}
