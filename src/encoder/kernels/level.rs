//! Which instructions the tiles use.

use std::fmt::{Display, Formatter};
use std::str::FromStr;
use std::sync::OnceLock;

/// A set of instructions; each includes those before it of its kind of processor, but for AVX-VNNI,
/// which AVX-512 lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What every processor of the kind has.
    Portable,
    /// 256 bits, with fused multiply-add.
    Avx2,
    /// 256 bits, with products of 8-bit numbers.
    Avx2Vnni,
    /// 512 bits.
    Avx512,
    /// 512 bits, with products of 8-bit numbers.
    Avx512Vnni,
    /// 512 bits, with products of 8-bit and bf16 numbers.
    Avx512Bf16,
    /// 128 bits of ARM, with fused multiply-add.
    Neon,
    /// 128 bits of ARM, with dot products of 8-bit numbers.
    NeonDot,
}

impl Level {
    /// All levels, the lowest first.
    pub const ALL: [Self; 8] = [
        Self::Portable,
        Self::Avx2,
        Self::Avx2Vnni,
        Self::Avx512,
        Self::Avx512Vnni,
        Self::Avx512Bf16,
        Self::Neon,
        Self::NeonDot,
    ];

    /// Whether this processor has these instructions.
    pub fn is_here(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            use std::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma");
            let avx512 = avx2 && has!("avx512f") && has!("avx512bw") && has!("avx512vl");
            let vnni = avx512 && has!("avx512vnni");
            match self {
                Self::Portable => true,
                Self::Avx2 => avx2,
                Self::Avx2Vnni => avx2 && has!("avxvnni"),
                Self::Avx512 => avx512,
                Self::Avx512Vnni => vnni,
                Self::Avx512Bf16 => vnni && has!("avx512bf16"),
                Self::Neon | Self::NeonDot => false,
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            use std::arch::is_aarch64_feature_detected as has;
            match self {
                Self::Portable => true,
                Self::Neon => has!("neon"),
                Self::NeonDot => has!("neon") && has!("dotprod"),
                _ => false,
            }
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        {
            self == Self::Portable
        }
    }

    /// The highest level of this processor.
    pub fn best() -> Self {
        static BEST: OnceLock<Level> = OnceLock::new();
        *BEST.get_or_init(|| {
            let here = |level: &&Self| level.is_here();
            Self::ALL.iter().rev().find(here).copied().unwrap_or(Self::Portable)
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx2Vnni => "avx2-vnni",
            Self::Avx512 => "avx512",
            Self::Avx512Vnni => "avx512-vnni",
            Self::Avx512Bf16 => "avx512-bf16",
            Self::Neon => "neon",
            Self::NeonDot => "neon-dot",
        }
    }
}

impl Display for Level {
    fn fmt(&self, f: &mut Formatter) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Level {
    type Err = String;

    /// Reads the name of a level that this processor has.
    fn from_str(name: &str) -> Result<Self, String> {
        let here: Vec<Self> = Self::ALL.into_iter().filter(|level| level.is_here()).collect();
        here.iter().copied().find(|level| level.name() == name).ok_or_else(|| {
            let names: Vec<&str> = here.iter().map(|level| level.name()).collect();
            format!("this processor has {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_levels() {
        assert_eq!("portable".parse(), Ok(Level::Portable));
        assert_eq!(Level::best().name().parse(), Ok(Level::best()));
        assert!("avx1024".parse::<Level>().unwrap_err().contains("portable"));
        assert!(Level::best().is_here());
    }
}
