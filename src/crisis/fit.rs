//! Fitting the screen: a judge of comments and one of posts, each the sum of two penalised logistic
//! regressions, over what the encoder sees and over n-grams.

use super::features::{Part, Seen};
use super::model::{Judge, Judges, said, seen};
use crate::corpus::stratified_folds;
use crate::error::{Error, Result};
use crate::heads::lexical::{Lexicon, SparseRows};
use crate::heads::logistic::{DenseRows, Design, LinearHead, fit as fit_head};
use crate::heads::loss::{MultiTargets, Targets};

/// The layers after which texts are seen, counted from 1.
pub const LAYERS: [usize; 2] = [4, 6];

/// How weakly weights are penalised, as scikit-learn counts it (its `C`): of vectors, of n-grams,
/// and of vectors where they tell posts from comments.
const FREEDOM: [f64; 2] = [0.04, 0.5];
const FREEDOM_OF_REGISTER: f64 = 0.4;

/// How much what the encoder sees counts beside the n-grams, each brought to a spread of 1.
const SEEN_COUNTS: f64 = 2.0;

/// N-grams that a judge knows at most.
const MOST_NGRAMS: usize = 30_000;

/// The share of posts and of comments in danger, among those that a judge did not learn from, that
/// lie above its threshold: more than the 0.95 that is asked for, since the threshold is an estimate,
/// and since the judge of the other kind, who has a part in each verdict, lets some fall.
const TARGET_OF_POSTS: f64 = 0.975;
const TARGET_OF_COMMENTS: f64 = 0.983;
const TARGET_AGAINST_ORDINARY: f64 = 0.99;

/// The parts into which texts are cut to judge each by what was learnt from the others.
const FOLDS: usize = 5;

/// A text of which it is known whether it shows a crisis.
#[derive(Clone, Debug)]
pub struct Example {
    /// What is seen of it.
    pub seen: Seen,
    /// Whether it does.
    pub crisis: bool,
    /// Of what kind it is. Whoever is screened is not asked.
    pub kind: Kind,
}

impl Example {
    /// The parts that are learnt from: a small part of a long text need not show what the whole does.
    fn large_parts(&self) -> impl Iterator<Item = &Part> {
        self.seen.parts[..self.seen.large].iter()
    }
}

/// Where an example comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A longer post of a forum.
    Post,
    /// A short comment, in danger or close to it.
    Comment,
    /// A comment of everyday life.
    Ordinary,
}

/// Fits the judges, each to the examples of its kind, with a threshold that lets the share asked for
/// of those in danger pass, as they are judged by what was learnt from the others; and what tells
/// the kinds apart.
///
/// # Errors
/// If there are too few of a kind to be cut into folds.
pub fn fit(examples: &[&Example], seed: u64) -> Result<Judges> {
    let those = |is: &dyn Fn(&Example) -> bool| -> Vec<&Example> {
        examples.iter().filter(|example| is(example)).copied().collect()
    };
    let judge = |kind: Kind, target: f64| learn(&those(&|e| e.kind == kind), target, seed);
    let coded = those(&|example| example.kind != Kind::Ordinary);
    let register = over_vectors(&coded, |e| e.kind == Kind::Post, FREEDOM_OF_REGISTER)?;
    let against_ordinary = those(&|example| example.crisis || example.kind == Kind::Ordinary);
    Ok(Judges {
        comments: judge(Kind::Comment, TARGET_OF_COMMENTS)?,
        posts: judge(Kind::Post, TARGET_OF_POSTS)?,
        ordinary: learn(&against_ordinary, TARGET_AGAINST_ORDINARY, seed)?,
        register: Judge {
            weight: register.weight,
            lexicon: Lexicon::default(),
            lexical: Vec::new(),
            bias: register.bias[0],
        },
    })
}

