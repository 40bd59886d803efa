//! AdamW with decoupled weight decay (Loshchilov and Hutter 2019), clipping by global norm, and
//! a running average of the weights (Polyak and Juditsky 1992, exponential form).

mod flat;
mod trainable;

use std::collections::BTreeMap;

use candle_core::{DType, Tensor, Var};
use rayon::prelude::*;

use crate::error::{Error, Result};
use flat::Flat;
use trainable::Trainable;

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// How a tensor is changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// The factor of the base learning rate.
    pub rate: f64,
    /// Whether weight decay applies: matrices yes; embeddings, biases and gains no.
    pub decays: bool,
}

/// What one update needs besides gradients.
#[derive(Clone, Copy, Debug)]
struct Factors {
    /// Of the gradients.
    scale: f64,
    /// Of the first moment: the learning rate, bias-corrected.
    rate: f64,
    /// Of the root of the second moment: its bias correction.
    second: f64,
    /// Of the weights: their decay.
    shrink: f64,
    /// How much of the average stays.
    kept: f64,
}

/// The optimiser's state over all trainable tensors, in alphabetical order.
#[derive(Debug, Default)]
pub struct AdamW {
    tensors: BTreeMap<String, Trainable>,
    /// Tensors on a GPU, by pace.
    flat: Vec<Flat>,
    steps: u64,
    averaging: f64,
}

/// What an update saw.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// The global norm of the gradient before clipping.
    pub norm: f64,
}

/// How large an update may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The base learning rate.
    pub rate: f64,
    /// Decoupled weight decay.
    pub decay: f64,
    /// The largest norm of the gradient; 0: any.
    pub clip: f64,
}

impl AdamW {
    /// An optimiser of these tensors, with moments of zero; `averaging` is how much of the average
    /// each update keeps, 0 for no average.
    ///
    /// # Errors
    /// If a tensor's values cannot be read.
    pub fn new(vars: BTreeMap<String, (Var, Pace)>, averaging: f64) -> Result<Self> {
        let here = |var: &Var| var.device().is_cpu() && var.dtype() == DType::F32;
        Self::divided(vars, averaging, here)
    }

    /// `here` says which tensors are updated one by one on the CPU.
    fn divided(
        vars: BTreeMap<String, (Var, Pace)>,
        averaging: f64,
        here: impl Fn(&Var) -> bool,
    ) -> Result<Self> {
        let mut all = Self { averaging, ..Self::default() };
        let mut groups: Vec<(Pace, Vec<(String, Var)>)> = Vec::new();
        for (name, (var, pace)) in vars {
            if here(&var) {
                all.tensors.insert(name, Trainable::new(var, pace, averaging > 0.0)?);
            } else if let Some((_, group)) = groups.iter_mut().find(|(other, _)| *other == pace) {
                group.push((name, var));
            } else {
                groups.push((pace, vec![(name, var)]));
            }
        }
        for (pace, group) in groups {
            all.flat.push(Flat::new(pace, group, averaging > 0.0)?);
        }
        Ok(all)
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
        let mut out = BTreeMap::new();
        for (name, t) in &self.tensors {
            out.insert(name.clone(), t.averaged()?);
        }
        for flat in &self.flat {
            flat.averages(&mut out)?;
        }
        Ok(out)
    }

    /// The trainable tensors by name.
    pub fn vars(&self) -> impl Iterator<Item = (&String, &Var)> {
        let flat = self.flat.iter().flat_map(|flat| flat.vars().map(|(name, var)| (name, var)));
        self.tensors.iter().map(|(name, t)| (name, &t.var)).chain(flat)
    }

