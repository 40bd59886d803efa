//! Where an encoder computes, and in which number format.

use std::str::FromStr;

use candle_core::{DType, Device, Tensor, bail};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::kernels::Level;
use crate::error::{Error, Result};

/// The number format in which an encoder's matrices are multiplied. Weights that are trained,
/// norms, softmax and sums are f32 in either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits with the range of 32.
    Bf16,
    /// 8 bits, with a step for every 128 inputs of each output and of each row; on the CPU, for
    /// weights that are not trained.
    Int8,
}

impl Precision {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }

    /// A matrix in this format.
    ///
    /// # Errors
    /// If the device takes no more.
    pub(super) fn of(self, matrix: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::F32 => Ok(matrix.clone()),
            Self::Bf16 => matrix.to_dtype(DType::BF16),
            Self::Int8 => bail!("only packed matrices are multiplied in 8 bits"),
        }
    }
}

/// Where and how an encoder computes.
#[derive(Clone, Debug)]
pub struct Compute {
    /// The device that its tensors are on.
    pub device: Device,
    /// The format of its matrix products.
    pub precision: Precision,
    /// The instructions by which the CPU multiplies by weights that are not trained.
    pub level: Level,
}

/// Where and how a bundle is to compute.
#[derive(Clone, Debug)]
pub struct ComputeRequest {
    /// The device.
    pub device: Device,
    /// The format of its matrix products; `None`: the narrowest that its training found good.
    pub precision: Option<Precision>,
    /// The instructions of the CPU.
    pub level: Level,
}

impl Default for ComputeRequest {
    fn default() -> Self {
        let Compute { device, precision, level } = Compute::default();
        Self { device, precision: Some(precision), level }
    }
}

impl Default for Compute {
    fn default() -> Self {
        Self { device: Device::Cpu, precision: Precision::F32, level: Level::best() }
    }
}

impl Compute {
    /// A tensor that is not trained where and how it is needed: `linear` says that it is the
    /// matrix of a linear map.
    ///
    /// # Errors
    /// If the device takes no more.
    pub fn place(&self, tensor: &Tensor, linear: bool) -> candle_core::Result<Tensor> {
        let tensor = if linear { self.precision.of(tensor)? } else { tensor.clone() };
        tensor.to_device(&self.device)
    }
}

/// The device that a request led to.
#[derive(Clone, Debug)]
pub struct Found {
    /// The device.
    pub device: Device,
    /// Why it is not the GPU, where the request allowed one.
    pub why: Option<String>,
}

/// The kinds of GPU that this build knows.
const BUILT_FOR: Option<&str> = if cfg!(feature = "cuda") {
    Some("cuda")
} else if cfg!(feature = "metal") {
    Some("metal")
} else {
    None
};

/// A device as it is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceRequest {
    /// The GPU that the build knows and the machine has, else the CPU.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// A GPU of this kind, by its number from 0.
    Gpu(&'static str, usize),
}

impl FromStr for DeviceRequest {
    type Err = String;

    /// Reads `auto`, `cpu`, `cuda`, `cuda:1` (the second of several) or `metal`.
    fn from_str(request: &str) -> std::result::Result<Self, String> {
        let (kind, number) = match request.split_once(':') {
            Some((kind, number)) => (kind, number.parse().ok()),
            None => (request, Some(0)),
        };
        match (kind, number) {
            ("auto", _) if kind == request => Ok(Self::Auto),
            ("cpu", _) if kind == request => Ok(Self::Cpu),
            ("cuda", Some(number)) => Ok(Self::Gpu("cuda", number)),
            ("metal", Some(number)) => Ok(Self::Gpu("metal", number)),
            _ => Err("cpu, cuda, cuda:N, metal and auto are known".into()),
        }
    }
}

/// Finds a device.
///
/// # Errors
/// If the one that was asked for is not there.
pub fn find_device(request: DeviceRequest) -> Result<Found> {
    let cpu = |why| Ok(Found { device: Device::Cpu, why });
    let only = match BUILT_FOR {
        Some(kind) => format!("this build computes on the CPU and with {kind} only"),
        None => "this build computes on the CPU only".into(),
    };
    match (request, BUILT_FOR) {
        (DeviceRequest::Cpu, _) => cpu(None),
        (DeviceRequest::Auto, None) => cpu(Some(only)),
        (DeviceRequest::Auto, Some(kind)) => match open(kind, 0) {
            Ok(device) => Ok(Found { device, why: None }),
            Err(why) => cpu(Some(why)),
        },
        (DeviceRequest::Gpu(kind, number), Some(built)) if kind == built => {
            let device = open(kind, number).map_err(|why| {
                Error::resource(format!("there is no such device: {why}"))
                    .advise("--device cpu, or auto")
            })?;
            Ok(Found { device, why: None })
        }
        (DeviceRequest::Gpu(..), _) => Err(Error::resource(only).advise("--device cpu")),
    }
}

