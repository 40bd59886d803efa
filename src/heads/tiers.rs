//! One head a tier, from the pooled vector to the tier's logits.

use candle_core::{D, Tensor};
use serde::{Deserialize, Serialize};

use crate::codebook::{Codebook, Tier, TierKind};
use crate::encoder::ops::{Pooling, pool};
use crate::encoder::{Affine, PackedBatch, Parameters, TensorSpec};
use crate::error::Result;

/// How heads are built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeadShape {
    /// Width of a hidden layer (tanh) in every head; 0: the heads are linear.
    pub hidden: usize,
    /// Whether a tier's head also sees the probabilities of the tiers above it (classifier
    /// chains, Read et al. 2009).
    pub chained: bool,
}

/// The name of the bias with which the tiers below see this tier. What is added to biases after
/// the training (margins, corrections of weights) leaves it alone.
pub fn chain_bias(tier: &Tier) -> String {
    format!("{}.chain.bias", tier.name)
}

impl HeadShape {
    /// The tensors of the heads of tiers with these labels, on vectors of `width` values:
    /// `TIER.weight` and `TIER.bias`, with a hidden layer also `TIER.hidden.weight` and
    /// `TIER.hidden.bias`, and for chains `TIER.chain.weight`.
    pub fn tensors(&self, codebook: &Codebook, width: usize) -> Vec<TensorSpec> {
        let mut specs = Vec::new();
        let mut add = |name: String, shape: Vec<usize>| {
            specs.push(TensorSpec { name, shape, depth: usize::MAX, effective: true });
        };
        let mut above = 0;
        for tier in &codebook.tiers {
            let (name, labels) = (&tier.name, tier.labels.len());
            let mut width = width;
            if self.hidden > 0 {
                add(format!("{name}.hidden.weight"), vec![self.hidden, width]);
                add(format!("{name}.hidden.bias"), vec![self.hidden]);
                width = self.hidden;
            }
            add(format!("{name}.weight"), vec![labels, width]);
            add(format!("{name}.bias"), vec![labels]);
            if self.chained && above > 0 {
                add(format!("{name}.chain.weight"), vec![labels, above]);
            }
            above += labels;
        }
        specs
    }

    /// The tensors of trained heads: those that are trained, and for chains the bias with which
    /// each tier is seen from below.
    pub fn stored(&self, codebook: &Codebook, width: usize) -> Vec<TensorSpec> {
        let mut specs = self.tensors(codebook, width);
        if self.chained {
            specs.extend(codebook.tiers.iter().map(|tier| TensorSpec {
                name: chain_bias(tier),
                shape: vec![tier.labels.len()],
                depth: usize::MAX,
                effective: true,
            }));
        }
        specs
    }
}

/// The heads of all tiers.
#[derive(Clone, Debug)]
pub struct Heads {
    tiers: Vec<TierHead>,
}

#[derive(Clone, Debug)]
struct TierHead {
    kind: TierKind,
    hidden: Option<Affine>,
    output: Affine,
    bias: Tensor,
    chain: Option<Chain>,
}

/// What links a tier to those above and below it.
#[derive(Clone, Debug)]
struct Chain {
    /// `[labels, labels above]`; none for the first tier.
    map: Option<Affine>,
    /// The bias with which the tiers below see this one.
    bias: Tensor,
}

impl Heads {
    /// Builds the heads on their parameters.
    ///
    /// # Errors
    /// If a tensor is missing.
    pub fn new(codebook: &Codebook, shape: HeadShape, parameters: &Parameters) -> Result<Self> {
        let of_tier = |(at, tier): (usize, &Tier)| {
            let name = &tier.name;
            let bias = parameters.get(&format!("{name}.bias"))?;
            let hidden = match shape.hidden {
                0 => None,
                _ => Some(Affine::new(parameters, &format!("{name}.hidden"))?),
            };
            let chain = match shape.chained {
                false => None,
                true => Some(Chain {
                    map: (at > 0)
                        .then(|| Affine::unbiased(parameters, &format!("{name}.chain")))
                        .transpose()?,
                    bias: parameters.get(&chain_bias(tier)).unwrap_or_else(|_| bias.clone()),
                }),
            };
            let output = Affine::new(parameters, name)?;
            Ok(TierHead { kind: tier.kind, hidden, output, bias, chain })
        };
        Ok(Self { tiers: codebook.tiers.iter().enumerate().map(of_tier).collect::<Result<_>>()? })
    }

