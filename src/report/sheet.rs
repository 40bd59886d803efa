//! Tables of figures: what the page shows, what a paper prints, and every number in full as CSV.

use serde::Serialize;

use super::latex;
use crate::corpus::{Format, Row, TableWriter};
use crate::error::{Error, Result};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Names and remarks.
    Text,
    /// One figure.
    Figure,
    /// The two ends of an interval.
    Interval,
}

/// How figures of a cell are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// In per cent, with one decimal.
    Percent,
    /// With three decimals.
    Decimals,
    /// With three decimals and a sign.
    Signed,
    /// As a whole number.
    Count,
    /// With three decimals, or as less than the smallest of them.
    P,
}

impl Shown {
    /// The figure for people; a dash where there is none.
    pub fn text(self, value: Option<f64>) -> String {
        let Some(value) = value.filter(|value| value.is_finite()) else { return "–".into() };
        match self {
            Shown::Percent => format!("{:.1}\u{a0}%", 100.0 * value),
            Shown::Decimals => format!("{value:.3}"),
            Shown::Signed => format!("{value:+.3}"),
            Shown::Count => format!("{value:.0}"),
            Shown::P if value < 0.001 => "<0.001".into(),
            Shown::P => format!("{value:.3}"),
        }
    }
}

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Text.
    Text(String),
    /// A figure.
    Figure(Option<f64>, Shown),
    /// An interval.
    Interval(Option<(f64, f64)>, Shown),
}

impl Cell {
    /// Text of data or ours.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A share.
    pub fn percent(value: Option<f64>) -> Self {
        Self::Figure(value, Shown::Percent)
    }

    /// A figure such as macro-F1.
    pub fn figure(value: Option<f64>) -> Self {
        Self::Figure(value, Shown::Decimals)
    }

    /// A number of rows.
    pub fn count(value: Option<f64>) -> Self {
        Self::Figure(value, Shown::Count)
    }

    /// A p.
    pub fn p(value: Option<f64>) -> Self {
        Self::Figure(value, Shown::P)
    }

    /// The cell for people.
    pub fn shown(&self) -> String {
        match self {
            Cell::Text(text) => printable(text),
            Cell::Figure(value, shown) => shown.text(*value),
            Cell::Interval(None, _) => "–".into(),
            Cell::Interval(Some((lower, upper)), shown) => {
                format!("{} to {}", shown.text(Some(*lower)), shown.text(Some(*upper)))
            }
        }
    }
}

/// Rows that a printed page holds.
const PAGE_ROWS: usize = 40;

/// A table.
#[derive(Clone, Debug, PartialEq)]
pub struct Sheet {
    /// The name of its files.
    pub name: String,
    /// What it shows.
    pub caption: String,
    /// Headings and kinds of the columns.
    pub columns: Vec<(String, Kind)>,
    /// The rows, a cell for each column.
    pub rows: Vec<Vec<Cell>>,
    /// The files that its figures stand in.
    pub sources: Vec<String>,
}

impl Sheet {
    /// A table without rows.
    pub fn new(
        name: impl Into<String>,
        caption: impl Into<String>,
        columns: &[(&str, Kind)],
        sources: &[&str],
    ) -> Self {
        Self {
            name: name.into(),
            caption: caption.into(),
            columns: columns.iter().map(|(head, kind)| ((*head).to_owned(), *kind)).collect(),
            rows: Vec::new(),
            sources: sources.iter().map(|source| (*source).to_owned()).collect(),
        }
    }

    /// As CSV, every number in full; an interval takes two columns.
    ///
    /// # Errors
    /// None that a table in memory could have.
    pub fn csv(&self) -> Result<Vec<u8>> {
        let mut heads = Vec::new();
        for (head, kind) in &self.columns {
            match kind {
                Kind::Interval => {
                    heads.extend(["lower", "upper"].map(|end| format!("{head} {end}")))
                }
                _ => heads.push(head.clone()),
            }
        }
        let failed = |e: std::io::Error| Error::resource(format!("a table cannot be written: {e}"));
        let format = Format::Csv { delimiter: b',' };
        let mut table = TableWriter::new(Vec::new(), format, &heads).map_err(failed)?;
        for (at, cells) in self.rows.iter().enumerate() {
            let number =
                |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
            let mut row = Vec::new();
            for cell in cells {
                match cell {
                    Cell::Text(text) => row.push(printable(text)),
                    Cell::Figure(value, _) => row.push(number(*value)),
                    Cell::Interval(ends, _) => {
                        row.push(number(ends.map(|ends| ends.0)));
                        row.push(number(ends.map(|ends| ends.1)));
                    }
                }
            }
            let number = at as u64 + 1;
            let row = Row { number, line: number + 1, cells: row, json: None, defect: None };
            table.write(&row, &[]).map_err(failed)?;
        }
        table.finish().map_err(failed)
    }

