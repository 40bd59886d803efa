//! Joining tables of codes by id.

use std::collections::HashMap;
use std::path::PathBuf;

use xxhash_rust::xxh32::Xxh32;

use super::sets::Sets;
use super::{Answer, Codings, GOLD, JoinedTable, KeptColumn};
use crate::codebook::{Barred, Code, Codebook, GateState, hex_sha256, is_blank};
use crate::corpus::format::ReadOptions;
use crate::corpus::gold::{Split, coders};
use crate::corpus::reader::{TableReader, contents};
use crate::corpus::roles::missing;
use crate::corpus::row::Row;
use crate::error::{Error, Result, shown};

/// What is to be read from the tables.
#[derive(Clone, Debug, Default)]
pub struct CodingsRequest {
    /// The coders; [`GOLD`] has the tiers' plain columns. Without any, every coder that has a
    /// column `<tier>__<coder>`.
    pub coders: Vec<String>,
    /// Further columns to keep, which one of the tables must have.
    pub keep: Vec<String>,
    /// Columns of numbers to keep, which one of the tables must have.
    pub numbers: Vec<String>,
    /// How the tables are read; a text column is of use, but need not be there.
    pub options: ReadOptions,
}

/// Reads tables and joins them by id. A row stands where its id occurs first; of rows with the
/// same id in one table the first counts.
///
/// # Errors
/// A data error if a table cannot be read, a coder has no column, a column to keep is missing, or
/// two tables give the same coder different codes of the same row.
pub fn read_codings(
    paths: &[PathBuf],
    codebook: &Codebook,
    request: &CodingsRequest,
) -> Result<Codings> {
    let mut tables = Vec::new();
    for path in paths {
        let (name, bytes) = contents(path)?;
        let digest = hex_sha256(&bytes);
        let reader = TableReader::from_bytes(bytes, &name, &request.options)?;
        tables.push((reader, digest));
    }
    let mut names = request.coders.clone();
    if names.is_empty() {
        for (reader, _) in &tables {
            for coder in coders(reader.columns(), codebook) {
                if !names.contains(&coder) {
                    names.push(coder);
                }
            }
        }
    }
    let headers: Vec<&[String]> = tables.iter().map(|(reader, _)| reader.columns()).collect();
    let columns = request.keep.iter().chain(&request.numbers);
    require(&names, columns, &headers, codebook)?;
    let mut join = Join::new(codebook, names, &request.keep, &request.numbers);
    for (reader, digest) in tables {
        join.table(reader, digest, &request.options)?;
    }
    Ok(join.finish())
}

impl Codings {
    /// No rows at all, of one coder.
    pub fn empty(codebook: &Codebook, coder: &str) -> Self {
        Join::new(codebook, vec![coder.to_owned()], &[], &[]).finish()
    }
}

fn column_name(tier: &str, coder: &str) -> String {
    if coder == GOLD { tier.to_owned() } else { format!("{tier}__{coder}") }
}

/// Fails if a coder has no column in any table, or a column to keep is in none.
fn require<'a>(
    names: &[String],
    mut columns: impl Iterator<Item = &'a String>,
    headers: &[&[String]],
    codebook: &Codebook,
) -> Result<()> {
    let all: Vec<String> = headers.iter().flat_map(|header| header.iter().cloned()).collect();
    for coder in names {
        let own = |tier: &crate::codebook::Tier| all.contains(&column_name(&tier.name, coder));
        if codebook.tiers.iter().any(own) {
            continue;
        }
        let known = coders(&all, codebook);
        let near = crate::error::nearest(coder, known.iter().map(String::as_str));
        let error = Error::data(format!(
            "no table has a column '{}' of the coder {}",
            column_name(&codebook.tiers[0].name, coder),
            shown(coder)
        ));
        return Err(match near {
            Some(near) => error.advise(format!("did you mean '{near}'?")),
            None if known.is_empty() => error.advise("a coder's columns are named <tier>__<coder>"),
            None => error.advise(format!("the tables have the coders {}", known.join(", "))),
        });
    }
    match columns.find(|column| !all.contains(column)) {
        Some(column) => Err(missing(&all, column, "")),
        None => Ok(()),
    }
}

