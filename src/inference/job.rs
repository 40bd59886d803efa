//! The work from the first row to the last.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use sha2::{Digest, Sha256};

use super::budget::{Worth, expected_wrong};
use super::coder::{Coded, CodedTexts, Coder};
use super::columns::{ColumnOptions, Columns, RowOutcome, sets_of};
use super::crisis_file::CrisisFile;
use super::partial::{PartialSink, Start, Work, find_work};
use super::places::Places;
use super::sink::{Sink, StreamSink, output_format};
use super::source::Source;
use super::state::{Counts, WorkPlan};
use super::window::{pass_over, read_window};
use crate::bundle::Bundle;
use crate::corpus::{Defect, Row, TableReader, harmless_heading};
use crate::crisis::{Screen, Verdict};
use crate::decision::ReviewRule;
use crate::error::{Error, Kind, Result};

/// Where the coded table goes.
pub enum Destination<'a> {
    /// A file, which stands under its name only when it is whole.
    File(&'a Path),
    /// A stream of that name.
    Stream(Box<dyn Write + 'a>, &'a str),
}

/// A corpus to be coded.
pub struct Job<'a> {
    /// What codes it: one bundle, or several of one codebook, whose probabilities are averaged.
    pub bundles: &'a [Bundle],
    /// The rows.
    pub source: &'a Source,
    /// The columns that are added.
    pub columns: &'a ColumnOptions,
    /// Which texts are for review.
    pub rule: Option<&'a ReviewRule>,
    /// How many rows more are chosen for review, those whose hand coding helps most.
    pub budget: Option<u64>,
    /// What screens texts for crises, and the file of rows that show one.
    pub crisis: Option<(&'a Screen, &'a CrisisFile)>,
    /// Where the table goes.
    pub destination: Destination<'a>,
    /// Whether an output that exists, and unfinished work, are discarded.
    pub force: bool,
    /// The instruction sets that the arithmetic uses: a resumed job must have the same.
    pub kernel: &'a str,
}

/// Is told how a job goes.
pub trait Observer {
    /// An earlier run came this far.
    fn resumed(&mut self, counts: &Counts);
    /// A row cannot be used.
    fn rejected(&mut self, row: u64, line: u64, defect: &Defect);
    /// A window is done.
    fn window(&mut self, counts: &Counts);
}