    /// As LaTeX tables with the rules of the package booktabs, narrowed to the text's width by
    /// graphicx; more rows than a page holds go to further tables.
    pub fn latex(&self) -> String {
        let sources: Vec<String> = self.sources.iter().map(|s| printable(s)).collect();
        let mut out = format!("% Figures of {}\n", sources.join(", "));
        let pages: Vec<&[Vec<Cell>]> = match self.rows.is_empty() {
            true => vec![&[]],
            false => self.rows.chunks(PAGE_ROWS).collect(),
        };
        for (at, rows) in pages.into_iter().enumerate() {
            self.latex_page(&mut out, at, rows);
        }
        out
    }

    fn latex_page(&self, out: &mut String, at: usize, rows: &[Vec<Cell>]) {
        let layout: String = self
            .columns
            .iter()
            .map(|(_, kind)| if *kind == Kind::Text { 'l' } else { 'r' })
            .collect();
        let line = |cells: Vec<String>| {
            let cells: Vec<String> = cells.iter().map(|cell| latex::escaped(cell)).collect();
            format!("    {} \\\\\n", cells.join(" & "))
        };
        let caption = latex::escaped(&self.caption);
        out.push_str("\\begin{table}\n  \\centering\n");
        match at {
            0 => {
                out.push_str(&format!("  \\caption{{{caption}}}\n  \\label{{tab:{}}}\n", self.name))
            }
            _ => out.push_str(&format!("  \\caption{{{caption} (continued)}}\n")),
        }
        let fit = "\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi";
        out.push_str(&format!("  \\resizebox{{{fit}}}{{!}}{{%\n"));
        out.push_str(&format!("  \\begin{{tabular}}{{{layout}}}\n    \\toprule\n"));
        out.push_str(&line(self.columns.iter().map(|(head, _)| head.clone()).collect()));
        out.push_str("    \\midrule\n");
        for cells in rows {
            out.push_str(&line(cells.iter().map(Cell::shown).collect()));
        }
        out.push_str("    \\bottomrule\n  \\end{tabular}}\n\\end{table}\n");
    }

    /// For the page's template.
    pub fn view(&self) -> SheetView<'_> {
        SheetView {
            name: &self.name,
            caption: &self.caption,
            columns: &self.columns,
            rows: self.rows.iter().map(|row| row.iter().map(Cell::shown).collect()).collect(),
            sources: &self.sources,
        }
    }
}

/// A table as the page's template reads it.
#[derive(Clone, Debug, Serialize)]
pub struct SheetView<'a> {
    name: &'a str,
    caption: &'a str,
    columns: &'a [(String, Kind)],
    rows: Vec<Vec<String>>,
    sources: &'a [String],
}

/// The text with characters replaced that no document can hold.
pub fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' | '\r' => ' ',
        '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.trim().chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet() -> Sheet {
        let columns = [("name", Kind::Text), ("share", Kind::Figure), ("95 %", Kind::Interval)];
        let mut sheet = Sheet::new("shares", "A & B", &columns, &["a.csv"]);
        sheet.rows.push(vec![
            Cell::text("x_y, \"z\""),
            Cell::percent(Some(0.125_4)),
            Cell::Interval(Some((0.1, 0.15)), Shown::Percent),
        ]);
        let none = Cell::Interval(None, Shown::Percent);
        sheet.rows.push(vec![Cell::text("none"), Cell::percent(None), none]);
        sheet
    }

    #[test]
    fn csv_has_every_number_in_full() {
        let csv = String::from_utf8(sheet().csv().unwrap()).unwrap();
        assert_eq!(
            csv.lines().collect::<Vec<_>>(),
            ["name,share,95 % lower,95 % upper", "\"x_y, \"\"z\"\"\",0.1254,0.1,0.15", "none,,,"]
        );
    }

    #[test]
    fn latex_has_rounded_figures_and_no_command_of_the_data() {
        let latex = sheet().latex();
        assert!(latex.contains("\\caption{A \\& B}"));
        assert!(latex.contains("12.5~\\% & 10.0~\\% to 15.0~\\% \\\\"), "{latex}");
        assert!(latex.contains("x\\_y") && latex.contains("none & -- & --"));
    }
}