/// The tables joined so far.
struct Join<'a> {
    codebook: &'a Codebook,
    codings: Codings,
    rows: HashMap<String, u32>,
    /// For each row, in how many tables it is.
    seen: Vec<u32>,
    group_numbers: HashMap<String, u32>,
    groups: Vec<Option<u32>>,
    splits: Vec<Option<Split>>,
    pi: Vec<Option<f64>>,
    has: [bool; 3],
    texts: HashMap<u64, u32>,
    repeats: Vec<bool>,
    has_texts: bool,
    kept_places: Vec<HashMap<String, u32>>,
}

impl<'a> Join<'a> {
    fn new(
        codebook: &'a Codebook,
        coders: Vec<String>,
        keep: &[String],
        numbers: &[String],
    ) -> Self {
        let tiers = codebook.tiers.len();
        let kept = |name: &String| {
            (name.clone(), KeptColumn { values: vec![String::new()], at: Vec::new() })
        };
        let codings = Codings {
            ids: Vec::new(),
            groups: None,
            splits: None,
            pi: None,
            tables: Vec::new(),
            repeats: None,
            answers: vec![vec![Vec::new(); tiers]; coders.len()],
            present: vec![vec![false; tiers]; coders.len()],
            sets: codebook.tiers.iter().map(|tier| Sets::new(tier.labels.len())).collect(),
            kept: keep.iter().map(kept).collect(),
            numbers: numbers.iter().map(|name| (name.clone(), Vec::new())).collect(),
            coders,
        };
        Self {
            codebook,
            codings,
            rows: HashMap::new(),
            seen: Vec::new(),
            group_numbers: HashMap::new(),
            groups: Vec::new(),
            splits: Vec::new(),
            pi: Vec::new(),
            has: [false; 3],
            texts: HashMap::new(),
            repeats: Vec::new(),
            has_texts: false,
            kept_places: vec![HashMap::from([(String::new(), 0)]); keep.len()],
        }
    }

    fn table(
        &mut self,
        mut reader: TableReader,
        digest: String,
        options: &ReadOptions,
    ) -> Result<()> {
        let name = reader.name().to_owned();
        let columns = reader.columns().to_vec();
        let find = |name: &str| columns.iter().position(|column| column == name);
        let id_name = options.id.as_deref().unwrap_or("id");
        let id = find(id_name);
        if id.is_none() && options.id.is_some() {
            return Err(missing(&columns, id_name, "--id").at(name));
        }
        let place = Places {
            id,
            text: find(options.text.as_deref().unwrap_or("text")),
            group: find("group"),
            split: find("split"),
            pi: find("pi"),
            kept: self.codings.kept.iter().map(|(name, _)| find(name)).collect(),
            numbers: self.codings.numbers.iter().map(|(name, _)| find(name)).collect(),
            coders: (self.codings.coders.iter())
                .map(|coder| {
                    let tiers = self.codebook.tiers.iter();
                    tiers.map(|tier| find(&column_name(&tier.name, coder))).collect()
                })
                .collect(),
        };
        for (present, tiers) in self.codings.present.iter_mut().zip(&place.coders) {
            for (present, column) in present.iter_mut().zip(tiers) {
                *present |= column.is_some();
            }
        }
        self.has_texts |= place.text.is_some();
        for (has, column) in self.has.iter_mut().zip([place.group, place.split, place.pi]) {
            *has |= column.is_some();
        }
        let mut table =
            JoinedTable { name, digest, has_ids: id.is_some(), ..JoinedTable::default() };
        let mut own = vec![false; self.codings.ids.len()];
        while let Some(row) = reader.next_row()? {
            self.row(&row, &place, &mut table, &mut own)?;
        }
        self.codings.tables.push(table);
        Ok(())
    }

    fn row(
        &mut self,
        row: &Row,
        place: &Places,
        table: &mut JoinedTable,
        own: &mut Vec<bool>,
    ) -> Result<()> {
        if row.defect.is_some() {
            table.unreadable += 1;
            return Ok(());
        }
        let number = row.number.to_string();
        let id = place.id.map_or(number.as_str(), |column| row.cell(column));
        let at = match self.rows.get(id) {
            Some(at) => *at as usize,
            None => self.add(id),
        };
        own.resize(self.codings.ids.len(), false);
        if std::mem::replace(&mut own[at], true) {
            table.duplicate_ids += 1;
            return Ok(());
        }
        table.rows += 1;
        self.seen[at] += 1;
        self.codes(row, place, table, at)?;
        self.marks(row, place, table, at)
    }

