//! `confide import openai`: a hosted model's answers as one more coder.

mod texts;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::cli::Outcome;
use crate::cli::messages::Messages;
use crate::cli::new_table::NewTable;
use crate::codebook::{Barred, CellValue, Code, Codebook, check_coder};
use crate::corpus::{
    JsonLines, Line, Reply, Unmatched, open_input, read_answer, read_line, refuse_existing,
};
use crate::error::{Error, Result, nearest, shown};
use clap::Args;
use clap::builder::FalseyValueParser;
use texts::{TextPlace, Texts};

/// Answers that are listed; the others are counted.
const LISTED: usize = 50;

/// Reads fine-tuning examples or answers of the Batch API, in either of its shapes
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  \
    confide import openai output.jsonl --input input.jsonl --codebook llm-mental-health \\\n    \
    --coder gpt4o -o gpt4o.csv\n\n\
    An answer is a bare label, an object by tier, or one line for every tier. What is no label of\n\
    the codebook, or was cut off before its end, is listed and left blank; the exit code is then 1.\n\
    Refusals and failed requests are counted.")]
pub struct OpenaiArgs {
    /// JSONL files; several with the same ids become one row each
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// A codebook file, or the name of a shipped one
    #[arg(long, value_name = "CODEBOOK", env = "CONFIDE_CODEBOOK")]
    codebook: String,
    /// The name of the coder in the columns <tier>__<coder>
    #[arg(long, value_name = "NAME", env = "CONFIDE_CODER")]
    coder: String,
    /// The table to write
    #[arg(short, long, value_name = "OUTPUT", env = "CONFIDE_OUTPUT")]
    output: PathBuf,
    /// What the batch was asked, for the texts
    #[arg(long, value_name = "BATCH_INPUT", num_args = 1.., env = "CONFIDE_INPUT")]
    input: Vec<PathBuf>,
    /// The one tier that these files answer, where their answers are bare labels
    #[arg(long, value_name = "TIER", env = "CONFIDE_TIER")]
    tier: Option<String>,
    /// Replace an output that exists
    #[arg(long, env = "CONFIDE_FORCE", value_parser = FalseyValueParser::new())]
    force: bool,
}

/// One row of the table.
#[derive(Default)]
struct Imported {
    id: String,
    text: Option<TextPlace>,
    cells: Box<[Option<CellValue>]>,
    probabilities: Box<[Option<f64>]>,
    answered: bool,
}

/// All that was read.
struct Import<'a> {
    codebook: &'a Codebook,
    tier: Option<usize>,
    rows: Vec<Imported>,
    places: HashMap<String, usize>,
    texts: Texts,
    /// The first answers that give no code, and why.
    listed: Vec<String>,
    counts: Counts,
}

/// What became of answers and lines.
#[derive(Default)]
struct Counts {
    unmatched: usize,
    cut_off: usize,
    refused: usize,
    empty: usize,
    failed: usize,
    repeated: usize,
    unknown: usize,
}

pub fn run(args: &OpenaiArgs, messages: &Messages) -> Result<Outcome> {
    refuse_existing(&args.output, args.force)?;
    check_coder(&args.coder, "--coder")?;
    let codebook = Codebook::find(&args.codebook)?;
    let tier = args.tier.as_deref().map(|name| tier(name, &codebook)).transpose()?;
    let mut import = Import {
        codebook: &codebook,
        tier,
        rows: Vec::new(),
        places: HashMap::new(),
        texts: Texts::default(),
        listed: Vec::new(),
        counts: Counts::default(),
    };
    for path in &args.input {
        import.file(path, false, None)?;
    }
    let stem = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    for (at, path) in args.files.iter().enumerate() {
        // Files of the same name in other folders are other files.
        let again = args.files[..at].iter().any(|other| stem(other) == stem(path));
        let prefix = if again { format!("{}.{}", stem(path), at + 1) } else { stem(path) };
        import.file(path, true, (args.files.len() > 1).then_some(prefix.as_str()))?;
    }
    let Counts { refused, empty, failed, .. } = import.counts;
    if import.rows.iter().all(|row| !row.answered) && refused + empty + failed == 0 {
        return Err(Error::data("no line is a fine-tuning example or an answer of a batch")
            .at(args.files[0].display().to_string())
            .advise("give the JSONL file as OpenAI's files page offers it"));
    }
    let barred = import.write(&args.output, &args.coder)?;
    import.tell(args, barred, messages);
    let Counts { unmatched, cut_off, .. } = import.counts;
    Ok(if unmatched + cut_off == 0 { Outcome::Done } else { Outcome::Findings })
}

