//! The file for the person who answers for texts that show a crisis: it stands after every window,
//! also if the run fails later.

use std::fs::File;
use std::io::{BufWriter, Read as _, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::partial::{cut, durable};
use super::places::{Places, open_part};
use crate::corpus::{Format, Row, TableWriter, WholeFile, harmless_heading};
use crate::error::{Error, Result};

/// Bytes of flagged rows up to which the file is written anew after every window; beyond, each time
/// that they have grown by a quarter, so that the time for it does not grow with their square.
const SMALL: u64 = 8 << 20;

/// The format of the file, whatever that of the output: a spreadsheet opens it.
const FORMAT: Format = Format::Csv { delimiter: b',' };

/// The columns that stand before those of the input.
const OWN: [&str; 3] = ["crisis_score", "delete_by", "input_row"];

/// Bytes of an entry of the index: a score, and where its row ends.
const ENTRY: usize = 16;

/// Where flagged rows go, and what the file says of all alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrisisFile {
    /// The file; `None` is the output's name with `.crisis.csv`.
    pub path: Option<PathBuf>,
    /// The day by which it is to be deleted, such as 2026-12-27.
    pub delete_by: String,
}

impl CrisisFile {
    /// Where it is, beside an output of that name.
    pub fn place(&self, output: &Path) -> PathBuf {
        Places::new(output, self.path.as_deref()).crisis
    }
}

/// Flagged rows in the order of the table, and the file that they become.
pub(super) struct CrisisRows {
    rows: TableWriter<BufWriter<File>>,
    /// One entry for the heading and each row, in order.
    index: BufWriter<File>,
    places: Places,
    delete_by: String,
    /// Whether there is a row.
    any: bool,
    /// Bytes of the rows when the file was last written; `None` before the first time.
    written: Option<u64>,
}

impl CrisisRows {
    /// Begins the work, or goes on after so many bytes. `columns` are those of the input.
    ///
    /// # Errors
    /// If the files cannot be written or are too short.
    pub fn open(
        places: &Places,
        resumed: Option<u64>,
        columns: &[String],
        delete_by: String,
        harmless: bool,
    ) -> Result<Self> {
        let (part, index) = (places.crisis_part(), places.crisis_index());
        let file = cut(open_part(&part)?, &part, resumed.unwrap_or(0))?;
        let entries = match resumed {
            Some(bytes) => read_index(&index)?.iter().take_while(|entry| entry.1 <= bytes).count(),
            None => 0,
        };
        let index = cut(open_part(&index)?, &index, (entries * ENTRY) as u64)?;
        let columns = [&own_columns(columns), columns].concat();
        let columns = if harmless { harmless_heading(&columns, FORMAT) } else { columns };
        let failed = |e: std::io::Error| Error::writing(&part, &e);
        let rows = match resumed {
            None => TableWriter::new(file, FORMAT, &columns).map_err(failed)?,
            Some(_) => TableWriter::resume(file, FORMAT, &columns),
        };
        let (rows, places) = (rows.harmless(harmless), places.clone());
        let mut rows = Self { rows, index, places, delete_by, any: entries > 1, written: None };
        if resumed.is_none() {
            rows.note(f64::INFINITY)?;
        }
        Ok(rows)
    }

    /// Adds the next flagged row.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&mut self, row: &Row, score: f64) -> Result<()> {
        let mut cells = vec![format!("{score:.6}"), self.delete_by.clone(), row.number.to_string()];
        cells.extend(row.cells.iter().cloned());
        let flagged = Row { number: row.number, line: row.line, cells, json: None, defect: None };
        let written = self.rows.write(&flagged, &[]);
        written.map_err(|e| Error::writing(&self.places.crisis_part(), &e))?;
        self.any = true;
        self.note(score)
    }

    /// Notes where what was written last ends.
    fn note(&mut self, score: f64) -> Result<()> {
        let end = self.rows.sink().stream_position();
        let written = end.and_then(|end| {
            self.index.write_all(&score.to_le_bytes())?;
            self.index.write_all(&end.to_le_bytes())
        });
        written.map_err(|e| Error::writing(&self.places.crisis_index(), &e))
    }

    /// Makes what was added durable, and the file with it once it is due; the bytes of the rows.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn save(&mut self) -> Result<u64> {
        // A file that stands there is not replaced by one without a row before all are screened.
        let any = self.any;
        self.save_if(|written, bytes| match written {
            None => any,
            Some(written) => bytes > written && (bytes < SMALL || bytes - written >= written / 4),
        })
    }

    /// As [`CrisisRows::save`], but the file holds every row then.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn finish(&mut self) -> Result<u64> {
        self.save_if(|written, bytes| written != Some(bytes))
    }

    fn save_if(&mut self, is_due: impl Fn(Option<u64>, u64) -> bool) -> Result<u64> {
        let saved = self.index.flush().and_then(|()| self.index.get_mut().sync_data());
        saved.map_err(|e| Error::writing(&self.places.crisis_index(), &e))?;
        let part = self.places.crisis_part();
        let bytes = durable(&mut self.rows).map_err(|e| Error::writing(&part, &e))?;
        if is_due(self.written, bytes) {
            write_sorted(&part, &read_index(&self.places.crisis_index())?, &self.places.crisis)?;
            self.written = Some(bytes);
        }
        Ok(bytes)
    }
}

