//! Random draws that depend on what they are for, never on when or where they are made.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

use crate::encoder::ops::{AttentionMask, DropoutMask};
use crate::encoder::{Noise, Segments};

/// The source of every draw of a training: one independent stream a purpose, epoch and row.
#[derive(Clone, Copy, Debug)]
pub struct Randomness {
    seed: u64,
}

impl Randomness {
    /// All draws follow from this seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The stream for one purpose in one epoch, for one row.
    pub fn stream(&self, purpose: &str, epoch: usize, row: u64) -> ChaCha8Rng {
        let mut hash = Sha256::new();
        hash.update(self.seed.to_le_bytes());
        hash.update((epoch as u64).to_le_bytes());
        hash.update(row.to_le_bytes());
        hash.update(purpose.as_bytes());
        ChaCha8Rng::from_seed(hash.finalize().into())
    }

    /// The numbers below `n` in random order (Fisher and Yates), one order an epoch.
    pub fn permutation(&self, purpose: &str, epoch: usize, n: usize) -> Vec<usize> {
        let mut rng = self.stream(purpose, epoch, 0);
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, (rng.next_u64() % (i as u64 + 1)) as usize);
        }
        order
    }
}

/// Dropout masks drawn from one stream a text, so that a text's masks do not depend on the
/// batch or shard that it is in.
#[derive(Clone)]
pub struct KeyedNoise {
    /// One a text, and how many windows it has.
    streams: Vec<(ChaCha8Rng, usize)>,
    rates: DropoutRates,
}

/// How much is dropped out, and where.
#[derive(Clone, Copy, Debug)]
pub struct DropoutRates {
    /// Of hidden states.
    pub hidden: f64,
    /// Of attention probabilities.
    pub attention: f64,
    /// Of what low-rank adaptations see.
    pub adapter: f64,
}

impl KeyedNoise {
    /// The masks of an epoch, for one purpose, for the texts with these row numbers and counts of
    /// windows.
    pub fn new(
        randomness: &Randomness,
        purpose: &str,
        epoch: usize,
        rows: impl IntoIterator<Item = (u64, usize)>,
        rates: DropoutRates,
    ) -> Self {
        let stream = |(row, windows)| (randomness.stream(purpose, epoch, row), windows);
        let streams = rows.into_iter().map(stream).collect();
        Self { streams, rates }
    }

    fn draw(&mut self, rate: f64, mut sizes: impl Iterator<Item = usize>) -> Option<DropoutMask> {
        if rate <= 0.0 {
            return None;
        }
        let threshold = (rate * 65_536.0).round() as u32;
        let (mut keep, mut bytes) = (Vec::new(), Vec::new());
        for (stream, windows) in &mut self.streams {
            let size = sizes.by_ref().take(*windows).sum::<usize>();
            bytes.resize(2 * size, 0);
            stream.fill_bytes(&mut bytes);
            keep.extend(
                bytes
                    .chunks_exact(2)
                    .map(|b| u8::from(u32::from(u16::from_le_bytes([b[0], b[1]])) >= threshold)),
            );
        }
        Some(DropoutMask::new(keep, rate))
    }
}

impl Noise for KeyedNoise {
    fn hidden(&mut self, segments: &Segments, width: usize) -> Option<DropoutMask> {
        self.draw(self.rates.hidden, segments.ranges().map(|r| r.len() * width))
    }

    fn attention(&mut self, segments: &Segments, heads: usize) -> Option<AttentionMask> {
        self.draw(self.rates.attention, segments.ranges().map(|r| heads * r.len() * r.len()))
    }

    fn adapter(&mut self, segments: &Segments, width: usize) -> Option<DropoutMask> {
        self.draw(self.rates.adapter, segments.ranges().map(|r| r.len() * width))
    }

    fn fork(&self) -> Box<dyn Noise + Send + Sync> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_purpose_epoch_row_and_seed() {
        let draw = |seed, purpose, epoch, row| {
            Randomness::new(seed).stream(purpose, epoch, row).next_u64()
        };
        let first = draw(1, "a", 0, 0);
        assert_eq!(first, draw(1, "a", 0, 0));
        for other in
            [draw(2, "a", 0, 0), draw(1, "b", 0, 0), draw(1, "a", 1, 0), draw(1, "a", 0, 1)]
        {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn permutations_hold_every_number_once_and_change_by_epoch() {
        let randomness = Randomness::new(3);
        let (a, b) = (randomness.permutation("p", 0, 50), randomness.permutation("p", 1, 50));
        assert_ne!(a, b);
        let mut sorted = a;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }

    fn rates(rate: f64) -> DropoutRates {
        DropoutRates { hidden: rate, attention: rate, adapter: rate }
    }

    #[test]
    fn masks_do_not_depend_on_the_company_of_a_text() {
        let randomness = Randomness::new(5);
        let mut both = KeyedNoise::new(&randomness, "d", 2, [(10, 1), (11, 1)], rates(0.3));
        let mut alone = KeyedNoise::new(&randomness, "d", 2, [(11, 1)], rates(0.3));
        let all = both.hidden(&Segments::new([2, 3]), 4).unwrap();
        let one = alone.hidden(&Segments::new([3]), 4).unwrap();
        assert_eq!(all.kept()[8..], one.kept()[..]);
    }

    #[test]
    fn the_rate_of_dropped_entries_is_the_one_asked_for() {
        let mut noise = KeyedNoise::new(&Randomness::new(7), "d", 0, [(0, 1)], rates(0.1));
        let mask = noise.hidden(&Segments::new([1000]), 100).unwrap();
        let dropped = mask.kept().iter().filter(|k| **k == 0).count() as f64 / 1e5;
        assert!((dropped - 0.1).abs() < 0.005, "{dropped}");
    }
}