    /// How many updates were made.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Sums the shards' gradients in their order, clips them and updates every tensor.
    /// `gradients` gives a tensor's gradient in one shard.
    ///
    /// # Errors
    /// If a gradient is missing or not finite; nothing is updated then.
    pub fn step<G: Sync>(
        &mut self,
        shards: &[G],
        gradients: impl Fn(&G, &Var) -> Option<Tensor> + Sync,
        limits: Limits,
    ) -> Result<Update> {
        let sums: Vec<(Vec<f32>, f64)> = self
            .tensors
            .par_iter()
            .map(|(name, t)| t.gradient(name, shards, &gradients))
            .collect::<Result<_>>()?;
        let joined = self.flat.iter().map(|flat| flat.gradient(shards, &gradients));
        let joined: Vec<(Tensor, f64)> = joined.collect::<Result<_>>()?;
        let square = sums.iter().map(|(_, s)| s).sum::<f64>();
        let square = square + joined.iter().map(|(_, s)| s).sum::<f64>();
        let norm = square.sqrt();
        if !norm.is_finite() {
            return Err(Error::model("the training diverged: a gradient is not finite")
                .advise("lower learning_rate in the recipe"));
        }
        self.steps += 1;
        let Limits { rate, decay, clip } = limits;
        let scale = if clip > 0.0 && norm > clip { clip / norm } else { 1.0 };
        let (first, second) = (
            1.0 - f64::from(BETA1).powi(self.steps as i32),
            1.0 - f64::from(BETA2).powi(self.steps as i32),
        );
        let kept = self.kept();
        let factors = |pace: Pace| {
            let rate = rate * pace.rate;
            Factors {
                scale,
                rate: rate / first,
                second: 1.0 / second.sqrt(),
                shrink: if pace.decays { 1.0 - rate * decay } else { 1.0 },
                kept,
            }
        };
        let tensors: Vec<&mut Trainable> = self.tensors.values_mut().collect();
        tensors
            .into_par_iter()
            .zip(&sums)
            .try_for_each(|(t, (sum, _))| t.update(sum, factors(t.pace)))?;
        for (flat, (gradient, _)) in self.flat.iter_mut().zip(&joined) {
            flat.update(gradient, factors(flat.pace))?;
        }
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
            t.moments(name, &mut out)?;
        }
        for flat in &self.flat {
            flat.moments(&mut out)?;
        }
        Ok(out)
    }

    /// Goes back to saved weights, moments and step count; `saved` gives a tensor by name.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn restore(&mut self, steps: u64, saved: impl Fn(&str) -> Result<Tensor>) -> Result<()> {
        for (name, var) in self.vars() {
            var.set(&saved(&format!("weight.{name}"))?.to_device(var.device())?)?;
        }
        for (name, t) in &mut self.tensors {
            t.restore(name, &saved)?;
        }
        for flat in &mut self.flat {
            flat.restore(&saved)?;
        }
        self.steps = steps;
        Ok(())
    }
}

fn same_size(name: &str, saved: &Tensor, count: usize) -> Result<()> {
    match saved.elem_count() == count {
        true => Ok(()),
        false => Err(Error::model(format!("the saved moment of '{name}' has another size"))),
    }
}

