//! `train --unlabelled`: the encoder may first learn from uncoded texts as they are; models that differ
//! in their seeds say what they think of them, and one model learns from coded and uncoded texts
//! together (self-training of a committee's student; Xie et al. 2020, Hinton, Vinyals and Dean 2015).

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sha2::{Digest, Sha256};

use super::cross_fitting::own_bundle;
use super::messages::{Messages, TrainingView};
use super::sandbox::Sandbox;
use super::teachers::Teacher;
use super::train::{Request, train_bundle};
use super::training_rows::Rows;
use crate::codebook::{Code, Codebook, TierKind, hex};
use crate::corpus::{ReadOptions, TableReader};
use crate::encoder::{Parameters, Tokens};
use crate::error::{Error, Result};
use crate::heads::joint::{Decision, Joint};
use crate::heads::lexical::NGrams;
use crate::heads::soft::SoftCode;
use crate::training::{Adaptation, Example, Randomness, Recipe, RunFolder, adapt};

/// Texts that nobody coded.
pub(super) struct Unlabelled {
    texts: Vec<String>,
    /// Who says what the student learns, where they are others than models of its own kind.
    pub teachers: Vec<Teacher>,
    /// SHA-256 over the texts that are used.
    pub digest: String,
}

impl Unlabelled {
    /// Reads a table's texts: each once, without those of coded rows, and as many as the recipe uses,
    /// drawn by the seed.
    ///
    /// # Errors
    /// If the table cannot be read, or no text is left.
    pub fn read(
        file: &Path,
        options: &ReadOptions,
        coded: &Rows,
        recipe: &Recipe,
        seed: u64,
        messages: &Messages,
    ) -> Result<Self> {
        let mut known: HashSet<String> = coded
            .train
            .iter()
            .chain(&coded.validation)
            .map(|row| row.text.trim().to_owned())
            .collect();
        let mut reader = TableReader::open(file, options)?;
        let text = reader.roles(options)?.text;
        let (mut all, mut left_out) = (Vec::new(), 0u64);
        while let Some(row) = reader.next_row()? {
            let cell = if row.defect.is_some() { "" } else { row.cell(text).trim() };
            if cell.is_empty() || !known.insert(cell.to_owned()) {
                left_out += 1;
            } else {
                all.push(cell.to_owned());
            }
        }
        if all.is_empty() {
            return Err(Error::data("no row has a text that is not among the coded ones")
                .at(file.display().to_string())
                .advise("give a corpus with texts that nobody coded"));
        }
        let found = all.len();
        if found > recipe.unlabelled_rows {
            let mut drawn = Randomness::new(seed).permutation("unlabelled texts", 0, found);
            drawn.truncate(recipe.unlabelled_rows);
            drawn.sort_unstable();
            all = drawn.into_iter().map(|row| std::mem::take(&mut all[row])).collect();
        }
        messages.note(&format!(
            "{}: {} of {found} uncoded texts are used; {left_out} rows are empty, repeated or coded",
            file.display(),
            all.len(),
        ));
        let mut hash = Sha256::new();
        for text in &all {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        Ok(Self { texts: all, teachers: Vec::new(), digest: hex(&hash.finalize()) })
    }

    /// The tensors of an encoder that has learnt from the texts as they are, in the recipe's passes.
    ///
    /// # Errors
    /// As a training.
    pub fn adapted(
        &self,
        adaptation: &Adaptation,
        tokens: &Tokens,
        messages: Messages,
        stop: &AtomicBool,
    ) -> Result<Parameters> {
        messages.note(&format!("the encoder learns from {} uncoded texts", self.texts.len()));
        let missing = vec![Code::Missing; adaptation.codebook.tiers.len()];
        let examples = self.read_by(tokens, |_| (missing.clone(), None))?;
        let mut view = TrainingView::new(messages, adaptation.codebook);
        adapt(adaptation, examples, tokens.mask(), &mut view, stop)
    }

    /// The texts as examples; of each is told what is known of it.
    fn read_by(
        &self,
        tokens: &Tokens,
        known: impl Fn(usize) -> (Vec<Code>, Option<Arc<[SoftCode]>>),
    ) -> Result<Vec<Example>> {
        let texts: Vec<&str> = self.texts.iter().map(String::as_str).collect();
        let read = tokens.tokenize_all(&texts)?.into_iter().zip(&texts).enumerate();
        let of = |(at, (text, own)): (usize, (_, &&str))| {
            let (codes, soft) = known(at);
            // Apart from the numbers of coded rows, by which chance is drawn.
            let row = (1 << 48) + at as u64;
            Example { row, text, ngrams: NGrams::of(own), codes, soft }
        };
        Ok(read.map(of).collect())
    }

    /// Trains the teachers in the run folder, and returns the texts with what they say. A teacher
    /// that an earlier, interrupted call wrote is kept.
    ///
    /// # Errors
    /// As a training.
    pub fn taught(
        &self,
        request: &Request,
        tokens: &Tokens,
        run: &RunFolder,
        messages: Messages,
        sandbox: &Sandbox,
        stop: &AtomicBool,
    ) -> Result<Vec<Example>> {
        let codebook = request.codebook;
        let texts: Vec<&str> = self.texts.iter().map(String::as_str).collect();
        let mut sums: Vec<Vec<Vec<f64>>> = Vec::new();
        let mut thresholds: Vec<Vec<f64>> = Vec::new();
        // Several teachers are a committee already; none needs members of its own.
        let alone = |recipe: &Recipe| Recipe { members: 1, ..recipe.clone() };
        let mut kinds: Vec<_> =
            self.teachers.iter().map(|t| (t.base.as_str(), alone(&t.recipe), None)).collect();
        if kinds.is_empty() {
            kinds.push((request.base, alone(request.recipe), request.adapted));
        }
        let count = kinds.len() * request.recipe.teachers;
        for teacher in 1..=count {
            let (base, ref recipe, adapted) = kinds[(teacher - 1) / request.recipe.teachers];
            let output = teachers(run).join(teacher.to_string());
            if !output.is_dir() {
                messages.note(&format!("teacher {teacher} of {count}"));
                let own = Request {
                    rows: Rows {
                        train: request.rows.train.clone(),
                        validation: request.rows.validation.clone(),
                    },
                    base,
                    recipe,
                    output: &output,
                    force: false,
                    folds: None,
                    unlabelled: None,
                    adapted,
                    seed: request.seed.wrapping_add((teacher as u64) << 32),
                    ..*request
                };
                train_bundle(own, messages, sandbox, stop)?;
            }
            let bundle = own_bundle(&output, base, recipe, request.device)?;
            let logits = bundle.logits(&bundle.read(&texts)?, stop)?;
            let decisions = bundle.decisions();
            let said = logits.iter().map(|logits| decisions.probabilities(codebook, logits));
            if sums.is_empty() {
                sums = said.collect();
                thresholds = decisions.thresholds();
            } else {
                sums.iter_mut().zip(said).for_each(|(sum, said)| add(sum, &said));
                add(&mut thresholds, &decisions.thresholds());
            }
        }
        for value in sums.iter_mut().flatten().chain(&mut thresholds).flatten() {
            *value /= count as f64;
        }
        let joint = Joint::new(codebook);
        let of = |said: &Vec<Vec<f64>>| soft(codebook, said, &joint.decide(said, &thresholds));
        let mut codes: Vec<Vec<SoftCode>> = sums.iter().map(of).collect();
        request.recipe.selection().apply(codebook, &mut codes);
        let missing = vec![Code::Missing; codebook.tiers.len()];
        self.read_by(tokens, |at| (missing.clone(), Some(codes[at].clone().into())))
    }
}

/// Where the teachers of a training are.
pub(super) fn teachers(run: &RunFolder) -> PathBuf {
    run.file("teachers")
}

fn add(sums: &mut [Vec<f64>], values: &[Vec<f64>]) {
    for (sums, values) in sums.iter_mut().zip(values) {
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    }
}

/// What the teachers' mean probabilities and the decision that follows from them teach: in every
/// tier as much as it is likely to be asked, about the labels that the decided answers permit.
fn soft(codebook: &Codebook, said: &[Vec<f64>], decision: &Decision) -> Vec<SoftCode> {
    let of_tier = |tier: usize| {
        let permitted = codebook.permitted(tier, &decision.codes[..tier]);
        let mut p: Vec<f64> = said[tier]
            .iter()
            .zip(&permitted)
            .map(|(p, open)| if *open { *p } else { 0.0 })
            .collect();
        let mut asked = decision.asked[tier];
        if codebook.tiers[tier].kind == TierKind::Single {
            let sum: f64 = p.iter().sum();
            if sum > 0.0 {
                p.iter_mut().for_each(|p| *p /= sum);
            } else {
                asked = 0.0;
            }
        } else if !permitted.contains(&true) {
            asked = 0.0;
        }
        SoftCode {
            weight: asked as f32,
            probabilities: p.into_iter().map(|p| p as f32).collect(),
            permitted,
        }
    };
    (0..codebook.tiers.len()).map(of_tier).collect()
}

/// Coded rows, each as often as the recipe says, and uncoded ones.
pub(super) fn together(coded: &[Example], uncoded: &[Example], recipe: &Recipe) -> Vec<Example> {
    let repeated = (0..recipe.gold_repeats as u64).flat_map(|time| {
        coded
            .iter()
            .map(move |example| Example { row: example.row + (time << 50), ..example.clone() })
    });
    repeated.chain(uncoded.iter().cloned()).collect()
}
