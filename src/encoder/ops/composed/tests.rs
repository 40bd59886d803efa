//! The composed operations against the fused ones, in values and gradients: the same function is
//! fused for f32 and composed for f64.

use std::sync::Arc;

use candle_core::{DType, Tensor, Var};

use crate::encoder::ops::gradient_check::var;
use crate::encoder::ops::*;

/// The value of `f` and the gradients of sum(f · weights), in f64, with the inputs in `dtype`.
fn run(vars: &[Var], dtype: DType, f: &dyn Fn(&[Tensor]) -> Tensor) -> Vec<Tensor> {
    let own: Vec<Var> = vars.iter().map(|v| Var::from_tensor(&as_f(v, dtype)).unwrap()).collect();
    let y = f(&own.iter().map(|v| v.as_tensor().clone()).collect::<Vec<_>>());
    let weights = as_f(&var(y.dims(), 99), y.dtype());
    let grads = (&y * weights).unwrap().sum_all().unwrap().backward().unwrap();
    let mut all = vec![as_f(&y, DType::F64)];
    all.extend(own.iter().map(|v| as_f(grads.get(v).expect("a gradient"), DType::F64)));
    all
}

fn as_f(x: &Tensor, dtype: DType) -> Tensor {
    x.detach().to_dtype(dtype).unwrap()
}

fn gap(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.dims(), b.dims());
    let gap = (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
    gap.to_scalar::<f64>().unwrap()
}

fn agree(what: &str, vars: &[Var], f: impl Fn(&[Tensor]) -> Tensor) {
    let fused = run(vars, DType::F32, &f);
    for (dtype, allowed) in [(DType::F64, 2e-5), (DType::BF16, 4e-2)] {
        let composed = run(vars, dtype, &f);
        for (at, (a, b)) in fused.iter().zip(&composed).enumerate() {
            let scale = 1.0 + gap(a, &a.zeros_like().unwrap());
            let gap = gap(a, b) / scale;
            assert!(gap < allowed, "{what} in {dtype:?}, output {at}: {gap}");
        }
    }
}

fn segments() -> Arc<Segments> {
    Arc::new(Segments::new([5, 1, 2]))
}

fn mask(entries: usize) -> DropoutMask {
    DropoutMask::new((0..entries).map(|i| u8::from(i % 5 != 0)).collect(), 0.2)
}

#[test]
fn maps_norms_and_units_agree() {
    let vars = [var(&[4, 6], 1), var(&[3, 6], 2), var(&[3], 3)];
    agree("linear", &vars, |t| linear(&t[0], &t[1], &t[2]).unwrap());
    agree("product", &vars[..2], |t| product(&t[0], &t[1], 0.7).unwrap());
    let vars = [var(&[4, 19], 5), var(&[19], 6), var(&[19], 7)];
    agree("layer norm", &vars, |t| layer_norm(&t[0], &t[1], &t[2], 1e-12).unwrap());
    agree("rms norm", &vars[..2], |t| rms_norm(&t[0], &t[1], 1e-5).unwrap());
    agree("gelu", &[var(&[7, 3], 4)], |t| gelu(&t[0].affine(3.0, 0.0).unwrap()).unwrap());
    agree("swiglu", &[var(&[7, 3], 4), var(&[7, 3], 5)], |t| swiglu(&t[0], &t[1]).unwrap());
}

#[test]
fn dropout_agrees() {
    let vars = [var(&[2, 5], 1), var(&[2, 5], 2)];
    agree("dropout", &vars[..1], |t| dropout(&t[0], Some(&mask(10))).unwrap());
    agree("sum", &vars, |t| dropout_add(&t[0], &t[1], None).unwrap());
    agree("sum", &vars, |t| dropout_add(&t[0], &t[1], Some(&mask(10))).unwrap());
}

