//! Lexical heads: what single words, symbols and word parts say, beside the encoder.
//!
//! Slang, profanity and emoji carry much of an attitude and little of a sentence embedding. A
//! penalised linear model over hashed n-grams catches them; its logits join the encoder's.

mod lexicon;
mod ngrams;

pub use lexicon::{Lexicon, SparseRows, SparseVector};
pub use ngrams::NGrams;

use lexicon::terms;

use candle_core::{Device, Tensor};
use safetensors::{Dtype, SafeTensors};

use super::logistic::LinearHead;
use crate::codebook::Codebook;
use crate::encoder::{Parameters, TensorSpec, load_weights};
use crate::error::{Error, Result};

const FEATURES: &str = "lexical.features";
const IDF: &str = "lexical.idf";

/// A lexicon, and for every tier a linear map from its n-grams to the tier's logits.
#[derive(Clone, Debug)]
pub struct LexicalHeads {
    lexicon: Lexicon,
    tiers: Vec<LinearHead>,
}

impl LexicalHeads {
    /// Heads over a lexicon, one a tier.
    pub fn new(lexicon: Lexicon, tiers: Vec<LinearHead>) -> Self {
        Self { lexicon, tiers }
    }

    /// The known n-grams of a text.
    pub fn vector(&self, text: &NGrams) -> SparseVector {
        self.lexicon.vector(text)
    }

    /// What the n-grams add to each tier's logits, `[tier][label]`.
    pub fn logits(&self, text: &SparseVector) -> Vec<Vec<f64>> {
        let width = self.lexicon.len();
        let of_tier = |head: &LinearHead| {
            let of_label = |(label, bias): (usize, &f32)| {
                let terms = terms(text, head, label, width);
                f64::from(*bias) + terms.map(|(w, v)| f64::from(w) * f64::from(v)).sum::<f64>()
            };
            head.bias.iter().enumerate().map(of_label).collect()
        };
        self.tiers.iter().map(of_tier).collect()
    }

    /// Multiplies what each tier says by a factor.
    pub fn scale(&mut self, factors: &[f64]) {
        for (head, factor) in self.tiers.iter_mut().zip(factors) {
            for value in head.weight.iter_mut().chain(&mut head.bias) {
                *value = (f64::from(*value) * factor) as f32;
            }
        }
    }

    /// Adds the tensors to those of the heads: `lexical.features` (hashes, u32),
    /// `lexical.idf`, and `lexical.TIER.weight` and `lexical.TIER.bias` for every tier.
    ///
    /// # Errors
    /// If a tensor cannot be made.
    pub fn store(&self, codebook: &Codebook, heads: &mut Parameters) -> Result<()> {
        let (hashes, idf) = self.lexicon.parts();
        let width = hashes.len();
        heads.replace(FEATURES, Tensor::from_slice(hashes, width, &Device::Cpu)?);
        heads.replace(IDF, Tensor::from_slice(idf, width, &Device::Cpu)?);
        for (tier, head) in codebook.tiers.iter().zip(&self.tiers) {
            let [weight, bias] = names(&tier.name);
            let shape = (head.bias.len(), width);
            heads.replace(&weight, Tensor::from_slice(&head.weight, shape, &Device::Cpu)?);
            heads.replace(&bias, Tensor::from_slice(&head.bias, head.bias.len(), &Device::Cpu)?);
        }
        Ok(())
    }

