//! Tuning on label pairs (SetFit; Tunstall et al., "Efficient Few-Shot Learning Without Prompts",
//! 2022): the cosine of two texts goes to 1 where they share a label and to 0 where they do not, in
//! the space of the pooled vectors.

use super::contrast::{Units, shares};
use crate::codebook::Code;

/// The loss of one tier over all pairs of a batch's texts that were asked: half the mean of
/// (1 − cosine)² over pairs with a label in common, plus half the mean of cosine² over the others,
/// so that both kinds weigh the same however many there are. `vectors` are `[texts, width]`,
/// row-major; `slope`, of the same size, gains the gradient.
pub fn pair_loss(vectors: &[f32], width: usize, codes: &[&Code], slope: &mut [f32]) -> f64 {
    let units = Units::of(vectors, width, codes);
    let n = units.len();
    let pairs: Vec<(usize, usize, bool)> = (0..n)
        .flat_map(|i| (i + 1..n).map(move |j| (i, j)))
        .map(|(i, j)| (i, j, shares(units.labels(i), units.labels(j))))
        .collect();
    let alike = pairs.iter().filter(|(.., alike)| *alike).count();
    let share = |of: usize| 0.5 / of.max(1) as f64;
    let shares = [share(pairs.len() - alike), share(alike)];
    let mut loss = 0.0;
    let mut by_pair = vec![0.0; n * n];
    for (i, j, alike) in pairs {
        let gap = units.cosine(i, j) - f64::from(u8::from(alike));
        let share = shares[usize::from(alike)];
        loss += share * gap * gap;
        by_pair[i * n + j] = 2.0 * share * gap;
    }
    units.add_slope(&by_pair, slope);
    loss
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::contrast::tests::{check_slope, coded};

    #[test]
    fn of_three_texts_the_loss_is_that_of_the_formula() {
        // Cosines: a and b 0.6, a and c 0, b and c 0.8; a and b share a label.
        let vectors = [2.0, 0.0, 0.6, 0.8, 0.0, 3.0];
        let codes = [coded(&[0]), coded(&[0, 1]), coded(&[2])];
        let codes: Vec<&Code> = codes.iter().collect();
        let loss = pair_loss(&vectors, 2, &codes, &mut [0.0; 6]);
        let expected = 0.5 * 0.4f64.powi(2) + 0.5 * (0.0 + 0.8f64.powi(2)) / 2.0;
        assert!((loss - expected).abs() < 1e-6, "{loss} {expected}");
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_loss() {
        check_slope(|vectors, codes, slope| pair_loss(vectors, 4, codes, slope));
    }

    #[test]
    fn a_text_alone_has_no_pair() {
        let codes = [coded(&[0]), Code::Missing];
        let codes: Vec<&Code> = codes.iter().collect();
        let mut slope = vec![0.0; 4];
        assert_eq!(pair_loss(&[1.0; 4], 2, &codes, &mut slope), 0.0);
        assert_eq!(slope, [0.0; 4]);
    }
}
