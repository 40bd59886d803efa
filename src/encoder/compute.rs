//! Where an encoder computes, and in which number format.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The number format in which an encoder's matrices are multiplied. Weights that are trained,
/// norms, softmax and sums are f32 in either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits with the range of 32: faster on GPUs that know it, slower on the CPU.
    Bf16,
}

impl Precision {
    /// A matrix in this format.
    ///
    /// # Errors
    /// If the device takes no more.
    pub(super) fn of(self, matrix: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::F32 => Ok(matrix.clone()),
            Self::Bf16 => matrix.to_dtype(DType::BF16),
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
}

impl Default for Compute {
    fn default() -> Self {
        Self { device: Device::Cpu, precision: Precision::F32 }
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

/// Finds a device: `cpu`, `cuda`, `cuda:1` (the second of several), `metal`, or `auto`, which is
/// the GPU that the build knows and the machine has, else the CPU.
///
/// # Errors
/// If the request is none of these, or the device is not there.
pub fn find_device(request: &str) -> Result<Found> {
    let found = |device| Ok(Found { device, why: None });
    let (kind, number) = request.split_once(':').unwrap_or((request, "0"));
    let number = number.parse::<usize>().ok();
    match (kind, number, BUILT_FOR) {
        ("cpu", Some(0), _) if request == kind => found(Device::Cpu),
        ("auto", Some(0), None) if request == kind => Ok(Found {
            device: Device::Cpu,
            why: Some("this build computes on the CPU only".into()),
        }),
        ("auto", Some(0), Some(kind)) if request == "auto" => match open(kind, 0) {
            Ok(device) => found(device),
            Err(why) => Ok(Found { device: Device::Cpu, why: Some(why) }),
        },
        ("cuda" | "metal", Some(number), Some(built)) if kind == built => open(kind, number)
            .map_or_else(
                |why| {
                    Err(Error::resource(format!("there is no such device: {why}"))
                        .at(request)
                        .advise("--device cpu, or auto"))
                },
                found,
            ),
        ("cuda" | "metal", Some(_), built) => {
            let what = match built {
                Some(built) => format!("this build computes on the CPU and with {built} only"),
                None => "this build computes on the CPU only".into(),
            };
            Err(Error::resource(what).advise("--device cpu"))
        }
        _ => Err(Error::usage("the device is not known")
            .at("--device")
            .advise("cpu, cuda, cuda:N, metal or auto")),
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

/// What a result depends on besides its inputs: the processor's instruction sets `cpu`, or the
/// GPU's model; and the number format, where it is not f32.
pub fn arithmetic(compute: &Compute, cpu: String) -> String {
    let place = match &compute.device {
        Device::Cpu => cpu,
        device => device_name(device),
    };
    match compute.precision {
        Precision::F32 => place,
        Precision::Bf16 => format!("{place} bf16"),
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
    if device.is_cpu() { 2048 } else { 16_384 }
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
        Device::Cpu => items.par_iter().with_max_len(1).map(&f).collect(),
        _ => items.iter().map(f).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there() {
        assert!(find_device("cpu").unwrap().device.is_cpu());
        let auto = find_device("auto").unwrap();
        assert_eq!(auto.device.is_cpu(), auto.why.is_some());
    }

    #[test]
    fn what_is_not_there_is_refused() {
        for request in ["", "gpu", "cuda:x", "cuda:", "cpu:0", "auto:1", "cpu:1"] {
            assert_eq!(find_device(request).unwrap_err().exit_code(), 2, "{request}");
        }
        for request in ["cuda:99", "metal:99"] {
            let error = find_device(request).unwrap_err();
            assert_eq!(error.exit_code(), 5, "{request}");
            assert!(error.to_string().contains("--device cpu"));
        }
    }

    #[test]
    fn items_are_done_in_order() {
        let double = |i: &usize| Ok(2 * i);
        assert_eq!(each(&Device::Cpu, &[3, 1, 2], double).unwrap(), [6, 2, 4]);
        let fail = |i: &usize| if *i == 1 { Err(Error::data("one")) } else { Ok(*i) };
        assert!(each(&Device::Cpu, &[3, 1, 2], fail).is_err());
    }
}
