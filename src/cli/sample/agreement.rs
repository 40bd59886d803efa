//! How far the model agrees with people on one label, from rows that both have coded.

use std::path::Path;

use crate::codebook::{Code, Codebook};
use crate::corpus::{ReadOptions, TableReader};
use crate::error::{Error, Result};
use crate::evaluation::quantile::NORMAL;
use crate::prevalence::ENOUGH;

/// Rows by what people and the model say of one label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// `counts[gold][model]`
    counts: [[usize; 2]; 2],
}

impl Agreement {
    /// Counts the rows of a table that `evaluate --answers` or `train --folds` wrote; a closed gate is
    /// the absence of the label, a missing code leaves the row out.
    ///
    /// # Errors
    /// If it is no such table.
    pub fn read(path: &Path, codebook: &Codebook, tier: usize, label: usize) -> Result<Self> {
        let mut reader = TableReader::open(path, &ReadOptions::default())?;
        let columns = reader.columns().to_vec();
        let find = |suffix: &str| -> Vec<Option<usize>> {
            let name = |tier: &str| format!("{tier}{suffix}");
            let tiers = codebook.tiers[..=tier].iter();
            tiers.map(|own| columns.iter().position(|column| *column == name(&own.name))).collect()
        };
        let (plain, gold, pipeline) = (find(""), find("__gold"), find("__pipeline"));
        let (gold, model) = match (plain[tier], gold[tier], pipeline[tier]) {
            (Some(_), Some(_), _) => (gold, plain),
            (Some(_), None, Some(_)) => (plain, pipeline),
            _ => {
                let name = &codebook.tiers[tier].name;
                return Err(Error::data(format!(
                    "there are no two columns of {name}, by people and by the model"
                ))
                .at(path.display().to_string())
                .advise(
                    "give the table of evaluate --answers (TIER and TIER__pipeline), or oof.csv of \
                     train --folds (TIER__gold and TIER)",
                ));
            }
        };
        let mut counts = [[0; 2]; 2];
        while let Some(row) = reader.next_row()? {
            if row.defect.is_some() {
                continue;
            }
            let says = |columns: &[Option<usize>]| -> Option<usize> {
                let mut above: Vec<Code> = Vec::new();
                for (at, column) in columns.iter().enumerate() {
                    let cell = column.map_or("", |column| row.cell(column));
                    let (value, _) = codebook.parse_cell(at, cell);
                    let (code, _) = codebook.settle(at, &value, &above);
                    above.push(code);
                }
                match above.pop() {
                    Some(Code::Coded(set)) => Some(usize::from(set.contains(label))),
                    Some(Code::NotAsked) => Some(0),
                    _ => None,
                }
            };
            if let (Some(gold), Some(model)) = (says(&gold), says(&model)) {
                counts[gold][model] += 1;
            }
        }
        Ok(Self { counts })
    }

    /// The rows that both have coded.
    pub fn rows(&self) -> usize {
        self.counts.iter().flatten().sum()
    }

    /// The correlation of the model's code with the gold one in a corpus of this share, by sensitivity
    /// and specificity; none with fewer rows that carry the label, or do not, than an interval needs.
    pub fn correlation(&self, share: f64) -> Option<f64> {
        let [no, yes] = self.counts.map(|row| row.map(|count| count as f64));
        let [negatives, positives] = [no, yes].map(|row| row[0] + row[1]);
        if negatives < ENOUGH || positives < ENOUGH {
            return None;
        }
        let (sensitivity, fall_out) = (yes[1] / positives, no[1] / negatives);
        let model = share * sensitivity + (1.0 - share) * fall_out;
        let spread = share * (1.0 - share) * model * (1.0 - model);
        let together = share * (1.0 - share) * (sensitivity - fall_out);
        Some(if spread > 0.0 { (together / spread.sqrt()).clamp(-1.0, 1.0) } else { 0.0 })
    }

    /// The lower end of a 95 % interval of a correlation of so many rows (Fisher 1921), at least 0.
    pub fn lower(&self, correlation: f64) -> f64 {
        let z = correlation.clamp(-0.999_999, 0.999_999).atanh();
        (z - NORMAL / (self.rows() as f64 - 3.0).max(1.0).sqrt()).tanh().max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlations_are_those_of_the_table() {
        // Phi of [[70, 10], [5, 15]]: (70·15 - 10·5) / sqrt(80·20·75·25).
        let own = Agreement { counts: [[70, 10], [5, 15]] };
        let phi = (70.0 * 15.0 - 10.0 * 5.0) / (80.0f64 * 20.0 * 75.0 * 25.0).sqrt();
        assert!((own.correlation(0.2).unwrap() - phi).abs() < 1e-12);
        // Fisher's interval of 0.5774 in 100 rows.
        assert!((own.lower(phi) - 0.429_656_027).abs() < 1e-8, "{}", own.lower(phi));
        assert_eq!(Agreement { counts: [[70, 10], [5, 4]] }.correlation(0.2), None);
        assert_eq!(Agreement { counts: [[70, 0], [20, 0]] }.correlation(0.2), Some(0.0));
    }
}
