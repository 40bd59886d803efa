//! Where and how a command computes: `--device`, `--precision` and `--kernel`.

use candle_core::Device;
use clap::{Args, ValueEnum};

use super::Global;
use super::messages::Messages;
use super::process::kernel_level;
use crate::bundle::{Bundle, PrecisionFigures};
use crate::encoder::kernels::Level;
use crate::encoder::{
    Compute, ComputeRequest, Found, Precision, arithmetic, device_name, find_device,
};
use crate::error::Result;

/// How a command computes that codes with a finished bundle.
#[derive(Clone, Copy, Debug, Args)]
pub struct PrecisionArgs {
    /// The format in which matrices are multiplied
    #[arg(long, value_enum, env = "CONFIDE_PRECISION", default_value_t = Format::Auto)]
    precision: Format,
    /// The processor's instructions to use at most; doctor names them [default: the widest]
    #[arg(long, value_name = "LEVEL", env = "CONFIDE_KERNEL")]
    kernel: Option<Level>,
}

/// A number format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The narrowest that gave the codes of f32 on the validation rows
    Auto,
    /// 32 bits
    F32,
    /// 16 bits
    Bf16,
    /// 8 bits, on the CPU
    Int8,
}

impl PrecisionArgs {
    /// Where and how the command is to compute.
    ///
    /// # Errors
    /// If the device that was asked for is not there.
    pub fn request(self, global: &Global, messages: &Messages) -> Result<ComputeRequest> {
        let precision = match self.precision {
            Format::Auto => None,
            Format::F32 => Some(Precision::F32),
            Format::Bf16 => Some(Precision::Bf16),
            Format::Int8 => Some(Precision::Int8),
        };
        let level = self.kernel.unwrap_or(Level::best());
        Ok(ComputeRequest { device: device(global, messages)?, precision, level })
    }
}

/// Tells in which format a bundle computes, and why.
pub fn tell_precision(bundle: &Bundle, asked: Option<Precision>, messages: &Messages) {
    let Compute { precision, level, device } = bundle.compute();
    let name = precision.name();
    let by = if device.is_cpu() { level.name().to_owned() } else { device_name(device) };
    let figures = &bundle.manifest().precisions;
    let of = |precision: Precision| figures.iter().find(|f| f.precision == precision);
    let share = |f: &PrecisionFigures| {
        format!(
            "{:.1} % of {} validation rows' codes are those of f32",
            100.0 * f.agreement,
            f.rows
        )
    };
    let why = match (asked, of(*precision)) {
        (Some(_), Some(measured)) => format!("as asked; {}", share(measured)),
        (Some(_), None) => "as asked".into(),
        (None, Some(measured)) => share(measured),
        (None, None) if !device.is_cpu() => "narrower formats were not measured on a GPU".into(),
        (None, None) if figures.is_empty() => {
            "the bundle's training did not measure narrower formats".into()
        }
        (None, None) => "narrower formats changed too much on the validation rows".into(),
    };
    messages.note(&format!("computing in {name} ({by}): {why}"));
}

/// The device that was asked for or, with `auto`, the GPU if there is one; says why there is none
/// to a user who asked for `auto` or has a build for GPUs.
///
/// # Errors
/// If the device that was asked for is not there.
pub fn device(global: &Global, messages: &Messages) -> Result<Device> {
    let Found { device, why } = found(global)?;
    let expected = global.device.is_some() || cfg!(any(feature = "cuda", feature = "metal"));
    if let Some(why) = why.filter(|_| expected) {
        messages.note(&format!("computing on the CPU: {why}"));
    }
    Ok(device)
}

/// What `--device` leads to.
///
/// # Errors
/// As [`device`].
pub fn found(global: &Global) -> Result<Found> {
    find_device(global.device.unwrap_or_default())
}

/// What results depend on besides their inputs: instruction sets or GPU, and the number format.
pub fn level(compute: &Compute) -> String {
    arithmetic(compute, kernel_level())
}
