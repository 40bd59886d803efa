//! AdamW with decoupled weight decay (Loshchilov and Hutter 2019), clipping by global norm, and
//! a running average of the weights (Polyak and Juditsky 1992, exponential form).

use std::collections::BTreeMap;
use std::sync::Mutex;

use candle_core::{CpuStorage, InplaceOp1, Layout, Tensor, Var, bail};
use rayon::prelude::*;

use crate::encoder::ops::tensor_values;
use crate::error::{Error, Result};

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// One trainable tensor with its moments and its own pace.
#[derive(Debug)]
pub struct Trainable {
    /// The tensor.
    pub var: Var,
    /// The factor of the base learning rate.
    pub pace: f64,
    /// Whether weight decay applies: matrices yes; embeddings, biases and gains no.
    pub decays: bool,
    first: Vec<f32>,
    second: Vec<f32>,
    average: Vec<f32>,
}

/// The optimiser's state over all trainable tensors, in alphabetical order.
#[derive(Debug, Default)]
pub struct AdamW {
    tensors: BTreeMap<String, Trainable>,
    steps: u64,
    averaging: f64,
}

/// What an update saw.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// The global norm of the gradient before clipping.
    pub norm: f64,
}

impl AdamW {
    /// An optimiser without tensors; `averaging` is how much of the average each update keeps,
    /// 0 for no average.
    pub fn new(averaging: f64) -> Self {
        Self { averaging, ..Self::default() }
    }

    /// Adds a trainable tensor with moments of zero.
    ///
    /// # Errors
    /// If its values cannot be read.
    pub fn add(&mut self, name: String, var: Var, pace: f64, decays: bool) -> Result<()> {
        let n = var.elem_count();
        let average =
            if self.averaging > 0.0 { var.flatten_all()?.to_vec1::<f32>()? } else { Vec::new() };
        let (first, second) = (vec![0.0; n], vec![0.0; n]);
        self.tensors.insert(name, Trainable { var, pace, decays, first, second, average });
        Ok(())
    }

    /// How much of the average this update keeps: little in the beginning, so that the start
    /// does not linger.
    fn kept(&self) -> f64 {
        let steps = self.steps as f64;
        self.averaging.min((1.0 + steps) / (5.0 + steps))
    }

    /// The averaged weights by name; the weights themselves without averaging.
    ///
    /// # Errors
    /// If a tensor cannot be made.
    pub fn averages(&self) -> Result<BTreeMap<String, Tensor>> {
        self.tensors
            .iter()
            .map(|(name, t)| {
                let tensor = if t.average.is_empty() {
                    t.var.as_tensor().copy()?
                } else {
                    Tensor::from_slice(&t.average, t.var.shape(), t.var.device())?
                };
                Ok((name.clone(), tensor))
            })
            .collect()
    }

    /// The trainable tensors by name.
    pub fn tensors(&self) -> impl Iterator<Item = (&String, &Trainable)> {
        self.tensors.iter()
    }

