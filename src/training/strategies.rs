//! The strategies among which a recipe is chosen, what each costs, and what a budget pays for.
//!
//! Costs are reckoned from the work alone, never from a clock, so that the same command makes the
//! same choice everywhere: seconds are those of the machine that [`COSTS`] was measured on.

use super::recipe::{FittedStart, Mode, Recipe};

/// Folds of the training rows.
pub const FOLDS: usize = 5;
/// Folds on which strategies that train the encoder are tried before the finalists are known.
pub const FIRST_FOLDS: usize = 3;
/// Strategies that are tried on all folds after the others have dropped out.
pub const FINALISTS: usize = 2;

/// What work takes.
#[derive(Clone, Copy, Debug)]
struct Costs {
    /// Multiplications and additions a second in training.
    training: f64,
    /// The same in coding.
    coding: f64,
    /// Seconds a row for fitting heads and n-grams and for judging narrower formats.
    row: f64,
    /// Seconds for reading and writing.
    fixed: f64,
}

/// Measured on two cores of an AMD EPYC (Zen 4), from MiniLM on 800 rows of OLID.
const COSTS: Costs = Costs { training: 1.2e11, coding: 1.5e11, row: 0.012, fixed: 3.0 };

/// What a training has to do with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    /// Rows that train.
    pub rows: usize,
    /// Their tokens, each text's cut where the recipe cuts it.
    pub tokens: usize,
    /// Numbers in the encoder's matrices, the embeddings left out.
    pub weights: usize,
}

impl Work {
    /// That of the rows outside a fold.
    pub fn fold(self) -> Self {
        let of = |n: usize| n - n / FOLDS;
        Self { rows: of(self.rows), tokens: of(self.tokens), ..self }
    }

    /// Seconds that a training by this recipe takes.
    pub fn seconds(self, recipe: &Recipe) -> f64 {
        let token = 2.0 * self.weights as f64;
        let passes = if recipe.consistency > 0.0 { 2.0 } else { 1.0 };
        // A backward pass takes twice a forward pass; an adapter's spares the weights' gradients.
        let update = match recipe.mode {
            Mode::Full => 3.0,
            Mode::Lora => 2.2,
            Mode::Frozen => 0.0,
        };
        let epochs = (recipe.epochs * recipe.members()) as f64;
        let training = epochs * passes * update * token * self.tokens as f64 / COSTS.training;
        let coding = token * self.tokens as f64 / COSTS.coding;
        COSTS.fixed + COSTS.row * self.rows as f64 + coding + training
    }
}

/// A named way to train.
#[derive(Clone, Debug, PartialEq)]
pub struct Strategy {
    /// Its name.
    pub name: &'static str,
    /// How it trains.
    pub recipe: Recipe,
}

/// All strategies: first those that leave the encoder as it is, then the others, in the order in
/// which a budget takes them in. Each is tried with one member, which lifts none above another.
pub fn strategies() -> Vec<Strategy> {
    let full = || Recipe { members: 1, ..Recipe::default() };
    let frozen = || Recipe { mode: Mode::Frozen, ..full() };
    let of = |name, recipe| Strategy { name, recipe };
    vec![
        of("frozen", Recipe { lexical_features: 0, ..frozen() }),
        of("frozen-lexical", frozen()),
        of("full", full()),
        of("full-contrast", Recipe { contrast_single: 0.3, contrast_multi: 0.3, ..full() }),
        of("full-chained", Recipe { chained: true, ..full() }),
        of("full-fitted", Recipe { fitted_start: FittedStart::All, ..full() }),
        of("full-consistency", Recipe { consistency: 1.0, ..full() }),
        of("full-pairs", Recipe { pair_epochs: 2, ..full() }),
        of("full-adjusted", Recipe { logit_adjustment: 1.0, class_weighting: 0.0, ..full() }),
    ]
}

/// The strategies that a budget of so many seconds pays for, the training by the chosen one
/// included: those that are cheap on all folds, the others on the first folds, of which the best
/// [`FINALISTS`] go on to the rest. None if not even the first is paid for.
pub fn affordable(work: Work, budget: f64) -> Option<Vec<Strategy>> {
    let mut taken: Vec<Strategy> = Vec::new();
    for strategy in strategies() {
        taken.push(strategy);
        if total(work, &taken) > budget {
            taken.pop();
        }
    }
    (!taken.is_empty()).then_some(taken)
}

/// How many members the training by any of these may have within the budget, at most those of the
/// default recipe.
pub fn members(work: Work, budget: f64, strategies: &[Strategy]) -> usize {
    let trials = total(work, strategies) - training(work, strategies, 1);
    let paid = |count: &usize| trials + training(work, strategies, *count) <= budget;
    (1..=Recipe::default().members).rev().find(paid).unwrap_or(1)
}