fn tier(name: &str, codebook: &Codebook) -> Result<usize> {
    codebook.tier_index(name).ok_or_else(|| {
        let names: Vec<&str> = codebook.tiers.iter().map(|tier| tier.name.as_str()).collect();
        let error = Error::usage(format!("{} is no tier of the codebook", shown(name)));
        match nearest(name, names.iter().copied()) {
            Some(near) => error.at("--tier").advise(format!("did you mean '{near}'?")),
            None => error.at("--tier").advise(format!("the tiers are {}", names.join(", "))),
        }
    })
}

impl Import<'_> {
    /// Reads one file, of answers or of what was asked; `prefix` begins the ids of examples, if there
    /// are several files.
    fn file(&mut self, path: &Path, answers: bool, prefix: Option<&str>) -> Result<()> {
        let (name, input) = open_input(path)?;
        let file = self.texts.file(path);
        let mut lines = JsonLines::new(input, &name);
        let mut own = HashSet::new();
        let mut any = false;
        while let Some(line) = lines.next_line()? {
            any = true;
            let number = line.number;
            let place = format!("{name}, line {number}");
            match read_line(&line.value) {
                Line::Asked { id, text } => {
                    let row = self.row(id);
                    if self.rows[row].text.is_none() {
                        self.rows[row].text = self.texts.keep(file, line.span, text);
                    } else {
                        self.counts.repeated += 1;
                    }
                }
                Line::Answered { id, reply } if answers => {
                    let row = self.row(id);
                    // A request that failed may be answered further down.
                    if reply != Reply::Failed && !own.insert(row) {
                        self.counts.repeated += 1;
                        continue;
                    }
                    self.reply(row, &reply, &place);
                }
                Line::Example { text, reply } if answers => {
                    let id =
                        prefix.map_or_else(|| number.to_string(), |own| format!("{own}-{number}"));
                    let row = self.row(id);
                    self.rows[row].text = self.texts.keep(file, line.span, text);
                    self.reply(row, &reply, &place);
                }
                _ => self.counts.unknown += 1,
            }
        }
        if !any {
            return Err(Error::data("the file is empty").at(name));
        }
        Ok(())
    }

    /// The row of that id, new if need be.
    fn row(&mut self, id: String) -> usize {
        if let Some(row) = self.places.get(&id) {
            return *row;
        }
        let tiers = self.codebook.tiers.len();
        self.places.insert(id.clone(), self.rows.len());
        self.rows.push(Imported {
            id,
            cells: vec![None; tiers].into(),
            probabilities: vec![None; tiers].into(),
            ..Imported::default()
        });
        self.rows.len() - 1
    }

    fn reply(&mut self, row: usize, reply: &Reply, place: &str) {
        let said = match reply {
            Reply::Said(said) => said,
            Reply::Refused => return self.counts.refused += 1,
            Reply::Empty => return self.counts.empty += 1,
            Reply::Failed => return self.counts.failed += 1,
        };
        self.rows[row].answered = true;
        let answered = read_answer(self.codebook, self.tier, &said.content, said.cut_off);
        if answered.cut_off {
            self.counts.cut_off += 1;
            let id = shown(&self.rows[row].id);
            self.list(format!("{place}, id {id}: the answer is cut off before its end"));
        }
        for unmatched in answered.unmatched {
            self.counts.unmatched += 1;
            let line = self.listing(&self.rows[row].id, &unmatched, place);
            self.list(line);
        }
        let probability = said.log_probability.map(f64::exp).filter(|p| (0.0..=1.0).contains(p));
        for (tier, cell) in answered.cells {
            let own = &mut self.rows[row];
            if own.cells[tier].is_some() {
                self.counts.repeated += 1;
                continue;
            }
            own.cells[tier] = Some(cell);
            own.probabilities[tier] = probability;
        }
    }

    fn list(&mut self, line: String) {
        if self.listed.len() < LISTED {
            self.listed.push(line);
        }
    }

    fn listing(&self, id: &str, unmatched: &Unmatched, place: &str) -> String {
        let tier = unmatched
            .tier
            .map_or_else(String::new, |tier| format!(", {}", self.codebook.tiers[tier].name));
        let near = unmatched
            .nearest
            .as_ref()
            .map_or_else(String::new, |near| format!("; the nearest label is {near}"));
        format!("{place}, id {}{tier}: {} is no label{near}", shown(id), shown(&unmatched.value))
    }

    /// Writes the table; returns how many codes a gate keeps out.
    fn write(&mut self, path: &Path, coder: &str) -> Result<usize> {
        let codebook = self.codebook;
        let has_text = self.rows.iter().any(|row| row.text.is_some());
        let has_p: Vec<bool> = (0..codebook.tiers.len())
            .map(|tier| self.rows.iter().any(|row| row.probabilities[tier].is_some()))
            .collect();
        let mut header = vec!["id".to_owned()];
        header.extend(has_text.then(|| "text".to_owned()));
        for (tier, has_p) in codebook.tiers.iter().zip(&has_p) {
            header.push(format!("{}__{coder}", tier.name));
            header.extend(has_p.then(|| format!("{}__{coder}_p", tier.name)));
        }
        let mut table = NewTable::begin(path, &header, None)?;
        let mut barred = 0;
        for row in &self.rows {
            let mut cells = vec![row.id.clone()];
            if has_text {
                cells.push(row.text.as_ref().map_or(Ok(String::new()), |at| self.texts.get(at))?);
            }
            let mut codes: Vec<Code> = Vec::with_capacity(codebook.tiers.len());
            for (tier, has_p) in has_p.iter().enumerate() {
                let cell = row.cells[tier].as_ref().unwrap_or(&CellValue::Blank);
                // Files of one tier each say nothing of the tiers above.
                let gates_known = self.tier.is_none();
                let (code, why) = match (gates_known, cell) {
                    (false, CellValue::Labels(labels)) => (Code::Coded(labels.clone()), None),
                    _ => codebook.settle(tier, cell, &codes),
                };
                barred +=
                    usize::from(matches!(why, Some(Barred::GateClosed | Barred::NotPermitted(_))));
                cells.push(codebook.display_cell(tier, &code));
                if *has_p {
                    let p = row.probabilities[tier].filter(|_| code.is_coded());
                    cells.push(p.map_or_else(String::new, |p| format!("{p:.6}")));
                }
                codes.push(code);
            }
            table.row(cells)?;
        }
        table.finish()?;
        Ok(barred)
    }

    fn tell(&self, args: &OpenaiArgs, barred: usize, messages: &Messages) {
        for line in &self.listed {
            messages.warn(line);
        }
        let Counts { unmatched, cut_off, refused, empty, failed, repeated, unknown } = self.counts;
        let more = (unmatched + cut_off).saturating_sub(self.listed.len());
        let blank = self.rows.iter().filter(|row| !row.answered).count();
        for (count, what) in [
            (more, "more answers are no labels or cut off"),
            (unmatched, "answers are no labels of the codebook and are left blank"),
            (
                cut_off,
                "answers are cut off before their end and are left blank; ask again with more tokens",
            ),
            (refused, "requests were refused by the model or a filter; their codes are blank"),
            (empty, "answers are empty"),
            (failed, "requests failed; their codes are blank"),
            (blank, "rows have no answer"),
            (repeated, "answers or texts have the custom_id of an earlier one and are left out"),
            (unknown, "lines are neither examples nor parts of a batch"),
            (barred, "codes stand under a closed gate and are left out"),
        ] {
            if count > 0 {
                messages.warn(&format!("{count} {what}"));
            }
        }
        let rows = self.rows.len();
        messages.note(&format!("wrote {rows} rows to {}", args.output.display()));
    }
}
