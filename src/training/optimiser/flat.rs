//! The state of tensors on a GPU: those of one pace lie one after another in one tensor, so that
//! an update is a dozen operations, however many tensors there are.

use std::collections::BTreeMap;

use candle_core::{DType, Result, Tensor, Var};

use super::{BETA1, BETA2, EPSILON, Factors, Pace, no_gradient, same_size};

/// Tensors of one pace, with their moments.
#[derive(Debug)]
pub(super) struct Flat {
    pub pace: Pace,
    /// Names and tensors in the order in which they lie.
    vars: Vec<(String, Var)>,
    first: Tensor,
    second: Tensor,
    average: Option<Tensor>,
}

/// The values of tensors one after another.
fn joined<'t>(tensors: impl Iterator<Item = &'t Tensor>) -> Result<Tensor> {
    let flat = tensors.map(|t| t.detach().flatten_all()).collect::<Result<Vec<_>>>()?;
    Tensor::cat(&flat, 0)
}

impl Flat {
    /// Moments of zero for these tensors.
    pub fn new(pace: Pace, vars: Vec<(String, Var)>, averaged: bool) -> Result<Self> {
        let weights = joined(vars.iter().map(|(_, var)| var.as_tensor()))?;
        let (first, second) = (weights.zeros_like()?, weights.zeros_like()?);
        // Of a single tensor what is joined is that tensor's own memory.
        let average = averaged.then(|| weights.copy()).transpose()?;
        Ok(Self { pace, vars, first, second, average })
    }

    /// Names and tensors.
    pub fn vars(&self) -> impl Iterator<Item = &(String, Var)> {
        self.vars.iter()
    }

    /// The sum of the shards' gradients, joined, and the sum of its squares.
    pub fn gradient<G>(
        &self,
        shards: &[G],
        gradients: impl Fn(&G, &Var) -> Option<Tensor>,
    ) -> crate::error::Result<(Tensor, f64)> {
        let mut sums: Vec<Tensor> = Vec::new();
        for (name, var) in &self.vars {
            let mut sum: Option<Tensor> = None;
            for gradient in shards.iter().filter_map(|shard| gradients(shard, var)) {
                sum = Some(match sum {
                    None => gradient,
                    Some(sum) => (sum + gradient)?,
                });
            }
            sums.push(sum.ok_or_else(|| no_gradient(name))?);
        }
        let all = joined(sums.iter())?;
        let square = all.sqr()?.sum_all()?.to_dtype(DType::F32)?.to_scalar::<f32>()?;
        Ok((all, f64::from(square)))
    }

    /// Cuts what lies flat into the tensors' shapes.
    fn cut(&self, flat: &Tensor) -> Result<Vec<Tensor>> {
        let mut before = 0;
        let part = |(_, var): &(String, Var)| {
            let count = var.elem_count();
            before += count;
            flat.narrow(0, before - count, count)?.reshape(var.shape())
        };
        self.vars.iter().map(part).collect()
    }

    /// Changes weights, moments and average by joined gradients.
    pub fn update(&mut self, gradient: &Tensor, by: Factors) -> Result<()> {
        let (b1, b2) = (f64::from(BETA1), f64::from(BETA2));
        let g = (gradient * by.scale)?;
        self.first = ((&self.first * b1)? + (&g * (1.0 - b1))?)?;
        self.second = ((&self.second * b2)? + (g.sqr()? * (1.0 - b2))?)?;
        let below = (self.second.sqrt()? * by.second)?;
        let step = ((&self.first / (below + f64::from(EPSILON))?)? * by.rate)?;
        let weights = joined(self.vars.iter().map(|(_, var)| var.as_tensor()))?;
        let weights = ((weights * by.shrink)? - step)?;
        for ((_, var), part) in self.vars.iter().zip(self.cut(&weights)?) {
            var.set(&part)?;
        }
        if let Some(average) = &self.average {
            self.average = Some(((average * by.kept)? + (weights * (1.0 - by.kept))?)?);
        }
        Ok(())
    }

    /// The parts of the state by which a checkpoint names them.
    fn parts(&self) -> impl Iterator<Item = (&'static str, &Tensor)> {
        let parts = [("first", Some(&self.first)), ("second", Some(&self.second))];
        let all = parts.into_iter().chain([("average", self.average.as_ref())]);
        all.filter_map(|(name, tensor)| Some((name, tensor?)))
    }

    /// Moments and average as `PART.NAME`.
    pub fn moments(&self, into: &mut BTreeMap<String, Tensor>) -> Result<()> {
        for (part, flat) in self.parts() {
            let tensors = self.vars.iter().zip(self.cut(flat)?);
            into.extend(tensors.map(|((name, _), tensor)| (format!("{part}.{name}"), tensor)));
        }
        Ok(())
    }

    /// The averaged weights by name; the weights themselves without averaging.
    pub fn averages(&self, into: &mut BTreeMap<String, Tensor>) -> Result<()> {
        let tensors = match &self.average {
            Some(average) => self.cut(average)?,
            None => {
                self.vars.iter().map(|(_, var)| var.as_tensor().copy()).collect::<Result<_>>()?
            }
        };
        into.extend(self.vars.iter().map(|(name, _)| name.clone()).zip(tensors));
        Ok(())
    }

    /// Takes moments and average from a checkpoint.
    ///
    /// # Errors
    /// If one is missing or has another size.
    pub fn restore(
        &mut self,
        saved: &dyn Fn(&str) -> crate::error::Result<Tensor>,
    ) -> crate::error::Result<()> {
        let read = |part: &str| -> crate::error::Result<Tensor> {
            let of = |(name, var): &(String, Var)| {
                let tensor = saved(&format!("{part}.{name}"))?;
                same_size(name, &tensor, var.elem_count())?;
                Ok(tensor.to_device(var.device())?)
            };
            let tensors = self.vars.iter().map(of).collect::<crate::error::Result<Vec<_>>>()?;
            Ok(joined(tensors.iter())?)
        };
        (self.first, self.second) = (read("first")?, read("second")?);
        if self.average.is_some() {
            self.average = Some(read("average")?);
        }
        Ok(())
    }
}