    /// Reads the lexical heads of a bundle's `heads.safetensors`, if it has any; `place` names
    /// the file.
    ///
    /// # Errors
    /// If a tensor is missing, or has another type or shape than the codebook asks for.
    pub fn read(bytes: &[u8], codebook: &Codebook, place: &str) -> Result<Option<Self>> {
        let damaged = || {
            Error::model("its lexical features are damaged")
                .at(place)
                .advise("copy the whole bundle again, or train it anew")
        };
        let file = SafeTensors::deserialize(bytes).map_err(|_| damaged())?;
        let Ok(features) = file.tensor(FEATURES) else { return Ok(None) };
        if features.dtype() != Dtype::U32 || features.shape().len() != 1 {
            return Err(damaged());
        }
        let hashes: Vec<u32> = features
            .data()
            .chunks_exact(4)
            .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        let width = hashes.len();
        let spec = |name: String, shape| TensorSpec { name, shape, depth: 0, effective: true };
        let mut specs = vec![spec(IDF.into(), vec![width])];
        for tier in &codebook.tiers {
            let [weight, bias] = names(&tier.name);
            let labels = tier.labels.len();
            specs.push(spec(weight, vec![labels, width]));
            specs.push(spec(bias, vec![labels]));
        }
        let tensors = load_weights(bytes, &specs, place)?;
        let values = |name: &str| -> Result<Vec<f32>> {
            Ok(tensors.get(name)?.flatten_all()?.to_vec1::<f32>()?)
        };
        let lexicon = Lexicon::from_parts(hashes, values(IDF)?).ok_or_else(damaged)?;
        let head = |tier: &crate::codebook::Tier| -> Result<LinearHead> {
            let [weight, bias] = names(&tier.name);
            Ok(LinearHead { weight: values(&weight)?, bias: values(&bias)? })
        };
        let tiers = codebook.tiers.iter().map(head).collect::<Result<_>>()?;
        Ok(Some(Self { lexicon, tiers }))
    }
}

fn names(tier: &str) -> [String; 2] {
    ["weight", "bias"].map(|part| format!("lexical.{tier}.{part}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::save_weights;

    fn heads(codebook: &Codebook) -> LexicalHeads {
        let texts = ["a fool", "a fool", "a day"].map(NGrams::of);
        let lexicon = Lexicon::learn(&texts, 100);
        let width = lexicon.len();
        let tiers = codebook
            .tiers
            .iter()
            .map(|tier| {
                let labels = tier.labels.len();
                let weight = (0..labels * width).map(|i| i as f32 / 10.0).collect();
                LinearHead { weight, bias: (0..labels).map(|l| l as f32).collect() }
            })
            .collect();
        LexicalHeads::new(lexicon, tiers)
    }

    fn stored(heads: &LexicalHeads, codebook: &Codebook) -> Vec<u8> {
        let mut parameters = Parameters::default();
        heads.store(codebook, &mut parameters).unwrap();
        save_weights(parameters.iter(), None).unwrap()
    }

    #[test]
    fn what_is_stored_says_the_same_when_read() {
        let codebook = Codebook::find("olid").unwrap();
        let mut heads = heads(&codebook);
        heads.scale(&[0.5, 2.0, 1.0]);
        let read = LexicalHeads::read(&stored(&heads, &codebook), &codebook, "h").unwrap().unwrap();
        let text = NGrams::of("what a fool");
        assert!(!heads.vector(&text).is_empty());
        assert_eq!(read.logits(&read.vector(&text)), heads.logits(&heads.vector(&text)));
        // Without a known n-gram the scaled biases speak alone.
        assert_eq!(read.logits(&Vec::new())[1], [0.0, 2.0]);
    }

    #[test]
    fn heads_of_another_codebook_or_out_of_order_are_refused() {
        let codebook = Codebook::find("olid").unwrap();
        let bytes = stored(&heads(&codebook), &codebook);
        let other = Codebook::find("edos").unwrap();
        assert_eq!(LexicalHeads::read(&bytes, &other, "h").unwrap_err().exit_code(), 4);
        assert!(Lexicon::from_parts(vec![2, 1], vec![1.0, 1.0]).is_none());
        assert!(Lexicon::from_parts(vec![1], vec![]).is_none());
        let none = save_weights(Parameters::default().iter(), None).unwrap();
        assert!(LexicalHeads::read(&none, &codebook, "h").unwrap().is_none());
    }
}
