//! Shares of one corpus with its groups in the parts that the other has them.

use serde::Serialize;

use super::{LabelDrift, Standard, Study, figures};
use crate::error::Result;
use crate::evaluation::drift::{ShareDifference, difference};
use crate::prevalence::{Method, Share, standard_weights};

/// One label with the mix of the standard in both corpora; where one lacks some of the groups, over
/// those that both have.
#[derive(Serialize)]
pub struct Standardised {
    pub a: Share,
    pub b: Share,
    /// B less A.
    pub difference: Option<ShareDifference>,
}

/// Standardises all labels.
pub fn standardised(
    study: &Study,
    standard: Standard,
    levels: [&[u32]; 2],
    labels: &mut [LabelDrift],
) -> Result<()> {
    let own = match standard {
        Standard::A => 0,
        Standard::B => 1,
    };
    let other = standard_weights(levels[1 - own], levels[own]);
    let there: std::collections::HashSet<u32> = levels[1 - own].iter().copied().collect();
    let shared: Vec<f64> =
        levels[own].iter().map(|level| f64::from(u8::from(there.contains(level)))).collect();
    let primary = |which: usize, weights: &[f64]| -> Result<Vec<Share>> {
        let (all, _) = study.corrected(which, Some(weights))?;
        // Where gold says nothing, the coder's own share is what there is.
        let best = |share: &&Share| {
            let naive = |other: &&Share| {
                other.estimate.method == Method::Naive
                    && (&other.tier, &other.label) == (&share.tier, &share.label)
            };
            match share.estimate.estimate {
                Some(_) => Some((*share).clone()),
                None => all.iter().find(naive).cloned(),
            }
        };
        Ok(all.iter().filter(|share| share.primary).filter_map(|share| best(&share)).collect())
    };
    let (first, second) = (primary(own, &shared)?, primary(1 - own, &other)?);
    let (a, b) = if own == 0 { (first, second) } else { (second, first) };
    for ((label, a), b) in labels.iter_mut().zip(a).zip(b) {
        let pair = figures(&a).zip(figures(&b));
        let difference = pair.and_then(|(a, b)| difference(a, b, None));
        label.standardised = Some(Standardised { a, b, difference });
    }
    Ok(())
}