fn learn(examples: &[&Example], target: f64, seed: u64) -> Result<Judge> {
    let is_crisis = |example: &Example| example.crisis;
    let traits: Vec<Vec<usize>> = examples.iter().map(|e| vec![usize::from(e.crisis)]).collect();
    let units: Vec<Vec<usize>> = (0..examples.len()).map(|row| vec![row]).collect();
    let fold_of = stratified_folds(&traits, &units, FOLDS, seed)?;
    let mut said: Vec<Vec<[f64; 2]>> = vec![Vec::new(); examples.len()];
    for fold in 0..FOLDS {
        let rest = examples.iter().zip(&fold_of).filter(|(_, own)| **own != fold);
        let heads = Halves::of(&rest.map(|(example, _)| *example).collect::<Vec<_>>(), is_crisis)?;
        for at in (0..examples.len()).filter(|at| fold_of[*at] == fold) {
            said[at] = examples[at].large_parts().map(|part| heads.say(part)).collect();
        }
    }
    let spread = [0, 1].map(|half| spread(said.iter().flatten().map(|said| said[half])));
    let scales = [SEEN_COUNTS / spread[0], 1.0 / spread[1]];
    let sum = |said: &[f64; 2]| said[0] * scales[0] + said[1] * scales[1];
    let highest = |parts: &Vec<[f64; 2]>| parts.iter().map(sum).fold(f64::NEG_INFINITY, f64::max);
    let in_danger = examples.iter().zip(&said).filter(|(example, _)| example.crisis);
    let mut margins: Vec<f64> = in_danger.map(|(_, parts)| highest(parts)).collect();
    margins.sort_by(f64::total_cmp);
    let below = ((1.0 - target) * margins.len() as f64 + 1e-9).floor() as usize;
    let threshold = margins.get(below).copied().unwrap_or(0.0);
    Ok(Halves::of(examples, is_crisis)?.judge(scales, threshold))
}

