//! Lexical heads fitted to the training rows.

use rayon::prelude::*;

use super::example::codes;
use super::{Examples, Recipe};
use crate::codebook::Codebook;
use crate::heads::lexical::{LexicalHeads, Lexicon, SparseRows};
use crate::heads::logistic::{LinearHead, fit};
use crate::heads::{LossForm, denominators, targets};

/// Learns the lexicon and fits every tier's lexical head; `None` where the recipe asks for
/// none or no n-gram stands in two training texts.
///
/// The penalty stands against the loss summed over rows, as in scikit-learn's
/// `LogisticRegression` with C = 1 / penalty.
pub fn fit_lexical(
    codebook: &Codebook,
    examples: &Examples,
    recipe: &Recipe,
) -> Option<LexicalHeads> {
    let texts = || examples.train.iter().map(|example| &example.ngrams);
    let lexicon = Lexicon::learn(texts(), recipe.lexical_features);
    if lexicon.is_empty() {
        return None;
    }
    let width = lexicon.len();
    let design = SparseRows { rows: texts().map(|text| lexicon.vector(text)).collect(), width };
    let rows = codes(&examples.train.iter().collect::<Vec<_>>());
    let weights = recipe.label_weights(codebook, &examples.train);
    let sums = denominators(codebook, &rows, &weights);
    let tiers: Vec<usize> = (0..codebook.tiers.len()).collect();
    let head = |&tier: &usize| {
        let goal = targets(codebook, tier, &rows, &weights, LossForm::default(), sums[tier]);
        let start = LinearHead::zero(codebook.tiers[tier].labels.len(), width);
        let mut head = fit(&design, &goal, recipe.lexical_penalty / f64::from(sums[tier]), start);
        weights.correct_biases(tier, &mut head.bias);
        head
    };
    Some(LexicalHeads::new(lexicon, tiers.par_iter().map(head).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codebook::{Code, LabelSet};
    use crate::encoder::TokenizedText;
    use crate::heads::lexical::NGrams;
    use crate::training::Example;

    fn examples(texts: &[&str]) -> Examples {
        let example = |(row, text): (usize, &&str)| Example {
            row: row as u64,
            text: TokenizedText::whole(Vec::new()),
            ngrams: NGrams::of(text),
            soft: None,
            codes: vec![
                Code::Coded(LabelSet::one(usize::from(!text.contains("fool")))),
                Code::NotAsked,
                Code::NotAsked,
            ],
        };
        Examples {
            train: texts.iter().enumerate().map(example).collect(),
            validation: Vec::new(),
            mask: None,
        }
    }

    #[test]
    fn a_telling_word_is_found() {
        let codebook = Codebook::find("olid").unwrap();
        let examples = examples(&["you fool", "a fool he is", "a fine day", "you and a day"]);
        let recipe = Recipe::default();
        let heads = fit_lexical(&codebook, &examples, &recipe).unwrap();
        let margin = |text: &str| {
            let logits = heads.logits(&heads.vector(&NGrams::of(text)));
            logits[0][0] - logits[0][1]
        };
        assert!(margin("such a fool") > 0.2, "{}", margin("such a fool"));
        assert!(margin("such a day") < -0.2, "{}", margin("such a day"));
        assert!(heads.logits(&heads.vector(&NGrams::of("x")))[1].iter().all(|l| *l == 0.0));
        let none = Recipe { lexical_features: 0, ..recipe };
        assert!(fit_lexical(&codebook, &examples, &none).is_none());
    }
}
