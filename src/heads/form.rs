//! Forms of the loss on gold codes for labels that few rows have: focal and logit-adjusted.

/// How the loss on gold codes departs from cross-entropy; the default does not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LossForm {
    /// The share of each single tier's target that is spread evenly over the permitted labels.
    pub smoothing: f64,
    /// γ of the focal loss (Lin et al., ICCV 2017, equation 4): the loss of an answer that has
    /// probability p is multiplied by (1 − p)^γ, so that rows which are told well already count
    /// little.
    pub focus: f64,
    /// τ of the logit-adjusted loss (Menon et al., ICLR 2021, equation 10): τ · ln(share of a label)
    /// is added to the logits of single tiers in the loss alone, so that rare labels need a larger
    /// margin.
    pub adjustment: f64,
}

/// A floor under 1 − p, where its negative powers grow without bound.
const LEAST: f64 = 1e-12;

/// (1 − p)^γ.
pub(super) fn factor(focus: f64, wrong: f64) -> f64 {
    if focus == 0.0 { 1.0 } else { wrong.max(LEAST).powf(focus) }
}

/// Minus the derivative of [`factor`] along p: γ (1 − p)^(γ − 1).
pub(super) fn fall(focus: f64, wrong: f64) -> f64 {
    if focus == 0.0 { 0.0 } else { focus * wrong.max(LEAST).powf(focus - 1.0) }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use crate::encoder::ops::gradient_check::{check, var};
    use crate::heads::loss::tests::{multi, single};
    use crate::heads::loss::{Targets, tier_loss};

    fn focused(mut targets: Targets, focus: f64) -> Targets {
        match &mut targets {
            Targets::Single(t) => t.focus = focus,
            Targets::Multi(t) => t.focus = focus,
            Targets::Soft(_) => {}
        }
        targets
    }

    fn adjusted(mut targets: Targets, by: [f32; 3]) -> Targets {
        if let Targets::Single(t) = &mut targets {
            t.adjustment = by.to_vec();
        }
        targets
    }

    fn loss<const N: usize>(logits: &[[f32; 3]; N], targets: Targets) -> f64 {
        let logits = Tensor::new(logits, &Device::Cpu).unwrap();
        f64::from(tier_loss(&logits, targets).unwrap().to_scalar::<f32>().unwrap())
    }

    #[test]
    fn gradients_match_finite_differences() {
        for focus in [0.5, 1.0, 2.0] {
            check(&[var(&[3, 3], 1)], 1e-3, |t| {
                tier_loss(&t[0], focused(single(), focus)).unwrap()
            });
            check(&[var(&[2, 3], 2)], 1e-3, |t| tier_loss(&t[0], focused(multi(), focus)).unwrap());
        }
        let both = || focused(adjusted(single(), [-0.3, -1.2, -2.0]), 2.0);
        check(&[var(&[3, 3], 3)], 1e-3, |t| tier_loss(&t[0], both()).unwrap());
    }

    #[test]
    fn the_focal_loss_is_that_of_the_formula() {
        // Two labels at odds of 3 to 1, and one label of a multi tier at the same odds.
        let x = 3f32.ln();
        let mut targets = focused(single(), 2.0);
        let Targets::Single(t) = &mut targets else { panic!() };
        (t.labels, t.smoothing) = (vec![Some(0), None, None], 0.0);
        t.permitted[2] = false;
        let expected = 0.25f64.powi(2) * -(0.75f64.ln()) / 3.0;
        let found = loss(&[[x, 0.0, 9.0], [0.0; 3], [0.0; 3]], targets);
        assert!((found - expected).abs() < 1e-7, "{found} {expected}");

        let mut targets = focused(multi(), 1.0);
        let Targets::Multi(t) = &mut targets else { panic!() };
        t.counted = vec![true, true, false, false, false, false];
        // Present with weight 3 and p = 0.75; absent with p = 0.75 of a label that does not apply.
        let expected = (3.0 * 0.25 * -(0.75f64.ln()) + 0.75 * -(0.25f64.ln())) / 4.0;
        let found = loss(&[[x, x, 0.0], [0.0; 3]], targets);
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }

    #[test]
    fn adjusted_logits_are_the_plain_ones_moved() {
        let by = [-0.5f32, -1.5, -3.0];
        let rows = [[0.2f32, -1.0, 0.7], [0.0, 0.0, 0.0], [1.0, 4.0, -2.0]];
        let moved = rows.map(|row| [row[0] + by[0], row[1] + by[1], row[2] + by[2]]);
        let found = loss(&rows, adjusted(single(), by));
        assert!((found - loss(&moved, single())).abs() < 1e-6);
    }

    #[test]
    fn sure_answers_give_finite_slopes() {
        let x = Tensor::new(&[[60f32, -60.0, -60.0], [60.0, 60.0, -60.0]], &Device::Cpu).unwrap();
        let x = candle_core::Var::from_tensor(&x).unwrap();
        let grads = tier_loss(&x, focused(multi(), 0.5)).unwrap().backward().unwrap();
        let slopes = grads.get(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(slopes.iter().all(|slope| slope.is_finite()), "{slopes:?}");
    }
}