/// The standard deviation of some values.
fn spread(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / count;
    (values.map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt().max(f64::MIN_POSITIVE)
}

/// The two regressions of a judge.
struct Halves {
    seen: LinearHead,
    lexicon: Lexicon,
    said: LinearHead,
}

impl Halves {
    /// Fits them to whether an example is what they are to tell.
    fn of(examples: &[&Example], is: impl Fn(&Example) -> bool) -> Result<Self> {
        let parts = || examples.iter().flat_map(|e| e.large_parts().map(|part| (part, is(e))));
        let seen = over_vectors(examples, &is, FREEDOM[0])?;
        let lexicon = Lexicon::learn(parts().map(|(part, _)| &part.ngrams), MOST_NGRAMS);
        let rows: Vec<_> = parts().map(|(part, _)| lexicon.vector(&part.ngrams)).collect();
        let rows = SparseRows { rows, width: lexicon.len() };
        let crises: Vec<bool> = parts().map(|(_, crisis)| crisis).collect();
        let said = regression(&rows, lexicon.len(), &crises, FREEDOM[1])?;
        Ok(Self { seen, lexicon, said })
    }

    /// What each says of a part.
    fn say(&self, part: &Part) -> [f64; 2] {
        let of_vectors = seen(&self.seen.weight, part) + f64::from(self.seen.bias[0]);
        let of_ngrams = said(&self.lexicon, &self.said.weight, part) + f64::from(self.said.bias[0]);
        [of_vectors, of_ngrams]
    }

    /// Their sum, each times its scale, above a threshold.
    fn judge(self, scales: [f64; 2], threshold: f64) -> Judge {
        let times = |values: Vec<f32>, scale: f64| -> Vec<f32> {
            values.into_iter().map(|value| (f64::from(value) * scale) as f32).collect()
        };
        let bias = f64::from(self.seen.bias[0]) * scales[0]
            + f64::from(self.said.bias[0]) * scales[1]
            - threshold;
        Judge {
            weight: times(self.seen.weight, scales[0]),
            lexicon: self.lexicon,
            lexical: times(self.said.weight, scales[1]),
            bias: bias as f32,
        }
    }
}

/// A regression over the vectors of the examples.
fn over_vectors(
    examples: &[&Example],
    is: impl Fn(&Example) -> bool,
    freedom: f64,
) -> Result<LinearHead> {
    let vectors: Vec<(&Vec<f32>, bool)> = examples
        .iter()
        .flat_map(|e| e.large_parts().map(|part| (part, is(e))))
        .flat_map(|(part, is)| part.vectors.iter().map(move |vector| (vector, is)))
        .collect();
    let values: Vec<f32> = vectors.iter().flat_map(|(vector, _)| vector.iter().copied()).collect();
    let rows = DenseRows { values: &values, rows: vectors.len() };
    let width = values.len() / vectors.len().max(1);
    let answers: Vec<bool> = vectors.iter().map(|(_, is)| *is).collect();
    regression(&rows, width, &answers, freedom)
}

/// A logistic regression in which both answers count alike, however many rows each has.
fn regression(
    rows: &impl Design,
    width: usize,
    answers: &[bool],
    freedom: f64,
) -> Result<LinearHead> {
    let count = answers.len() as f64;
    let positive = answers.iter().filter(|answer| **answer).count() as f64;
    let negative = count - positive;
    if positive == 0.0 || negative == 0.0 {
        return Err(Error::data("a screen needs texts in danger and others, posts and comments"));
    }
    let targets = Targets::Multi(MultiTargets {
        positive: answers.to_vec(),
        counted: vec![true; answers.len()],
        positive_weights: vec![(negative / positive) as f32],
        focus: 0.0,
        denominator: (2.0 * negative) as f32,
    });
    Ok(fit_head(rows, &targets, 1.0 / (freedom * count), LinearHead::zero(1, width)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crisis::model::{ScreenManifest, ScreenModel};
    use crate::heads::lexical::NGrams;

    /// Examples whose vectors overlap: those in danger lie higher along the axis of their kind.
    fn examples(kind: Kind, count: usize) -> Vec<Example> {
        (0..count)
            .map(|row| {
                let crisis = kind != Kind::Ordinary && row % 3 == 0;
                let noise = |of: usize| ((row * of) % 17) as f32 / 17.0 - 0.5;
                let danger = if crisis { 1.0 } else { 0.0 };
                let (post, ordinary) = (kind == Kind::Post, kind == Kind::Ordinary);
                let mut vector = vec![noise(5), noise(7), noise(11), noise(13)];
                vector[usize::from(post)] += danger;
                vector[2] += if post { 3.0 } else { -3.0 };
                vector[3] += if ordinary { -3.0 } else { 3.0 };
                let ngrams = NGrams::of(["so it goes", "and so on", "well then"][row % 3]);
                let parts = vec![Part { vectors: vec![vector], ngrams }];
                Example { seen: Seen { parts, large: 1, truncated: false }, crisis, kind }
            })
            .collect()
    }

    #[test]
    fn most_in_danger_lie_above_the_threshold_and_the_rest_mostly_below() {
        let all: Vec<Example> = [Kind::Post, Kind::Comment, Kind::Ordinary]
            .into_iter()
            .flat_map(|kind| examples(kind, 150))
            .collect();
        let all: Vec<&Example> = all.iter().collect();
        let judges = fit(&all, 1).unwrap();
        assert_eq!(judges, fit(&all, 1).unwrap());
        let manifest = ScreenManifest {
            confide: String::new(),
            layers: vec![6],
            language: "en".into(),
            trained_on: Vec::new(),
            weights: String::new(),
        };
        let model = ScreenModel::new(manifest, judges).unwrap();
        let flagged = |kind: Kind, crisis: bool| {
            let own = all.iter().filter(|e| e.kind == kind && e.crisis == crisis);
            let margins: Vec<f64> = own.map(|e| model.margin(&e.seen)).collect();
            margins.iter().filter(|margin| **margin >= 0.0).count() as f64 / margins.len() as f64
        };
        for kind in [Kind::Post, Kind::Comment] {
            assert!(flagged(kind, true) >= 0.95, "{kind:?}: {}", flagged(kind, true));
            assert!(flagged(kind, false) < 0.6, "{kind:?}: {}", flagged(kind, false));
        }
        assert!(flagged(Kind::Ordinary, false) < 0.1);
    }

    #[test]
    fn one_answer_alone_teaches_nothing() {
        let all = examples(Kind::Ordinary, 20);
        assert_eq!(fit(&all.iter().collect::<Vec<_>>(), 1).unwrap_err().exit_code(), 3);
    }
}