    /// The logits of every tier, `[texts, labels]`, from the pooled vectors `[windows, hidden]`
    /// of the batch; those of a text's windows are averaged.
    ///
    /// # Errors
    /// If the vectors have another width than the heads.
    pub fn forward(&self, pooled: &Tensor, batch: &PackedBatch) -> Result<Vec<Tensor>> {
        let mut all = Vec::with_capacity(self.tiers.len());
        let mut seen: Vec<Tensor> = Vec::new();
        for head in &self.tiers {
            let mut logits = head.own(pooled)?;
            if let Some(chain) = &head.chain {
                if let Some(map) = &chain.map {
                    logits = (logits + map.of(&Tensor::cat(&seen, 1)?)?)?;
                }
                let moved = (&chain.bias - &head.bias)?.detach();
                seen.push(probabilities(&logits.detach().broadcast_add(&moved)?, head.kind)?);
            }
            all.push(match batch.windowed() {
                true => pool(&logits, &batch.texts, Pooling::Mean)?,
                false => logits,
            });
        }
        Ok(all)
    }
}

impl TierHead {
    /// The logits without what the tiers above say.
    fn own(&self, pooled: &Tensor) -> candle_core::Result<Tensor> {
        match &self.hidden {
            None => self.output.of(pooled),
            Some(hidden) => self.output.of(&hidden.of(pooled)?.tanh()?),
        }
    }
}

