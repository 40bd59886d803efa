//! Distances between codes.

/// Lanes in which a sum is taken.
const LANES: usize = 8;

/// The distances of every two codes that differ; the same for both orders. That of equal codes is 0.
#[derive(Clone, Debug)]
pub struct Distances {
    /// Code by code, those to all lower codes.
    below: Vec<f64>,
}

impl Distances {
    /// Of the codes from 0 on; only pairs of a code and a lower one are asked for.
    pub fn new(codes: usize, between: impl Fn(usize, usize) -> f64) -> Self {
        let between = &between;
        Self { below: (0..codes).flat_map(|a| (0..a).map(move |b| between(a, b))).collect() }
    }

    /// How many pairs there are.
    pub fn pairs(&self) -> usize {
        self.below.len()
    }

    /// The distance of two codes.
    pub fn get(&self, a: u32, b: u32) -> f64 {
        let (low, high) = (a.min(b) as usize, a.max(b) as usize);
        if low == high { 0.0 } else { self.below[high * (high - 1) / 2 + low] }
    }

    /// The sum of the distances of all pairs of values, where each code comes so many times.
    pub fn between_all(&self, times: &[f64]) -> f64 {
        let mut rest = self.below.as_slice();
        let mut sum = 0.0;
        for (code, own) in times.iter().enumerate() {
            let (below, higher) = rest.split_at(code);
            rest = higher;
            if *own > 0.0 {
                sum += own * product(below, &times[..code]);
            }
        }
        sum
    }
}

/// The scalar product, in lanes that the compiler can keep in vector registers.
fn product(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f64 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    lanes.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pairs_are_summed_once() {
        let apart = |a: usize, b: usize| ((7 * a + 3 * b) % 11) as f64;
        let distances = Distances::new(21, apart);
        let times: Vec<f64> = (0..21).map(|code| f64::from(code % 4)).collect();
        let mut expected = 0.0;
        for a in 0..21 {
            for b in 0..a {
                expected += times[a] * times[b] * apart(a, b);
                assert_eq!(distances.get(b as u32, a as u32), apart(a, b));
            }
            assert_eq!(distances.get(a as u32, a as u32), 0.0);
        }
        assert_eq!(distances.between_all(&times), expected);
        assert_eq!(distances.pairs(), 210);
    }
}