/// Whether a table of these columns is the file of rows that show a crisis.
pub fn is_crisis_file(columns: &[String]) -> bool {
    columns.len() > OWN.len()
        && columns.iter().zip(OWN).all(|(column, own)| column.trim_end_matches('_') == own)
}

/// Our own columns, under names that the input has not.
fn own_columns(input: &[String]) -> Vec<String> {
    OWN.into_iter()
        .map(|name| {
            let mut name = name.to_owned();
            while input.contains(&name) {
                name.push('_');
            }
            name
        })
        .collect()
}

/// Scores, and where each row ends; that of the heading first.
fn read_index(path: &Path) -> Result<Vec<(f64, u64)>> {
    // Our own file: what keeps it from being read may pass.
    let bytes = std::fs::read(path).map_err(|e| Error::writing(path, &e))?;
    let (entries, _) = bytes.as_chunks::<ENTRY>();
    let half =
        |entry: &[u8; ENTRY], at: usize| std::array::from_fn::<u8, 8, _>(|byte| entry[at + byte]);
    let entry = |entry| (f64::from_le_bytes(half(entry, 0)), u64::from_le_bytes(half(entry, 8)));
    Ok(entries.iter().map(entry).collect())
}

/// Copies the rows, highest scores first, of equals in their order.
fn write_sorted(from: &Path, index: &[(f64, u64)], to: &Path) -> Result<()> {
    let starts = std::iter::once(0).chain(index.iter().map(|(_, end)| *end));
    let mut rows: Vec<(f64, Range<u64>)> =
        starts.zip(index).map(|(start, (score, end))| (*score, start..*end)).collect();
    // The heading, of an infinite score, stays the first.
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut part = File::open(from).map_err(|e| Error::writing(from, &e))?;
    let mut file = WholeFile::create(to)?;
    for (_, span) in rows {
        let copied = part
            .seek(SeekFrom::Start(span.start))
            .and_then(|_| std::io::copy(&mut (&part).take(span.end - span.start), &mut file));
        copied.map_err(|e| Error::writing(to, &e))?;
    }
    file.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: &str = "crisis_score,delete_by,input_row,text\n";

    fn row(number: u64) -> Row {
        let cells = vec![format!("\"t\"\n{number}")];
        Row { number, line: number, cells, json: None, defect: None }
    }

    fn line(number: u64, score: &str) -> String {
        format!("{score},2026-12-27,{number},\"\"\"t\"\"\n{number}\"\n")
    }

    fn open(places: &Places, resumed: Option<u64>) -> CrisisRows {
        std::fs::create_dir_all(&places.folder).unwrap();
        let columns = ["text".to_owned()];
        CrisisRows::open(places, resumed, &columns, "2026-12-27".to_owned(), false).unwrap()
    }

    fn read(places: &Places) -> String {
        std::fs::read_to_string(&places.crisis).unwrap()
    }

    #[test]
    fn the_highest_scores_come_first_and_a_resumed_run_gives_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::new(&folder.path().join("o.csv"), None);
        let mut rows = open(&places, None);
        rows.add(&row(1), 0.5).unwrap();
        rows.add(&row(3), 0.25).unwrap();
        let bytes = rows.save().unwrap();
        // It stands though the run is not over.
        assert_eq!(
            read(&places),
            format!("{HEADING}{}{}", line(1, "0.500000"), line(3, "0.250000"))
        );
        rows.add(&row(4), 0.9).unwrap();
        rows.rows.sink().flush().unwrap();
        rows.index.flush().unwrap();
        drop(rows);
        // What came after the last window is done again.
        let mut rows = open(&places, Some(bytes));
        rows.add(&row(4), 0.75).unwrap();
        rows.add(&row(5), 0.5).unwrap();
        rows.finish().unwrap();
        let body = [(4, "0.750000"), (1, "0.500000"), (5, "0.500000"), (3, "0.250000")];
        let body: String = body.iter().map(|(number, score)| line(*number, score)).collect();
        assert_eq!(read(&places), format!("{HEADING}{body}"));
    }

    #[test]
    fn a_file_that_stands_is_replaced_by_an_empty_one_only_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::new(&folder.path().join("o.csv"), None);
        std::fs::write(&places.crisis, "earlier").unwrap();
        let mut rows = open(&places, None);
        rows.save().unwrap();
        assert_eq!(read(&places), "earlier");
        rows.finish().unwrap();
        assert_eq!(read(&places), HEADING);
    }

    #[test]
    fn our_columns_are_never_those_of_the_input() {
        let input = ["input_row", "delete_by", "delete_by_"].map(str::to_owned);
        let own = own_columns(&input);
        assert_eq!(own, ["crisis_score", "delete_by__", "input_row_"]);
        assert!(is_crisis_file(&[own.as_slice(), &input].concat()));
        assert!(!is_crisis_file(&input));
    }
}