/// The most that a training by one of these can take.
fn training(work: Work, strategies: &[Strategy], members: usize) -> f64 {
    let of = |s: &Strategy| work.seconds(&Recipe { members, ..s.recipe.clone() });
    strategies.iter().map(of).fold(0.0, f64::max)
}

/// The most that trying these and training by one of them, with one member, can take.
fn total(work: Work, strategies: &[Strategy]) -> f64 {
    let is_cheap = |strategy: &&Strategy| strategy.recipe.mode == Mode::Frozen;
    let fold = |strategy: &Strategy| work.fold().seconds(&strategy.recipe);
    let cheap: f64 = strategies.iter().filter(is_cheap).map(|s| FOLDS as f64 * fold(s)).sum();
    let mut others: Vec<f64> = strategies.iter().filter(|s| !is_cheap(s)).map(fold).collect();
    let first = FIRST_FOLDS as f64 * others.iter().sum::<f64>();
    others.sort_by(|a, b| b.total_cmp(a));
    let last = (FOLDS - FIRST_FOLDS) as f64 * others.iter().take(FINALISTS).sum::<f64>();
    cheap + first + last + training(work, strategies, 1)
}

/// The seconds that the cheapest choice takes.
pub fn least_budget(work: Work) -> f64 {
    let first: Vec<Strategy> = strategies().into_iter().take(1).collect();
    total(work, &first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 800 short comments through MiniLM.
    const WORK: Work = Work { rows: 800, tokens: 22_000, weights: 10_600_000 };

    fn names(budget: f64) -> Vec<&'static str> {
        affordable(WORK, budget).unwrap_or_default().iter().map(|s| s.name).collect()
    }

    #[test]
    fn seconds_follow_the_work() {
        let full = Recipe { epochs: 8, members: 1, ..Recipe::default() };
        let training =
            |work: Work| work.seconds(&full) - WORK.seconds(&Recipe { epochs: 0, ..full.clone() });
        // 8 epochs · 3 · 2 · weights · tokens operations.
        let expected = 8.0 * 6.0 * 10.6e6 * 22e3 / 1.2e11;
        let thrice = Recipe { members: 3, ..full.clone() };
        assert!((WORK.seconds(&thrice) - WORK.seconds(&full) - 2.0 * expected).abs() < 1e-9);
        assert!((training(WORK) - expected).abs() < 1e-9);
        let twice = Recipe { consistency: 1.0, ..full.clone() };
        assert!((WORK.seconds(&twice) - WORK.seconds(&full) - expected).abs() < 1e-9);
        assert!(WORK.seconds(&strategies()[0].recipe) < 0.2 * WORK.seconds(&full));
    }

    #[test]
    fn a_larger_budget_pays_for_more() {
        let budgets = [60.0, 120.0, 900.0, 1800.0, 3600.0, 36_000.0];
        let counts: Vec<usize> = budgets.iter().map(|b| names(*b).len()).collect();
        assert!(counts.is_sorted(), "{counts:?}");
        assert_eq!(names(36_000.0).len(), strategies().len());
        assert!(names(900.0).contains(&"full"), "{:?}", names(900.0));
        for budget in budgets {
            if let Some(taken) = affordable(WORK, budget) {
                assert!(total(WORK, &taken) <= budget);
            }
        }
    }

    #[test]
    fn what_the_trials_leave_pays_for_members() {
        let full = |members| WORK.seconds(&Recipe { members, ..Recipe::default() });
        let taken = affordable(WORK, 900.0).unwrap();
        let least = total(WORK, &taken);
        assert_eq!(members(WORK, least, &taken), 1);
        assert_eq!(members(WORK, least + full(2) - full(1) + 1e-6, &taken), 2);
        assert_eq!(members(WORK, 36_000.0, &taken), Recipe::default().members);
    }

    #[test]
    fn too_small_a_budget_pays_for_nothing() {
        assert_eq!(affordable(WORK, 0.0), None);
        let least = least_budget(WORK);
        assert_eq!(names(least), ["frozen"]);
        assert_eq!(affordable(WORK, least - 1e-6), None);
    }

    #[test]
    fn strategies_are_valid_and_differ() {
        let all = strategies();
        for (at, strategy) in all.iter().enumerate() {
            let text = strategy.recipe.resolved().unwrap();
            assert_eq!(Recipe::parse(&text, strategy.name).unwrap(), strategy.recipe);
            assert!(
                all[..at]
                    .iter()
                    .all(|other| other.name != strategy.name && other.recipe != strategy.recipe)
            );
        }
    }
}
