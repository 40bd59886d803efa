//! Scores of a tier that takes exactly one label.

use super::confusion::{ConfusionMatrix, Counts, matthews};
use super::view::View;
use crate::codebook::{Code, Tier};

/// Scores (gold, predicted) pairs whose gold is coded or not asked.
///
/// "Not asked" on one side costs the label on the other a false negative or a false positive,
/// and has no F1 of its own; in accuracy, Matthews correlation and confusion matrix it is an
/// answer like any label. A prediction that is missing is never right.
pub fn score(tier: &Tier, pairs: &[(&Code, &Code)]) -> View {
    let labels = tier.labels.len();
    let (not_asked, no_answer) = (labels, labels + 1);
    let class = |code: &Code| match code {
        Code::NotAsked => not_asked,
        _ => code.single().filter(|label| *label < labels).unwrap_or(no_answer),
    };
    let mut table = vec![vec![0u64; labels + 2]; labels + 2];
    for (gold, predicted) in pairs {
        table[class(gold)][class(predicted)] += 1;
    }
    let counts: Vec<Counts> = (0..labels)
        .map(|label| {
            let predicted: u64 = table.iter().map(|row| row[label]).sum();
            let gold: u64 = table[label].iter().sum();
            let both = table[label][label];
            Counts {
                true_positives: both,
                false_positives: predicted - both,
                false_negatives: gold - both,
            }
        })
        .collect();
    let right = (0..=not_asked).map(|class| table[class][class]).sum();
    let mut view = View::from_counts(tier, pairs.len(), right, &counts);
    view.mcc = matthews(&table);
    view.unanswered = table.iter().map(|row| row[no_answer] as usize).sum();
    view.confusion = Some(named(tier, &table));
    view
}

/// The table with names, without the classes that do not occur beyond the tier's labels.
fn named(tier: &Tier, table: &[Vec<u64>]) -> ConfusionMatrix {
    let labels = tier.labels.len();
    let names: Vec<&str> = tier
        .labels
        .iter()
        .map(|label| label.name.as_str())
        .chain(["not asked", "no answer"])
        .collect();
    let in_gold = |i: &usize| *i < labels || table[*i].iter().any(|n| *n > 0);
    let in_predicted = |j: &usize| *j < labels || table.iter().any(|row| row[*j] > 0);
    let gold: Vec<usize> = (0..table.len()).filter(in_gold).collect();
    let predicted: Vec<usize> = (0..table.len()).filter(in_predicted).collect();
    ConfusionMatrix {
        gold: gold.iter().map(|i| names[*i].to_string()).collect(),
        predicted: predicted.iter().map(|j| names[*j].to_string()).collect(),
        counts: gold.iter().map(|i| predicted.iter().map(|j| table[*i][*j]).collect()).collect(),
    }
}