    /// A new row without anything.
    fn add(&mut self, id: &str) -> usize {
        let at = self.codings.ids.len();
        self.rows.insert(id.to_owned(), at as u32);
        self.codings.ids.push(id.to_owned());
        for column in self.codings.answers.iter_mut().flatten() {
            column.push(Answer::MISSING);
        }
        for (_, column) in &mut self.codings.kept {
            column.at.push(0);
        }
        for (_, column) in &mut self.codings.numbers {
            column.push(f32::NAN);
        }
        self.seen.push(0);
        self.groups.push(None);
        self.splits.push(None);
        self.pi.push(None);
        self.repeats.push(false);
        at
    }

    fn codes(
        &mut self,
        row: &Row,
        place: &Places,
        table: &mut JoinedTable,
        at: usize,
    ) -> Result<()> {
        let mut above: Vec<Code> = Vec::new();
        for (coder, columns) in place.coders.iter().enumerate() {
            if columns.iter().all(Option::is_none) {
                continue;
            }
            above.clear();
            for (tier, column) in columns.iter().enumerate() {
                let cell = column.map_or("", |column| row.cell(column));
                let cell = self.codings.sets[tier].cell(self.codebook, tier, cell);
                let (code, barred) = self.codebook.settle(tier, &cell.value, &above);
                let unusable = cell.unusable || matches!(barred, Some(Barred::NotPermitted(_)));
                table.unusable += usize::from(unusable);
                table.closed_gate += usize::from(barred == Some(Barred::GateClosed));
                if column.is_some() {
                    let answer = match &code {
                        Code::Missing => Answer::MISSING,
                        Code::NotAsked => Answer::NOT_ASKED,
                        Code::Coded(set) => self.codings.sets[tier].answer(set),
                    };
                    let known = &mut self.codings.answers[coder][tier][at];
                    match (*known, answer) {
                        (Answer::MISSING, _) => *known = answer,
                        // The gates are settled once all tables are read.
                        (_, Answer::MISSING | Answer::NOT_ASKED) => {}
                        (Answer::NOT_ASKED, _) => *known = answer,
                        (one, other) if one == other => {}
                        _ => return Err(self.two_codes(row, table, coder, tier)),
                    }
                }
                above.push(code);
            }
        }
        Ok(())
    }

    /// The failure of one coder giving a row two codes.
    fn two_codes(&self, row: &Row, table: &JoinedTable, coder: usize, tier: usize) -> Error {
        let name = shown(&self.codings.coders[coder]);
        let tier = &self.codebook.tiers[tier].name;
        Error::data(format!(
            "the code of {name} in '{tier}' is not the one that an earlier table has"
        ))
        .at(format!("{}, row {}", table.name, row.number))
        .advise("give each coder a column of their own, <tier>__<coder>; classify --as NAME does")
    }

    /// Closes the gates that answers of other tables close: a coder's tiers may come in a table each.
    fn close_gates(&mut self) {
        let mut codes: Vec<Code> = Vec::new();
        let mut ignored = 0;
        for (coder, present) in self.codings.present.iter().enumerate() {
            for row in 0..self.codings.ids.len() {
                codes.clear();
                for (tier, of) in self.codebook.tiers.iter().enumerate() {
                    let answer = self.codings.answers[coder][tier][row];
                    let closed = of.asked_when.state(&codes) == GateState::Closed;
                    codes.push(match answer.set() {
                        _ if closed => Code::NotAsked,
                        Some(set) => {
                            Code::Coded(self.codings.sets[tier].all()[set as usize].clone())
                        }
                        None if answer == Answer::NOT_ASKED => Code::NotAsked,
                        None => Code::Missing,
                    });
                    if closed && present[tier] {
                        ignored += usize::from(answer.set().is_some());
                        self.codings.answers[coder][tier][row] = Answer::NOT_ASKED;
                    }
                }
            }
        }
        if let Some(last) = self.codings.tables.last_mut() {
            last.closed_gate += ignored;
        }
    }