/// Codes a corpus; every row of the input becomes a row of the output, in order.
///
/// # Errors
/// Usage errors for an output in the way or a budget for a stream, data errors for a table that cannot be read,
/// resource errors for a disk that is full, and interrupted once `stop` is set. After the last
/// two the same job continues after its last whole window.
///
/// # Panics
/// Without a bundle.
pub fn classify(job: Job, stop: &AtomicBool, observer: &mut dyn Observer) -> Result<Counts> {
    let source = job.source;
    let places =
        |output: &Path| Places::new(output, job.crisis.and_then(|(_, file)| file.path.as_deref()));
    if let Destination::File(path) = &job.destination {
        places(path).spare(source.path())?;
    }
    if job.budget.is_some() && matches!(job.destination, Destination::Stream(..)) {
        return Err(Error::usage("rows are chosen once all are coded: the output must be a file")
            .at("--review-budget")
            .advise("name a file: -o coded.csv"));
    }
    if job.crisis.is_some() && matches!(job.destination, Destination::Stream(..)) {
        return Err(Error::usage("rows that show a crisis go to a file beside the output's")
            .at("--crisis")
            .advise("name a file: -o coded.csv"));
    }
    // Before anything of it is read that becomes part of the output.
    let input = match &job.destination {
        Destination::File(_) => source.digest()?,
        Destination::Stream(..) => None,
    };
    let mut reader = source.open()?;
    let text = reader.roles(source.options())?.text;
    let bundle = &job.bundles[0];
    let sets = match job.columns.sets {
        Some(level) => Some(sets_of(bundle.decisions(), level)?),
        None => None,
    };
    let columns = Columns::new(bundle.codebook(), job.columns, sets, reader.columns())
        .map_err(|e| e.at(reader.name().to_owned()))?;
    let all = [reader.columns(), columns.names()].concat();
    let flag = source.options().format.as_deref();
    let format = |path: Option<&Path>| output_format(path, source.path(), flag, reader.format());
    let safe = job.columns.spreadsheet_safe;
    let heading = |format| if safe { harmless_heading(&all, format) } else { all.clone() };
    let (rule, has_budget) = (job.rule, job.budget.is_some());
    let screen = job.crisis.map(|(screen, _)| screen);
    let coder = Coder::new(job.bundles, job.columns.fold_codes > 0, screen);
    let table = Table { coder, bundle, columns, text, rule, has_budget };
    let (places, format) = match job.destination {
        Destination::File(path) => (places(path), format(Some(path))?),
        Destination::Stream(stream, name) => {
            let format = format(None)?;
            let mut sink = StreamSink::new(stream, name, format, &heading(format), safe)?;
            sink.commit(&Counts::default())?;
            return table.code(&mut reader, &mut sink, Counts::default(), stop, observer);
        }
    };
    let work = WorkPlan::new(job.bundles, source, job.columns, job.budget, job.crisis, job.kernel);
    let plan = work.of_input(input.clone());
    let (resumed, replaces) = match find_work(&places, &plan, job.force)? {
        Work::Finished(counts) => return Ok(counts),
        Work::Resumed(state) => (Some(*state), false),
        Work::Fresh { replaces } => (None, replaces),
    };
    let counts = resumed.as_ref().map(|state| state.counts).unwrap_or_default();
    let start = Start {
        columns: &heading(format),
        input: reader.columns(),
        format,
        delete_by: job.crisis.map(|(_, file)| file.delete_by.as_str()),
    };
    let mut sink = PartialSink::open(&places, plan, resumed, replaces, start)?;
    if counts.rows > 0 {
        observer.resumed(&counts);
        if !pass_over(&mut reader, counts.rows)? {
            return Err(Error::data("the table has fewer rows than were coded before")
                .at(reader.name().to_owned()));
        }
    }
    let coded = table.code(&mut reader, &mut sink, counts, stop, observer);
    // Else rows of two tables might stand in one.
    let coded = coded.and_then(|counts| match source.digest()? == input {
        true => Ok(counts),
        false => Err(Error::data("the file changed while it was read")
            .at(reader.name().to_owned())
            .advise("let nothing write to it, and run the same command again")),
    });
    match coded {
        Ok(_) => sink.finish(),
        Err(error) => {
            // They cannot wait for another run; and why this one failed is what is told.
            let _ = sink.tell_crises();
            // Only a lack of room, or the user's wish, can be mended with the same input. Where rows
            // stand in the file for crises, the same command must be able to go on with it.
            let may_pass = matches!(error.kind(), Kind::Resource | Kind::Interrupted);
            if !may_pass && screen.is_none() {
                sink.discard();
            }
            Err(error)
        }
    }
}

/// A table being coded.
struct Table<'a> {
    coder: Coder<'a>,
    bundle: &'a Bundle,
    columns: Columns<'a>,
    text: usize,
    rule: Option<&'a ReviewRule>,
    /// Whether rows are chosen once all are coded.
    has_budget: bool,
}

/// The rows of a window and what is said of their texts.
type CodedWindow = (Vec<Row>, CodedTexts);

