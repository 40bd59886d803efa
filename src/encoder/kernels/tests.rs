//! Every level against sums in 64 bits, over shapes that leave rests everywhere and extreme values.
//!
//! Under Miri, a million times slower, shapes are small and few.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::operand::bf16;
use super::*;
use crate::encoder::Precision;
use crate::encoder::ops::gradient_check::values;

fn levels() -> impl Iterator<Item = Level> {
    Level::ALL.into_iter().filter(|level| level.is_here())
}

/// A product to compute: x `[rows, inputs]`, weights `[outputs, inputs]`, bias `[outputs]`.
struct Case {
    inputs: usize,
    outputs: usize,
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Case {
    fn random((rows, inputs, outputs): (usize, usize, usize), spread: f32, seed: u64) -> Self {
        // Every seventh value is large, so that steps are coarse for the others.
        let spread = |i: usize, v: f32| if i % 7 == 3 { v * spread } else { v };
        let of = |n, seed| {
            let values: Vec<f32> = values(n, seed);
            values.into_iter().enumerate().map(|(i, v)| spread(i, v)).collect()
        };
        Self {
            inputs,
            outputs,
            x: of(rows * inputs, seed),
            weight: of(outputs * inputs, seed + 1),
            bias: of(outputs, seed + 2),
        }
    }

    fn packed(&self, precision: Precision, level: Level) -> PackedAffine {
        PackedAffine::new(&self.weight, self.inputs, Some(&self.bias), precision, level)
    }

    /// The values as the format holds them, and for each output how far apart it may lie.
    fn check(&self, precision: Precision, level: Level) {
        let y = self.packed(precision, level).apply(&self.x);
        for (r, x) in self.x.chunks_exact(self.inputs).enumerate() {
            for (o, w) in self.weight.chunks_exact(self.inputs).enumerate() {
                let (x, w) = (held(x, precision, false, level), held(w, precision, true, level));
                let products = || x.iter().zip(&w).map(|(x, w)| x * w);
                let exact = products().sum::<f64>() + f64::from(self.bias[o]);
                // In 8 bits a row's least value is multiplied apart from what lies above it.
                let least = x.iter().fold(0f64, |most, x| most.max(x.abs()));
                let apart = if precision == Precision::Int8 { least } else { 0.0 };
                let size = x.iter().zip(&w).map(|(x, w)| (x.abs() + apart) * w.abs()).sum::<f64>()
                    + f64::from(self.bias[o].abs());
                let gap = (f64::from(y[r * self.outputs + o]) - exact).abs();
                assert!(
                    gap <= 3e-6 * size + 1e-30,
                    "{precision:?} {level} row {r} output {o}: {gap} of {size}"
                );
            }
        }
    }
}

/// Numbers as a format holds them: activations, or the weights of one output.
fn held(values: &[f32], precision: Precision, weights: bool, level: Level) -> Vec<f64> {
    let all = |f: &dyn Fn(f32) -> f64| values.iter().map(|&v| f(v)).collect();
    match precision {
        Precision::F32 => all(&f64::from),
        Precision::Bf16 => all(&|v| f64::from(f32::from_bits(bf16(v) << 16))),
        Precision::Int8 if weights => {
            let of_group = |group: &[f32]| {
                let (step, inverse) = weight_step(group);
                let back = |w: &f32| f64::from((w * inverse).round()) * f64::from(step);
                group.iter().map(back).collect::<Vec<_>>()
            };
            values.chunks(operand::GROUP).flat_map(of_group).collect()
        }
        Precision::Int8 => {
            // A level decides how a number halfway between two steps is rounded.
            let map = PackedAffine::new(values, values.len(), None, precision, level);
            let mut operand = Operand::default();
            operand.load(values, &map);
            let of_group = |(group, bytes): (&[f32], &operand::Bytes)| {
                let (step, least) = (f64::from(bytes.steps[0]), f64::from(bytes.least[0]));
                let codes = bytes.codes[..group.len()].iter();
                codes.map(|&u| least + step * f64::from(u)).collect::<Vec<_>>()
            };
            values.chunks(operand::GROUP).zip(&operand.bytes).flat_map(of_group).collect()
        }
    }
}

/// Few inputs, or about as many as a group or several have.
fn inputs() -> impl Strategy<Value = usize> {
    let (group, several) = (operand::GROUP, if cfg!(miri) { 1 } else { 3 });
    let few = 1usize..most(70);
    prop_oneof![3 => few, 1 => group - 5..group + 6, 1 => group + 6..several * group + 16]
}

/// How many rows or columns a product has at most.
const fn most(natively: usize) -> usize {
    if cfg!(miri) { natively / 4 + 2 } else { natively }
}

const FORMATS: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::Int8];

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 3 } else { 48 }, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn every_level_agrees_with_exact_sums(
        rows in 1..most(15), inputs in inputs(), outputs in 1..most(100),
        spread in prop_oneof![Just(1.0f32), Just(300.0), Just(0.0)], seed in 0u64..1000,
    ) {
        let case = Case::random((rows, inputs, outputs), spread, seed);
        for level in levels() {
            for precision in FORMATS {
                case.check(precision, level);
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_company(
        rows in 2..most(30), inputs in inputs(), outputs in 1..most(100), seed in 0u64..1000,
    ) {
        let case = Case::random((rows, inputs, outputs), 5.0, seed);
        for level in levels() {
            for precision in FORMATS {
                let packed = case.packed(precision, level);
                let together = packed.apply(&case.x);
                for (x, y) in case.x.chunks_exact(inputs).zip(together.chunks_exact(outputs)) {
                    prop_assert_eq!(packed.apply(x), y.to_vec());
                }
            }
        }
    }

    #[test]
    fn products_of_views_agree_with_exact_sums(
        rows in 1..most(15), depth in 1..most(40), strips in 1..most(6), more in 0usize..20, seed in 0u64..1000,
    ) {
        let columns = strips * STRIP;
        let (a_row, b_row, c_row) = (depth + more, columns + more, columns + 3);
        let (a, b) = (values(rows * a_row, seed), values(depth * b_row, seed + 1));
        for level in levels() {
            let mut c = vec![7f32; rows * c_row];
            multiply_views(level, (rows, depth, columns), View::new(&a, a_row), View::new(&b, b_row), &mut c, c_row);
            for r in 0..rows {
                for j in 0..c_row {
                    let exact: f64 = (0..depth).filter(|_| j < columns)
                        .map(|k| f64::from(a[r * a_row + k]) * f64::from(b[k * b_row + j]))
                        .sum();
                    let expected = if j < columns { exact } else { 7.0 };
                    prop_assert!((f64::from(c[r * c_row + j]) - expected).abs() < 1e-4);
                }
            }
        }
    }
}

#[test]
fn the_largest_sums_of_bytes_are_exact() {
    let (inputs, outputs) = if cfg!(miri) { (256, 3) } else { (4096, 20) };
    for sign in [1.0, -1.0] {
        // One zero a row, so that every other entry is 255 steps above the least.
        let mut x = vec![255.0; inputs];
        x[17] = 0.0;
        let case = Case {
            inputs,
            outputs,
            x,
            weight: vec![127.0 * sign; outputs * inputs],
            bias: vec![0.0; outputs],
        };
        for level in levels() {
            let y = case.packed(Precision::Int8, level).apply(&case.x);
            let expected = sign * 255.0 * 127.0 * (inputs as f32 - 1.0);
            assert!(y.iter().all(|y| (y - expected).abs() <= 1e-6 * expected.abs()), "{level}");
        }
    }
}

#[test]
fn no_value_makes_a_kernel_fail() {
    for extreme in [f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e-42, f32::INFINITY, f32::NAN, 0.0] {
        let (rows, inputs, outputs) = if cfg!(miri) { (1, 9, 17) } else { (7, 33, 35) };
        let case = Case {
            inputs,
            outputs,
            x: (0..rows * inputs).map(|i| if i % 5 == 0 { extreme } else { 1.0 }).collect(),
            weight: vec![0.5; outputs * inputs],
            bias: vec![0.0; outputs],
        };
        for level in levels() {
            for precision in FORMATS {
                assert_eq!(case.packed(precision, level).apply(&case.x).len(), rows * outputs);
            }
        }
    }
}

#[test]
fn no_rows_are_no_work() {
    let case = Case::random((0, 5, 7), 1.0, 1);
    for precision in FORMATS {
        assert!(case.packed(precision, Level::best()).apply(&case.x).is_empty());
    }
}

#[test]
#[should_panic(expected = "rows of y")]
fn a_target_of_another_size_is_refused() {
    let case = Case::random((2, 5, 7), 1.0, 1);
    case.packed(Precision::F32, Level::best()).multiply(
        &case.x,
        &Operand::default(),
        &mut [0.0; 3],
    );
}