/// The probability of every label: softmax in a single tier, each by itself in a multi tier.
fn probabilities(logits: &Tensor, kind: TierKind) -> candle_core::Result<Tensor> {
    match kind {
        TierKind::Single => {
            let top = logits.max_keepdim(D::Minus1)?;
            let raised = logits.broadcast_sub(&top)?.exp()?;
            raised.broadcast_div(&raised.sum_keepdim(D::Minus1)?)
        }
        TierKind::Multi => (logits.neg()?.exp()? + 1.0)?.recip(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use candle_core::Device;

    use super::*;
    use crate::encoder::TokenizedText;
    use crate::encoder::ops::gradient_check::{check, var};

    /// Tensors of these heads with values that look random.
    fn parameters(codebook: &Codebook, shape: HeadShape) -> BTreeMap<String, candle_core::Var> {
        let specs = shape.tensors(codebook, 3).into_iter().enumerate();
        specs.map(|(seed, s)| (s.name, var(&s.shape, seed as u64 + 1))).collect()
    }

    fn plain(vars: &BTreeMap<String, candle_core::Var>) -> Parameters {
        Parameters::new(vars.iter().map(|(n, v)| (n.clone(), v.as_tensor().clone())).collect())
    }

    fn batch(windows: &[&[usize]]) -> PackedBatch {
        let text = |windows: &&[usize]| TokenizedText {
            windows: windows.to_vec(),
            ..TokenizedText::whole(vec![0; windows.iter().sum()])
        };
        PackedBatch::new(&windows.iter().map(text).collect::<Vec<_>>())
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    }

    #[test]
    fn a_chained_tier_adds_what_the_tiers_above_say() {
        let codebook = Codebook::find("olid").unwrap();
        let shape = HeadShape { hidden: 0, chained: true };
        let vars = parameters(&codebook, shape);
        let (x, one) = (var(&[1, 3], 50), batch(&[&[4]]));
        let alone = Heads::new(&codebook, HeadShape::default(), &plain(&vars)).unwrap();
        let chained = Heads::new(&codebook, shape, &plain(&vars)).unwrap();
        let (alone, chained) =
            (alone.forward(&x, &one).unwrap(), chained.forward(&x, &one).unwrap());
        assert_eq!(values(&alone[0]), values(&chained[0]));
        let first = values(&chained[0]);
        let p = 1.0 / (1.0 + (first[1] - first[0]).exp());
        let weight = vars[&format!("{}.chain.weight", codebook.tiers[1].name)].to_vec2::<f32>();
        for (label, row) in weight.unwrap().iter().enumerate() {
            let added = values(&chained[1])[label] - values(&alone[1])[label];
            assert!((added - (row[0] * p + row[1] * (1.0 - p))).abs() < 1e-6);
        }
    }

    #[test]
    fn biases_may_move_without_moving_what_lies_below() {
        let codebook = Codebook::find("olid").unwrap();
        let shape = HeadShape { hidden: 0, chained: true };
        let mut stored = plain(&parameters(&codebook, shape));
        let (x, one) = (var(&[1, 3], 50), batch(&[&[4]]));
        let before = Heads::new(&codebook, shape, &stored).unwrap().forward(&x, &one).unwrap();
        for tier in &codebook.tiers {
            let bias = stored.get(&format!("{}.bias", tier.name)).unwrap();
            stored.replace(&chain_bias(tier), bias);
        }
        let specs = shape.stored(&codebook, 3);
        assert!(specs.iter().all(|spec| stored.get(&spec.name).is_ok()));
        let first = format!("{}.bias", codebook.tiers[0].name);
        let moved = (stored.get(&first).unwrap() + 2.0).unwrap();
        stored.replace(&first, moved);
        let after = Heads::new(&codebook, shape, &stored).unwrap().forward(&x, &one).unwrap();
        assert!((values(&after[0])[0] - values(&before[0])[0] - 2.0).abs() < 1e-6);
        for (after, before) in values(&after[1]).iter().zip(values(&before[1])) {
            assert!((after - before).abs() < 1e-6);
        }
    }

    #[test]
    fn logits_of_windows_are_averaged() {
        let codebook = Codebook::find("olid").unwrap();
        let shape = HeadShape { hidden: 2, chained: true };
        let heads = Heads::new(&codebook, shape, &plain(&parameters(&codebook, shape))).unwrap();
        let x = var(&[3, 3], 50);
        let apart = heads.forward(&x, &batch(&[&[4], &[2], &[1]])).unwrap();
        let joined = heads.forward(&x, &batch(&[&[4, 2], &[1]])).unwrap();
        for (apart, joined) in apart.iter().zip(&joined) {
            let (a, j) = (apart.to_vec2::<f32>().unwrap(), joined.to_vec2::<f32>().unwrap());
            assert_eq!(a[2], j[1]);
            for label in 0..a[0].len() {
                assert!(((a[0][label] + a[1][label]) / 2.0 - j[0][label]).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn gradients_match_finite_differences() {
        let codebook = Codebook::find("llm-mental-health").unwrap();
        let shape = HeadShape { hidden: 2, chained: true };
        let vars = parameters(&codebook, shape);
        let names: Vec<String> = vars.keys().cloned().collect();
        // The first tier's own tensors reach the others through probabilities alone, which
        // carry no gradient back.
        let last = &codebook.tiers[2].name;
        let own: Vec<&String> = names.iter().filter(|name| name.starts_with(last)).collect();
        let held: Vec<candle_core::Var> = own.iter().map(|name| vars[*name].clone()).collect();
        let x = Tensor::ones((2, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
        check(&held, 2e-3, |t| {
            let mut all = plain(&vars);
            own.iter().zip(t).for_each(|(name, t)| all.replace(name, t.clone()));
            let heads = Heads::new(&codebook, shape, &all).unwrap();
            heads.forward(&x, &batch(&[&[1], &[1]])).unwrap().remove(2)
        });
    }
}