impl Table<'_> {
    /// Codes the rows that are left: while one window is coded, the next is read and the last is
    /// written.
    fn code(
        &self,
        reader: &mut TableReader,
        sink: &mut dyn Sink,
        mut counts: Counts,
        stop: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Result<Counts> {
        // Nothing waits in the channels, so that three windows at most are in memory.
        let (to_coder, read) = sync_channel(0);
        let (to_writer, coded) = sync_channel(0);
        let failed = |e| Error::resource(format!("cannot start a thread: {e}"));
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new;
            let reading = thread().spawn_scoped(scope, move || read_windows(reader, &to_coder));
            reading.map_err(failed)?;
            let coding = thread().spawn_scoped(scope, move || {
                for rows in read {
                    let window = rows.and_then(|rows| self.coded(rows, stop));
                    let last = window.is_err();
                    if to_writer.send(window).is_err() || last {
                        return;
                    }
                }
            });
            coding.map_err(failed)?;
            let written: Result<()> = coded.into_iter().try_for_each(|window| {
                let (rows, texts) = window?;
                self.write(&rows, &texts, sink, &mut counts, observer)?;
                sink.commit(&counts)?;
                observer.window(&counts);
                Ok(())
            });
            if written.is_err() {
                // What is still being coded will not be written.
                stop.store(true, Ordering::Relaxed);
            }
            written
        })?;
        Ok(counts)
    }

    fn has_text(&self, row: &Row) -> bool {
        row.defect.is_none() && !row.cell(self.text).trim().is_empty()
    }

    fn coded(&self, rows: Vec<Row>, stop: &AtomicBool) -> Result<CodedWindow> {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::interrupted("stopped"));
        }
        let texts: Vec<&str> =
            rows.iter().filter(|row| self.has_text(row)).map(|row| row.cell(self.text)).collect();
        let coded = self.coder.code(&texts, stop)?;
        Ok((rows, coded))
    }

    fn write(
        &self,
        rows: &[Row],
        coded: &CodedTexts,
        sink: &mut dyn Sink,
        counts: &mut Counts,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        counts.duplicates += coded.duplicates() as u64;
        let mut next = 0;
        for row in rows {
            counts.rows += 1;
            let outcome = if let Some(defect) = &row.defect {
                counts.rejected += 1;
                counts.not_screened += u64::from(self.coder.screens());
                observer.rejected(row.number, row.line, defect);
                RowOutcome::Rejected(defect)
            } else if !self.has_text(row) {
                counts.empty += 1;
                counts.not_screened += u64::from(self.coder.screens());
                RowOutcome::Empty
            } else {
                let coded = coded.get(next);
                next += 1;
                let doubtful = self.rule.is_some_and(|rule| rule.applies(&coded.decision.path));
                let mut review = doubtful;
                match coded.verdict {
                    Some(Verdict::Crisis(score)) => {
                        review = true;
                        counts.crisis += 1;
                        sink.flagged(row, score)?;
                    }
                    Some(Verdict::NotScreened) => counts.not_screened += 1,
                    Some(Verdict::NoCrisis(_)) | None => {}
                }
                counts.review += u64::from(review);
                counts.truncated += u64::from(coded.truncated);
                RowOutcome::Coded(coded, doubtful)
            };
            sink.row(row, &self.columns.cells(&outcome))?;
            if self.has_budget {
                sink.worth(match outcome {
                    RowOutcome::Coded(coded, _) => Some(self.worth(row, coded)),
                    _ => None,
                })?;
            }
        }
        Ok(())
    }

    fn worth(&self, row: &Row, coded: &Coded) -> Worth {
        let digest = Sha256::digest(row.cell(self.text));
        let first = std::array::from_fn(|at| digest[at]);
        let wrong = expected_wrong(self.bundle.codebook(), &coded.decision);
        Worth { wrong, text: u64::from_le_bytes(first) }
    }
}

/// Reads windows until the table ends, cannot be read, or nobody takes them.
fn read_windows(reader: &mut TableReader, to_coder: &SyncSender<Result<Vec<Row>>>) {
    loop {
        let rows = read_window(reader);
        let last = rows.as_ref().map_or(true, Vec::is_empty);
        if rows.as_ref().is_ok_and(Vec::is_empty) || to_coder.send(rows).is_err() || last {
            return;
        }
    }
}