fn no_gradient(name: &str) -> Error {
    Error::model(format!("the trainable tensor '{name}' received no gradient"))
        .advise("report this: the encoder's backward pass is broken")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::ops::gradient_check;
    use candle_core::Device;

    fn optimiser(values: &[f32], decays: bool) -> (AdamW, Var) {
        let var = Var::new(values, &Device::Cpu).unwrap();
        let pace = Pace { rate: 1.0, decays };
        let vars = BTreeMap::from([("w".to_owned(), (var.clone(), pace))]);
        (AdamW::new(vars, 0.5).unwrap(), var)
    }

    fn limits(rate: f64, decay: f64, clip: f64) -> Limits {
        Limits { rate, decay, clip }
    }

    #[test]
    fn tensors_that_lie_flat_are_updated_like_others() {
        let values = |seed| gradient_check::values(6, seed);
        let vars = |order: [&str; 3]| -> BTreeMap<String, (Var, Pace)> {
            let paces = [(1.0, true), (0.5, false), (1.0, true)];
            let of = |(at, name): (usize, &&str)| {
                let var = Var::from_vec(values(at as u64 + 1), (2, 3), &Device::Cpu).unwrap();
                let (rate, decays) = paces[at];
                ((*name).to_owned(), (var, Pace { rate, decays }))
            };
            order.iter().enumerate().map(of).collect()
        };
        let names = ["a", "b", "c"];
        let mut alone = AdamW::new(vars(names), 0.9).unwrap();
        let mut flat = AdamW::divided(vars(names), 0.9, |_| false).unwrap();
        assert_eq!((flat.tensors.len(), flat.flat.len()), (0, 2));
        let same = |a: BTreeMap<String, Tensor>, b: BTreeMap<String, Tensor>| {
            assert!(a.keys().eq(b.keys()));
            for (a, b) in a.values().zip(b.values()) {
                let gap = (a - b).unwrap().abs().unwrap().max_all().unwrap();
                let gap = gap.to_scalar::<f32>().unwrap();
                assert!(gap < 1e-5, "{gap}");
            }
        };
        let mut saved = None;
        for step in 0..4 {
            let shards: Vec<Tensor> = (0..2)
                .map(|s| Tensor::from_vec(values(10 * step + s), (2, 3), &Device::Cpu).unwrap())
                .collect();
            for adam in [&mut alone, &mut flat] {
                let clip = limits(0.1, 0.1, 0.5);
                let update = adam.step(&shards, |g, _| Some(g.clone()), clip).unwrap();
                assert!(update.norm > 0.5);
            }
            same(alone.moments().unwrap(), flat.moments().unwrap());
            same(alone.averages().unwrap(), flat.averages().unwrap());
            let weights = |adam: &AdamW| -> BTreeMap<String, Tensor> {
                adam.vars().map(|(n, v)| (n.clone(), v.as_tensor().copy().unwrap())).collect()
            };
            same(weights(&alone), weights(&flat));
            if step == 1 {
                let mut all = alone.moments().unwrap();
                all.extend(weights(&alone).into_iter().map(|(n, t)| (format!("weight.{n}"), t)));
                saved = Some((alone.steps(), all));
            }
        }
        // Both go back to the same checkpoint.
        let (steps, tensors) = saved.unwrap();
        for adam in [&mut alone, &mut flat] {
            adam.restore(steps, |name| Ok(tensors[name].clone())).unwrap();
            assert_eq!(adam.steps(), 2);
            let moments = adam.moments().unwrap();
            same(
                moments.clone(),
                moments.keys().map(|n| (n.clone(), tensors[n].clone())).collect(),
            );
            assert!(adam.restore(1, |_| Err(Error::model("missing"))).is_err());
        }
    }

    fn gradient(values: &[f32]) -> Vec<Tensor> {
        vec![Tensor::new(values, &Device::Cpu).unwrap()]
    }

    #[test]
    fn two_steps_match_the_published_update() {
        // Worked by hand from Loshchilov and Hutter 2019, algorithm 2, with g = 0.5 then -1.
        let (mut adam, var) = optimiser(&[1.0], true);
        adam.step(&gradient(&[0.5]), |g, _| Some(g.clone()), limits(0.1, 0.01, 0.0)).unwrap();
        let after = var.to_vec1::<f32>().unwrap()[0];
        assert!((after - (1.0 - 0.001 - 0.1)).abs() < 1e-6, "{after}");
        adam.step(&gradient(&[-1.0]), |g, _| Some(g.clone()), limits(0.1, 0.01, 0.0)).unwrap();
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
        let update = adam.step(&shards, |g, _| Some(g.clone()), limits(0.1, 0.0, 1.0)).unwrap();
        assert!((update.norm - 5.0).abs() < 1e-9);
        let first = adam.moments().unwrap()["first.w"].to_vec1::<f32>().unwrap();
        assert!((first[0] - 0.06).abs() < 1e-6 && (first[1] - 0.08).abs() < 1e-6);
    }

    #[test]
    fn the_average_follows_the_weights() {
        let (mut adam, var) = optimiser(&[1.0], false);
        adam.step(&gradient(&[1.0]), |g, _| Some(g.clone()), limits(0.11, 0.0, 0.0)).unwrap();
        let weight = var.to_vec1::<f32>().unwrap()[0];
        let average = adam.averages().unwrap()["w"].to_vec1::<f32>().unwrap()[0];
        let kept = 2.0 / 6.0;
        assert!((average - (kept * 1.0 + (1.0 - kept) * weight)).abs() < 1e-6);
    }

    #[test]
    fn missing_and_infinite_gradients_are_errors_that_change_nothing() {
        let (mut adam, var) = optimiser(&[1.0], true);
        let error = adam.step(&gradient(&[1.0]), |_, _| None, limits(0.1, 0.0, 0.0)).unwrap_err();
        assert!(error.to_string().contains("'w'"));
        assert!(
            adam.step(&gradient(&[f32::NAN]), |g, _| Some(g.clone()), limits(0.1, 0.0, 0.0))
                .is_err()
        );
        assert_eq!(var.to_vec1::<f32>().unwrap(), [1.0]);
    }
}