    /// Group, set, inclusion probability, text and kept columns.
    fn marks(&mut self, row: &Row, place: &Places, table: &JoinedTable, at: usize) -> Result<()> {
        let cell = |column: Option<usize>| {
            column.map(|column| row.cell(column)).filter(|cell| !is_blank(cell))
        };
        if let Some(group) = cell(place.group) {
            let next = self.group_numbers.len() as u32;
            let number = match self.group_numbers.get(group) {
                Some(number) => *number,
                None => *self.group_numbers.entry(group.to_owned()).or_insert(next),
            };
            self.groups[at].get_or_insert(number);
        }
        if let Some(split) = cell(place.split) {
            let split = split.trim().to_lowercase();
            let found = Split::ALL.into_iter().find(|own| own.name() == split);
            self.splits[at] = self.splits[at].or(found);
        }
        if let Some(pi) = cell(place.pi) {
            let sound = pi.trim().parse::<f64>().ok().filter(|pi| (0.0..=1.0).contains(pi));
            let pi = sound.ok_or_else(|| {
                Error::data("an inclusion probability is a number from 0 to 1")
                    .at(format!("{}, row {}, column pi", table.name, row.number))
                    .advise("leave pi as sample wrote it")
            })?;
            self.pi[at].get_or_insert(pi);
        }
        if let Some(text) = cell(place.text) {
            let first = *self.texts.entry(key(text)).or_insert(at as u32);
            self.repeats[at] = first as usize != at;
        }
        for ((_, numbers), column) in self.codings.numbers.iter_mut().zip(&place.numbers) {
            let number = cell(*column).and_then(|cell| cell.trim().parse::<f32>().ok());
            numbers[at] = number.unwrap_or(numbers[at]);
        }
        for (which, column) in place.kept.iter().enumerate() {
            let Some(cell) = column.map(|column| row.cell(column).trim()) else { continue };
            let (_, kept) = &mut self.codings.kept[which];
            if kept.at[at] != 0 || cell.is_empty() {
                continue;
            }
            let places = &mut self.kept_places[which];
            kept.at[at] = match places.get(cell) {
                Some(place) => *place,
                None => {
                    let place = kept.values.len() as u32;
                    kept.values.push(cell.to_owned());
                    places.insert(cell.to_owned(), place);
                    place
                }
            };
        }
        Ok(())
    }

    fn finish(mut self) -> Codings {
        if self.codings.tables.len() > 1 {
            self.close_gates();
        }
        let tables = self.codings.tables.len() as u32;
        let partly = self.seen.iter().filter(|seen| **seen < tables).count();
        for table in &mut self.codings.tables {
            // All rows of a table less those that every table has.
            table.unmatched = table.rows - (self.seen.len() - partly);
        }
        let [has_group, has_split, has_pi] = self.has;
        self.codings.groups = has_group.then(|| {
            let mut next = self.group_numbers.len() as u32;
            let mut alone = || {
                next += 1;
                next - 1
            };
            self.groups.iter().map(|group| group.unwrap_or_else(&mut alone)).collect()
        });
        self.codings.splits = has_split.then_some(self.splits);
        self.codings.pi = has_pi.then_some(self.pi);
        self.codings.repeats = self.has_texts.then_some(self.repeats);
        self.codings
    }
}

/// Positions of a table's columns.
struct Places {
    id: Option<usize>,
    text: Option<usize>,
    group: Option<usize>,
    split: Option<usize>,
    pi: Option<usize>,
    kept: Vec<Option<usize>>,
    numbers: Vec<Option<usize>>,
    /// `[coder][tier]`
    coders: Vec<Vec<Option<usize>>>,
}

/// 64 bits that equal texts share, case and white space aside.
fn key(text: &str) -> u64 {
    let mut halves = [Xxh32::new(0), Xxh32::new(1)];
    for word in text.split_whitespace() {
        let word = word.to_lowercase();
        for half in &mut halves {
            half.update(word.as_bytes());
            half.update(b" ");
        }
    }
    u64::from(halves[0].digest()) << 32 | u64::from(halves[1].digest())
}
