//! Where a command computes: `--device` and `--precision`.

use candle_core::Device;
use clap::{Args, ValueEnum};

use super::Global;
use super::messages::Messages;
use super::process::kernel_level;
use crate::encoder::kernels::Level;
use crate::encoder::{Compute, Found, Precision, arithmetic, find_device};
use crate::error::Result;

/// The number format of a command that computes with a finished bundle.
#[derive(Clone, Copy, Debug, Args)]
pub struct PrecisionArgs {
    /// The format in which matrices are multiplied
    #[arg(long, value_enum, env = "CONFIDE_PRECISION", default_value_t = Format::F32)]
    precision: Format,
}

/// A number format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// 32 bits
    F32,
    /// 16 bits
    Bf16,
    /// 8 bits
    Int8,
}

impl PrecisionArgs {
    /// Where and how the command computes.
    ///
    /// # Errors
    /// If the device that was asked for is not there.
    pub fn compute(self, global: &Global, messages: &Messages) -> Result<Compute> {
        let precision = match self.precision {
            Format::F32 => Precision::F32,
            Format::Bf16 => Precision::Bf16,
            Format::Int8 => Precision::Int8,
        };
        Ok(Compute { device: device(global, messages)?, precision, level: Level::best() })
    }
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