    /// How many updates were made.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Sums the shards' gradients in their order, clips them to `clip` and updates every
    /// tensor. `gradients` gives a tensor's gradient in one shard.
    ///
    /// # Errors
    /// If a gradient is missing or not finite; nothing is updated then.
    pub fn step<G: Sync>(
        &mut self,
        shards: &[G],
        gradients: impl Fn(&G, &Var) -> Option<Tensor> + Sync,
        rate: f64,
        decay: f64,
        clip: f64,
    ) -> Result<Update> {
        let sums: Vec<(Vec<f32>, f64)> = self
            .tensors
            .par_iter()
            .map(|(name, t)| {
                let mut sum: Option<Vec<f32>> = None;
                for shard in shards {
                    let Some(gradient) = gradients(shard, &t.var) else { continue };
                    let values = gradient.flatten_all()?.to_vec1::<f32>()?;
                    match &mut sum {
                        None => sum = Some(values),
                        Some(sum) => sum.iter_mut().zip(values).for_each(|(s, v)| *s += v),
                    }
                }
                let sum = sum.ok_or_else(|| no_gradient(name))?;
                let square = squares(&sum);
                Ok((sum, square))
            })
            .collect::<Result<_>>()?;
        let norm = sums.iter().map(|(_, s)| s).sum::<f64>().sqrt();
        if !norm.is_finite() {
            return Err(Error::model("the training diverged: a gradient is not finite")
                .advise("lower learning_rate in the recipe"));
        }
        self.steps += 1;
        let scale = if clip > 0.0 && norm > clip { clip / norm } else { 1.0 };
        let (first, second) = (
            1.0 - f64::from(BETA1).powi(self.steps as i32),
            1.0 - f64::from(BETA2).powi(self.steps as i32),
        );
        let kept = self.kept() as f32;
        let tensors: Vec<&mut Trainable> = self.tensors.values_mut().collect();
        tensors.into_par_iter().zip(&sums).try_for_each(|(t, (sum, _))| {
            let rate = rate * t.pace;
            let update = AdamStep {
                gradient: sum,
                moments: Mutex::new((&mut t.first, &mut t.second)),
                scale: scale as f32,
                rate: (rate / first) as f32,
                second: (1.0 / second.sqrt()) as f32,
                shrink: if t.decays { (1.0 - rate * decay) as f32 } else { 1.0 },
            };
            t.var.inplace_op1(&update)?;
            if t.average.is_empty() {
                return Ok(());
            }
            let (storage, layout) = t.var.storage_and_layout();
            let weights = tensor_values(&storage, layout)?;
            for (a, w) in t.average.iter_mut().zip(weights) {
                *a = kept * *a + (1.0 - kept) * w;
            }
            Ok::<(), candle_core::Error>(())
        })?;
        Ok(Update { norm })
    }

    /// The moments of every tensor, as `first.NAME` and `second.NAME`, and its average, if there
    /// is one, as `average.NAME`.
    ///
    /// # Errors
    /// If a tensor cannot be made.
    pub fn moments(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut out = BTreeMap::new();
        for (name, t) in &self.tensors {
            let parts = [("first", &t.first), ("second", &t.second), ("average", &t.average)];
            for (which, values) in parts.into_iter().filter(|(_, values)| !values.is_empty()) {
                let tensor = Tensor::from_slice(values, t.var.shape(), t.var.device())?;
                out.insert(format!("{which}.{name}"), tensor);
            }
        }
        Ok(out)
    }

    /// Goes back to saved weights, moments and step count; `saved` gives a tensor by name.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn restore(&mut self, steps: u64, saved: impl Fn(&str) -> Result<Tensor>) -> Result<()> {
        for (name, t) in &mut self.tensors {
            t.var.set(&saved(&format!("weight.{name}"))?)?;
            let parts =
                [("first", &mut t.first), ("second", &mut t.second), ("average", &mut t.average)];
            for (which, values) in parts.into_iter().filter(|(_, values)| !values.is_empty()) {
                let tensor = saved(&format!("{which}.{name}"))?.flatten_all()?.to_vec1::<f32>()?;
                if tensor.len() != values.len() {
                    return Err(Error::model(format!(
                        "the saved moment of '{name}' has another size"
                    )));
                }
                *values = tensor;
            }
        }
        self.steps = steps;
        Ok(())
    }
}

/// The sum of squares in f64, in a fixed order.
fn squares(values: &[f32]) -> f64 {
    values.chunks(1024).map(|chunk| f64::from(chunk.iter().map(|v| v * v).sum::<f32>())).sum()
}

fn no_gradient(name: &str) -> Error {
    Error::model(format!("the trainable tensor '{name}' received no gradient"))
        .advise("report this: the encoder's backward pass is broken")
}

struct AdamStep<'a> {
    gradient: &'a [f32],
    moments: Mutex<(&'a mut Vec<f32>, &'a mut Vec<f32>)>,
    scale: f32,
    rate: f32,
    second: f32,
    shrink: f32,
}

