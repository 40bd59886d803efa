//! A step of the gradient graph whose value other operations have computed.

use std::sync::Mutex;

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, CustomOp3, Layout, MetalStorage, Result, Shape,
    Storage, Tensor, bail,
};

/// The gradients of a step's inputs, in their order, from that of its value; `None` where none
/// is wanted.
type Rule = Box<dyn Fn(&Tensor) -> Result<Vec<Option<Tensor>>> + Send + Sync>;

struct Step {
    /// The value, until the graph has taken it.
    value: Mutex<Option<Tensor>>,
    rule: Rule,
}

/// `value`, computed from one to three inputs without a record, as a step of the graph whose
/// gradients `rule` gives. Where no input is tracked it is `value` itself.
///
/// # Errors
/// If the device cannot copy the value.
pub fn step(
    inputs: &[&Tensor],
    value: Tensor,
    rule: impl Fn(&Tensor) -> Result<Vec<Option<Tensor>>> + Send + Sync + 'static,
) -> Result<Tensor> {
    if !inputs.iter().any(|input| input.track_op()) {
        return Ok(value);
    }
    let begins = |t: &Tensor| t.is_contiguous() && t.layout().start_offset() == 0;
    let value = if begins(&value) { value } else { value.force_contiguous()? };
    let step = Step { value: Mutex::new(Some(value)), rule: Box::new(rule) };
    match inputs {
        [a] => a.apply_op1(step),
        [a, b] => a.apply_op2(b, step),
        [a, b, c] => a.apply_op3(b, c, step),
        _ => bail!("a step has one to three inputs, not {}", inputs.len()),
    }
}

impl Step {
    /// A copy of the value's storage, taken by `of` from the kind of device that it is on.
    fn take<S: BackendStorage>(&self, of: impl Fn(&Storage) -> Option<&S>) -> Result<(S, Shape)> {
        let value = self.value.lock().ok().and_then(|mut value| value.take());
        let Some(value) = value else { bail!("the value of a step was taken twice") };
        let (storage, layout) = value.storage_and_layout();
        match of(&storage) {
            Some(storage) => Ok((storage.try_clone(layout)?, layout.shape().clone())),
            None => bail!("a step's value and inputs are on different devices"),
        }
    }

    fn cpu(&self) -> Result<(CpuStorage, Shape)> {
        self.take(|storage| match storage {
            Storage::Cpu(storage) => Some(storage),
            _ => None,
        })
    }

    fn cuda(&self) -> Result<(CudaStorage, Shape)> {
        self.take(|storage| match storage {
            Storage::Cuda(storage) => Some(storage),
            _ => None,
        })
    }

    fn metal(&self) -> Result<(MetalStorage, Shape)> {
        self.take(|storage| match storage {
            Storage::Metal(storage) => Some(storage),
            _ => None,
        })
    }

    /// The gradients in the inputs' formats.
    fn gradients<const N: usize>(
        &self,
        inputs: [&Tensor; N],
        gradient: &Tensor,
    ) -> Result<[Option<Tensor>; N]> {
        let mut found = (self.rule)(&gradient.detach().contiguous()?)?.into_iter();
        let mut out = [const { None }; N];
        for (out, input) in out.iter_mut().zip(inputs) {
            *out = found.next().flatten().map(|g| g.to_dtype(input.dtype())).transpose()?;
        }
        Ok(out)
    }
}

const NAME: &str = "step";

impl CustomOp1 for Step {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.cpu()
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.cuda()
    }

    fn metal_fwd(&self, _: &MetalStorage, _: &Layout) -> Result<(MetalStorage, Shape)> {
        self.metal()
    }

    fn bwd(&self, a: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let [a] = self.gradients([a], gradient)?;
        Ok(a)
    }
}

impl CustomOp2 for Step {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.cpu()
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.cuda()
    }

    fn metal_fwd(
        &self,
        _: &MetalStorage,
        _: &Layout,
        _: &MetalStorage,
        _: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        self.metal()
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [a, b] = self.gradients([a, b], gradient)?;
        Ok((a, b))
    }
}

impl CustomOp3 for Step {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.cpu()
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.cuda()
    }

    fn metal_fwd(
        &self,
        _: &MetalStorage,
        _: &Layout,
        _: &MetalStorage,
        _: &Layout,
        _: &MetalStorage,
        _: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        self.metal()
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        c: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [a, b, c] = self.gradients([a, b, c], gradient)?;
        Ok((a, b, c))
    }
}
