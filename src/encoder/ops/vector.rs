//! Elementary functions and reductions written so that compilers vectorise them.
//!
//! Sums run in sixteen lanes that are added in a fixed order, so that a sum is the same at
//! every vector width.

const LANES: usize = 16;

/// How a · b + c is computed.
pub trait MultiplyAdd {
    /// a · b + c.
    fn of(a: f32, b: f32, c: f32) -> f32;
}

/// Rounded once.
pub struct Fused;

/// Rounded after the product and after the sum, on processors that cannot fuse them.
pub struct Apart;

impl MultiplyAdd for Fused {
    #[inline(always)]
    fn of(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

impl MultiplyAdd for Apart {
    #[inline(always)]
    fn of(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

/// exp(x) in f32, relative error below 3e-7; arguments are held to [-87, 88].
///
/// Range reduction and polynomial after Cephes `expf` (S. L. Moshier).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    exp_by::<Apart>(x)
}

/// As [`exp`], by this way to multiply and add.
#[inline(always)]
pub fn exp_by<F: MultiplyAdd>(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = F::of(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = F::of(-n, -2.121_944_4e-4, F::of(-n, 0.693_359_4, x));
    let p = 1.987_569_1e-4;
    let p = F::of(p, r, 1.398_199_9e-3);
    let p = F::of(p, r, 8.333_452e-3);
    let p = F::of(p, r, 4.166_579_6e-2);
    let p = F::of(p, r, 1.666_666_5e-1);
    let p = F::of(p, r, 0.5);
    let y = F::of(p * r, r, r) + 1.0;
    let exponent = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    y * f32::from_bits((exponent.wrapping_add(127) << 23) as u32)
}

/// erf(x) in f32, absolute error below 5e-7.
///
/// The rational minimax approximation on [-4, 4] that Eigen and XLA use for f32.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    erf_by::<Apart>(x)
}

/// As [`erf`], by this way to multiply and add.
#[inline(always)]
pub fn erf_by<F: MultiplyAdd>(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let s = x * x;
    let p = -2.726_142_3e-10;
    let p = F::of(p, s, 2.770_681_4e-8);
    let p = F::of(p, s, -2.101_024e-6);
    let p = F::of(p, s, -5.692_506_4e-5);
    let p = F::of(p, s, -7.349_906e-4);
    let p = F::of(p, s, -2.954_6e-3);
    let p = F::of(p, s, -1.609_603_3e-2);
    let q = -1.456_607_2e-5;
    let q = F::of(q, s, -2.133_740_6e-4);
    let q = F::of(q, s, -1.682_827e-3);
    let q = F::of(q, s, -7.373_329e-3);
    let q = F::of(q, s, -1.426_473_9e-2);
    x * p / q
}

/// All lanes as one, by halves.
#[inline(always)]
fn fold(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = join(lanes[i], lanes[i + width]);
        }
        width /= 2;
    }
    lanes[0]
}

/// The sum of the values.
#[inline(always)]
pub fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane += v;
        }
    }
    for (lane, v) in lanes.iter_mut().zip(rest) {
        *lane += v;
    }
    fold(lanes, |a, b| a + b)
}

/// The sum of the products of two equally long slices.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let (ca, cb) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let (ra, rb) = (ca.remainder(), cb.remainder());
    for (x, y) in ca.zip(cb) {
        for i in 0..LANES {
            lanes[i] += x[i] * y[i];
        }
    }
    for (i, (x, y)) in ra.iter().zip(rb).enumerate() {
        lanes[i] += x * y;
    }
    fold(lanes, |a, b| a + b)
}

/// The largest value; negative infinity for an empty slice.
#[inline(always)]
pub fn max(values: &[f32]) -> f32 {
    outermost(values, f32::NEG_INFINITY, |a, b| if a > b { a } else { b })
}

/// The smallest value; infinity for an empty slice.
#[inline(always)]
pub fn min(values: &[f32]) -> f32 {
    outermost(values, f32::INFINITY, |a, b| if a < b { a } else { b })
}

/// The value that `outer` (one instruction, unlike those of the library) prefers to all others.
#[inline(always)]
fn outermost(values: &[f32], start: f32, outer: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane = outer(v, *lane);
        }
    }
    for (lane, &v) in lanes.iter_mut().zip(rest) {
        *lane = outer(v, *lane);
    }
    fold(lanes, outer)
}

/// Turns a row of scores into probabilities in place.
#[inline(always)]
pub fn softmax(row: &mut [f32]) {
    let scale = 1.0 / exponentials::<Apart>(row);
    each(row, |v| v * scale);
}

/// Turns a row of scores into numbers that are to each other as their probabilities are; returns
/// their sum.
#[inline(always)]
pub fn exponentials<F: MultiplyAdd>(row: &mut [f32]) -> f32 {
    let top = max(row);
    each(row, |v| exp_by::<F>(v - top));
    sum(row)
}

/// Replaces every value, whole lanes at a time: rows of attention are too short for the wider
/// loops that compilers would make.
#[inline(always)]
pub fn each(row: &mut [f32], f: impl Fn(f32) -> f32) {
    let mut chunks = row.chunks_exact_mut(LANES);
    for chunk in &mut chunks {
        for v in chunk {
            *v = f(*v);
        }
    }
    for v in chunks.into_remainder() {
        *v = f(*v);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_to_the_exact_one() {
        for i in -8_600..8_800 {
            let x = i as f32 / 100.0;
            let exact = f64::from(x).exp();
            let gap = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(gap < 3e-7, "exp({x}): relative error {gap}");
        }
        assert!(exp(-1e30) < 1e-37);
        assert!(exp(1e30).is_finite());
    }

    #[test]
    fn erf_is_close_to_the_exact_one() {
        for i in -600..=600 {
            let x = f64::from(i) / 100.0;
            let gap = (f64::from(erf(x as f32)) - candle_core::cpu::erf::erf_f64(x)).abs();
            assert!(gap < 5e-7, "erf({x}): error {gap}");
        }
    }

    #[test]
    fn reductions_agree_with_plain_ones() {
        for n in [0, 1, 5, 16, 31, 100] {
            let v: Vec<f32> = (0..n).map(|i| (i as f32 - 7.0) / 4.0).collect();
            assert!((sum(&v) - v.iter().sum::<f32>()).abs() < 1e-3);
            assert!((dot(&v, &v) - v.iter().map(|x| x * x).sum::<f32>()).abs() < 1e-1);
            assert_eq!(max(&v), v.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            assert_eq!(min(&v), v.iter().copied().fold(f32::INFINITY, f32::min));
        }
    }

    #[test]
    fn softmax_survives_extreme_scores() {
        let mut row = [1e30, -1e30, 0.0, 1e30];
        softmax(&mut row);
        assert!(row[0] == 0.5 && row[3] == 0.5 && row[1] < 1e-30 && row[2] < 1e-30);
    }
}