impl InplaceOp1 for AdamStep<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let CpuStorage::F32(all) = storage else { bail!("AdamW updates f32 tensors") };
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("AdamW updates contiguous tensors")
        };
        let Ok(mut moments) = self.moments.lock() else { bail!("AdamW lost its moments") };
        let (first, second) = &mut *moments;
        let weights = &mut all[start..end];
        pulp::Arch::new().dispatch(|| {
            for (((w, g), m), v) in
                weights.iter_mut().zip(self.gradient).zip(first.iter_mut()).zip(second.iter_mut())
            {
                let g = g * self.scale;
                *m = BETA1 * *m + (1.0 - BETA1) * g;
                *v = BETA2 * *v + (1.0 - BETA2) * g * g;
                *w = *w * self.shrink - self.rate * *m / (v.sqrt() * self.second + EPSILON);
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn optimiser(values: &[f32], decays: bool) -> (AdamW, Var) {
        let var = Var::new(values, &Device::Cpu).unwrap();
        let mut adam = AdamW::new(0.5);
        adam.add("w".into(), var.clone(), 1.0, decays).unwrap();
        (adam, var)
    }

    fn gradient(values: &[f32]) -> Vec<Tensor> {
        vec![Tensor::new(values, &Device::Cpu).unwrap()]
    }

    #[test]
    fn two_steps_match_the_published_update() {
        // Worked by hand from Loshchilov and Hutter 2019, algorithm 2, with g = 0.5 then -1.
        let (mut adam, var) = optimiser(&[1.0], true);
        adam.step(&gradient(&[0.5]), |g, _| Some(g.clone()), 0.1, 0.01, 0.0).unwrap();
        let after = var.to_vec1::<f32>().unwrap()[0];
        assert!((after - (1.0 - 0.001 - 0.1)).abs() < 1e-6, "{after}");
        adam.step(&gradient(&[-1.0]), |g, _| Some(g.clone()), 0.1, 0.01, 0.0).unwrap();
        let m: f64 = 0.9 * 0.05 - 0.1;
        let v: f64 = 0.999 * 0.001 * 0.25 + 0.001;
        let move_by = 0.1 * (m / 0.19) / ((v / (1.0 - 0.999 * 0.999)).sqrt() + 1e-8);
        let expected = 0.899 * (1.0 - 0.001) - move_by;
        let after = f64::from(var.to_vec1::<f32>().unwrap()[0]);
        assert!((after - expected).abs() < 1e-5, "{after} {expected}");
    }

    #[test]
    fn long_gradients_are_clipped_and_shards_add_up() {
        let (mut adam, _) = optimiser(&[0.0, 0.0], false);
        let shards = [gradient(&[3.0, 0.0]).remove(0), gradient(&[0.0, 4.0]).remove(0)];
        let update = adam.step(&shards, |g, _| Some(g.clone()), 0.1, 0.0, 1.0).unwrap();
        assert!((update.norm - 5.0).abs() < 1e-9);
        let first = adam.moments().unwrap()["first.w"].to_vec1::<f32>().unwrap();
        assert!((first[0] - 0.06).abs() < 1e-6 && (first[1] - 0.08).abs() < 1e-6);
    }

    #[test]
    fn the_average_follows_the_weights() {
        let (mut adam, var) = optimiser(&[1.0], false);
        adam.step(&gradient(&[1.0]), |g, _| Some(g.clone()), 0.11, 0.0, 0.0).unwrap();
        let weight = var.to_vec1::<f32>().unwrap()[0];
        let average = adam.averages().unwrap()["w"].to_vec1::<f32>().unwrap()[0];
        let kept = 2.0 / 6.0;
        assert!((average - (kept * 1.0 + (1.0 - kept) * weight)).abs() < 1e-6);
    }

    #[test]
    fn missing_and_infinite_gradients_are_errors_that_change_nothing() {
        let (mut adam, var) = optimiser(&[1.0], true);
        let error = adam.step(&gradient(&[1.0]), |_, _| None, 0.1, 0.0, 0.0).unwrap_err();
        assert!(error.to_string().contains("'w'"));
        assert!(adam.step(&gradient(&[f32::NAN]), |g, _| Some(g.clone()), 0.1, 0.0, 0.0).is_err());
        assert_eq!(var.to_vec1::<f32>().unwrap(), [1.0]);
    }
}