#[test]
fn rows_agree() {
    agree("lookup", &[var(&[4, 3], 1)], |t| lookup(&t[0], &[2, 0, 2]).unwrap());
    let vars = [var(&[4, 3], 1), var(&[5, 3], 2), var(&[2, 3], 3)];
    agree("embeddings", &vars, |t| {
        embeddings(&t[0], &t[1], &t[2], &[1, 3, 1, 0], &[0, 1, 2, 0]).unwrap()
    });
    for pooling in [Pooling::Mean, Pooling::Cls, Pooling::Last] {
        agree("pool", &[var(&[8, 4], 1)], |t| pool(&t[0], &segments(), pooling).unwrap());
    }
    agree("attention pool", &[var(&[8, 4], 1), var(&[4], 2)], |t| {
        attention_pool(&t[0], &t[1], &segments()).unwrap()
    });
    let rotations = Arc::new(Rotations::new(&[1.0, 0.3], 5));
    let positions = Arc::new(vec![0, 1, 2, 3, 4, 0, 0, 1]);
    agree("rotate", &[var(&[8, 8], 1)], |t| rotate(&t[0], &rotations, &positions).unwrap());
    agree("windows", &[var(&[8, 2], 1)], |t| windows(&t[0], &segments(), 3).unwrap());
}

#[test]
fn attention_agrees() {
    let full = Heads::full(4);
    let shared = Heads { queries: 4, keys: 2, causal: false, window: None };
    for heads in [
        full,
        shared,
        Heads { causal: true, ..shared },
        Heads { window: Some(1), ..full },
        Heads { causal: true, window: Some(2), ..full },
    ] {
        let vars = [var(&[8, 8], 1), var(&[8, 2 * heads.keys], 2), var(&[8, 2 * heads.keys], 3)];
        for mask in [None, Some(mask(4 * (25 + 1 + 4)))] {
            agree(&format!("{heads:?}"), &vars, |t| {
                attention(&t[0], &t[1], &t[2], &segments(), heads, mask.as_ref()).unwrap()
            });
        }
    }
}

#[test]
fn disentangled_attention_agrees() {
    for (c2p, p2c, width) in [(true, true, 8), (true, false, 4), (false, true, 4)] {
        let how = Disentangled {
            segments: segments(),
            heads: 2,
            rows: Arc::new(vec![0, 0, 1, 2, 3, 4, 5, 6, 6]),
            content_to_position: c2p,
            position_to_content: p2c,
            mask: p2c.then(|| mask(2 * (25 + 1 + 4))),
        };
        agree("disentangled", &[var(&[8, 12], 1), var(&[7, width], 2)], |t| {
            disentangled_attention(&t[0], &t[1], &how).unwrap()
        });
    }
}

#[test]
fn what_is_not_tracked_gets_no_gradient_and_no_step() {
    let (x, w, frozen) = (var(&[4, 6], 1), var(&[3, 6], 2), var(&[3, 6], 4));
    let [x, w] = [x, w].map(|v| Var::from_tensor(&as_f(&v, DType::F64)).unwrap());
    let frozen = as_f(&frozen, DType::F64);
    let y = (product(&x, &w, 1.0).unwrap() + product(&x, &frozen, 1.0).unwrap()).unwrap();
    let grads = y.sum_all().unwrap().backward().unwrap();
    assert!(grads.get(&x).is_some() && grads.get(&w).is_some() && grads.get(&frozen).is_none());
    assert!(!product(&x.detach(), &frozen, 1.0).unwrap().track_op());
}

#[test]
fn what_does_not_fit_is_refused() {
    let x = as_f(&var(&[8, 8], 1), DType::F64);
    assert!(lookup(&x, &[8]).is_err());
    assert!(attention(&x, &x, &x, &segments(), Heads::full(3), None).is_err());
    assert!(dropout(&x, Some(&mask(63))).is_err());
    let rotations = Arc::new(Rotations::new(&[1.0], 2));
    assert!(rotate(&x, &rotations, &Arc::new(vec![2; 8])).is_err());
    assert!(pool(&x, &Arc::new(Segments::new([7])), Pooling::Mean).is_err());
    assert!(windows(&x, &Arc::new(Segments::new([7])), 3).is_err());
}