/// Opens a GPU, or says why it cannot be had.
fn open(kind: &str, number: usize) -> std::result::Result<Device, String> {
    let device = match kind {
        "metal" => Device::new_metal(number),
        _ => Device::new_cuda(number),
    };
    device.map_err(|e| {
        let said = e.to_string();
        let first = said.lines().next().unwrap_or_default();
        format!("{kind}:{number} does not answer ({first})")
    })
}

/// What a result depends on besides its inputs: the processor's instruction sets `cpu` and the
/// level of its kernels, or the GPU's model; and the number format, where it is not f32.
pub fn arithmetic(compute: &Compute, cpu: String) -> String {
    let place = match &compute.device {
        Device::Cpu => format!("{cpu} {}", compute.level),
        device => device_name(device),
    };
    match compute.precision {
        Precision::F32 => place,
        narrow => format!("{place} {}", narrow.name()),
    }
}

/// `cpu`, or the kind and model of a GPU.
pub fn device_name(device: &Device) -> String {
    #[cfg(feature = "cuda")]
    if let Device::Cuda(cuda) = device {
        let name = cuda.cuda_stream().context().name();
        return format!("cuda {}", name.unwrap_or_else(|_| "GPU".into()));
    }
    match device {
        Device::Cpu => "cpu".into(),
        Device::Cuda(_) => "cuda".into(),
        Device::Metal(_) => "metal".into(),
    }
}

/// Tokens that a batch without gradients holds at most. On the CPU a batch stays within the
/// caches of one core; a GPU wants more at once.
pub fn batch_tokens(device: &Device) -> usize {
    if device.is_cpu() { 192 } else { 16_384 }
}

/// Applies `f` to every item, in order: on the CPU by all cores, each item on one; on a GPU, whose
/// work is parallel in itself, one after another.
///
/// # Errors
/// The first error of `f`.
pub fn each<I: Sync, T: Send>(
    device: &Device,
    items: &[I],
    f: impl Fn(&I) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    match device {
        Device::Cpu if items.len() > 1 => items.par_iter().with_max_len(1).map(&f).collect(),
        _ => items.iter().map(f).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(request: &str) -> Result<Found> {
        find_device(request.parse().unwrap())
    }

    #[test]
    fn the_cpu_is_always_there() {
        assert!(found("cpu").unwrap().device.is_cpu());
        let auto = found("auto").unwrap();
        assert_eq!(auto.device.is_cpu(), auto.why.is_some());
    }

    #[test]
    fn what_is_not_there_is_refused() {
        for request in ["", "gpu", "cuda:x", "cuda:", "cpu:0", "auto:1", "cpu:1"] {
            let said = request.parse::<DeviceRequest>().unwrap_err();
            assert!(said.contains("cuda:N"), "{request}");
        }
        for request in ["cuda:99", "metal:99"] {
            let error = found(request).unwrap_err();
            assert_eq!(error.exit_code(), 5, "{request}");
            assert!(error.to_string().contains("--device cpu"));
        }
    }

    #[test]
    fn what_is_not_packed_is_not_taken_for_8_bits() {
        let matrix = Tensor::zeros((2, 2), DType::F32, &Device::Cpu).unwrap();
        assert!(Precision::Int8.of(&matrix).is_err());
        assert_eq!(Precision::Bf16.of(&matrix).unwrap().dtype(), DType::BF16);
    }

    #[test]
    fn items_are_done_in_order() {
        let double = |i: &usize| Ok(2 * i);
        assert_eq!(each(&Device::Cpu, &[3, 1, 2], double).unwrap(), [6, 2, 4]);
        let fail = |i: &usize| if *i == 1 { Err(Error::data("one")) } else { Ok(*i) };
        assert!(each(&Device::Cpu, &[3, 1, 2], fail).is_err());
    }
}
