//! Random codebooks and logits: validity, determinism, and agreement with brute force.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;

/// A random codebook: raw bytes choose kinds, label counts and gates.
fn books(max_tiers: usize, max_labels: usize) -> impl Strategy<Value = Codebook> {
    let raw = prop::collection::vec(
        (
            any::<bool>(),
            1..=max_labels,
            any::<[u8; 6]>(),
            prop::collection::vec(any::<[u8; 3]>(), max_labels),
        ),
        1..=max_tiers,
    );
    raw.prop_map(|raw| {
        let mut tiers: Vec<Tier> = Vec::new();
        for (multi, n, bytes, labels) in raw {
            let sizes: Vec<usize> = tiers.iter().map(|t: &Tier| t.labels.len()).collect();
            let condition = |at: u8, pick: u8| {
                let tier = at as usize % sizes.len();
                let mut labels: Vec<usize> =
                    (0..sizes[tier]).filter(|l| pick >> (l % 8) & 1 == 1).collect();
                if labels.is_empty() {
                    labels.push(pick as usize % sizes[tier]);
                }
                Condition { tier, labels }
            };
            let random_gate = |used: u8, pairs: &[u8]| {
                let n = if sizes.is_empty() { 0 } else { used as usize % (pairs.len() / 2 + 1) };
                let mut conditions: Vec<Condition> =
                    (0..n).map(|i| condition(pairs[2 * i], pairs[2 * i + 1])).collect();
                conditions.sort_by_key(|c| c.tier);
                conditions.dedup_by_key(|c| c.tier);
                Gate { conditions }
            };
            let asked_when = random_gate(bytes[0], &bytes[1..5]);
            // The first label of a single tier is always permitted.
            let only_when = (0..n).map(|l| match (multi, l) {
                (false, 0) => Gate::default(),
                _ => random_gate(labels[l][0], &labels[l][1..]),
            });
            let kind = if multi { TierKind::Multi } else { TierKind::Single };
            tiers.push(tier("t", kind, asked_when, only_when.collect()));
        }
        codebook(tiers)
    })
}

fn numbers(extreme: bool) -> BoxedStrategy<f64> {
    if extreme {
        prop_oneof![
            -8.0..8.0f64,
            Just(1e30),
            Just(-1e30),
            Just(f64::NAN),
            Just(f64::INFINITY),
            Just(f64::NEG_INFINITY),
            Just(0.0),
        ]
        .boxed()
    } else {
        (-4.0..4.0f64).boxed()
    }
}

/// Probabilities from logits as a naive classifier makes them, NaN and all.
fn from_logits(book: &Codebook, logits: &[f64]) -> Vec<Vec<f64>> {
    let mut logits = logits.iter().cycle();
    let mut next = || *logits.next().unwrap();
    let of_tier = |tier: &Tier| -> Vec<f64> {
        let raw: Vec<f64> = tier.labels.iter().map(|_| next()).collect();
        if tier.kind == TierKind::Multi {
            return raw.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect();
        }
        let max = raw.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
        let sum: f64 = raw.iter().map(|x| (x - max).exp()).sum();
        raw.iter().map(|x| (x - max).exp() / sum).collect()
    };
    book.tiers.iter().map(of_tier).collect()
}

fn thresholds_of(book: &Codebook, values: &[f64]) -> Vec<Vec<f64>> {
    book.tiers
        .iter()
        .map(|t| (0..t.labels.len()).map(|l| values[l % values.len()]).collect())
        .collect()
}

/// Every complete coding that the codebook allows, with its probability, one label at a time.
fn exhaustive(book: &Codebook, p: &[Vec<f64>]) -> Vec<(Vec<Code>, f64)> {
    let mut all: Vec<(Vec<Code>, f64)> = vec![(vec![], 1.0)];
    for (t, tier) in book.tiers.iter().enumerate() {
        let mut next = Vec::new();
        for (codes, mass) in all {
            let mut add = |code: Code, q: f64| {
                let mut codes = codes.clone();
                codes.push(code);
                next.push((codes, mass * q));
            };
            if tier.asked_when.state(&codes) == GateState::Closed {
                add(Code::NotAsked, 1.0);
                continue;
            }
            let ok: Vec<bool> =
                tier.labels.iter().map(|l| l.only_when.state(&codes) == GateState::Open).collect();
            let n = tier.labels.len();
            match tier.kind {
                TierKind::Single => {
                    let mass: f64 = (0..n).filter(|l| ok[*l]).map(|l| p[t][l]).sum();
                    (0..n).filter(|l| ok[*l]).for_each(|l| add(one(l), p[t][l] / mass));
                }
                TierKind::Multi => {
                    for bits in 0..1usize << n {
                        let set: Vec<usize> = (0..n).filter(|l| bits >> l & 1 == 1).collect();
                        if set.iter().all(|l| ok[*l]) {
                            let q = |l: usize| if ok[l] { p[t][l] } else { 0.0 };
                            let q =
                                (0..n).map(|l| if set.contains(&l) { q(l) } else { 1.0 - q(l) });
                            let q = q.product();
                            add(Code::Coded(LabelSet::new(set)), q);
                        }
                    }
                }
            }
        }
        all = next;
    }
    all
}

/// The expected number of rightly decided tiers, from the exhaustive distribution; "not asked"
/// counts as much as the surest answer if asked.
fn worth(book: &Codebook, all: &[(Vec<Code>, f64)], codes: &[Code]) -> f64 {
    let p = |t: usize, test: &dyn Fn(&Code) -> bool| -> f64 {
        all.iter().filter(|(c, _)| test(&c[t])).map(|(_, m)| m).sum()
    };
    let has = |c: &Code, l: usize| c.labels().is_some_and(|s| s.contains(l));
    let of_tier = |(t, tier): (usize, &Tier)| match &codes[t] {
        Code::Coded(set) if tier.kind == TierKind::Multi => {
            let permitted: Vec<usize> = (0..tier.labels.len())
                .filter(|l| tier.labels[*l].only_when.state(codes) == GateState::Open)
                .collect();
            if permitted.is_empty() {
                return p(t, &|c| *c == Code::Coded(LabelSet::default()));
            }
            let right = |l: usize| p(t, &|c| c.is_coded() && has(c, l) == set.contains(l));
            permitted.iter().map(|l| right(*l)).sum::<f64>() / permitted.len() as f64
        }
        Code::NotAsked => {
            let asked = p(t, &|c| c.is_coded());
            let with = |l: usize| p(t, &|c| has(c, l));
            let labels = 0..tier.labels.len();
            let sure = match tier.kind {
                _ if asked <= 0.0 => 1.0,
                TierKind::Single => labels.map(with).fold(0.0, f64::max) / asked,
                TierKind::Multi => {
                    let n = labels.len() as f64;
                    labels.map(|l| with(l).max(asked - with(l))).sum::<f64>() / n / asked
                }
            };
            p(t, &|c| *c == Code::NotAsked) * sure
        }
        code => p(t, &|c| c == code),
    };
    book.tiers.iter().enumerate().map(of_tier).sum()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(2),
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_output_breaks_the_codebook(
        book in books(5, 6),
        logits in prop::collection::vec(numbers(true), 30),
        cuts in prop::collection::vec(prop_oneof![0.01..0.99f64, Just(f64::NAN)], 6),
        gold in prop::collection::vec(0..6usize, 5),
    ) {
        let p = from_logits(&book, &logits);
        let cuts = thresholds_of(&book, &cuts);
        let joint = Joint::new(&book);
        let d = joint.decide(&p, &cuts);
        prop_assert_eq!(violations(&book, &d.codes), vec![]);
        prop_assert_eq!(&d, &joint.decide(&p, &cuts));
        // Raw logits instead of probabilities are wrong input, yet break nothing either.
        let raw: Vec<Vec<f64>> = book.tiers.iter().map(|t| logits[..t.labels.len()].to_vec()).collect();
        prop_assert_eq!(violations(&book, &joint.decide(&raw, &cuts).codes), vec![]);
        prop_assert_eq!(violations(&book, &joint.decide(&[], &[]).codes), vec![]);
        let within = |x: &f64| (0.0..=1.0).contains(x);
        prop_assert!(d.path.iter().chain(&d.conditional).chain(&d.marginal).flatten().all(within));
        prop_assert!(d.asked.iter().all(within));
        for (t, tier) in book.tiers.iter().enumerate() {
            let expected = match &d.codes[t] {
                Code::Coded(set) => set.len().max(1),
                _ => 0,
            };
            prop_assert_eq!((d.path[t].len(), d.conditional[t].len()), (expected, expected));
            if tier.kind == TierKind::Single {
                prop_assert!((d.marginal[t].iter().sum::<f64>() - d.asked[t]).abs() < 1e-9);
            }
        }
        // The oracle view obeys the gold answers above it.
        let mut codes: Vec<Code> = Vec::new();
        for t in 0..book.tiers.len() {
            let own = decide_given(&book, t, &p[t], &cuts[t], &codes);
            let mut with_own = codes.clone();
            with_own.push(own);
            with_own.resize(book.tiers.len(), Code::Missing);
            prop_assert_eq!(violations(&book, &with_own), vec![]);
            let tier = &book.tiers[t];
            let permitted: Vec<usize> = (0..tier.labels.len())
                .filter(|l| tier.labels[*l].only_when.state(&codes) == GateState::Open)
                .collect();
            codes.push(match tier.asked_when.state(&codes) {
                GateState::Open if tier.kind == TierKind::Single => one(permitted[gold[t] % permitted.len()]),
                GateState::Open => Code::Coded(LabelSet::new(permitted.into_iter().filter(|l| (l + gold[t]) % 2 == 0).collect())),
                _ => Code::NotAsked,
            });
        }
    }

    #[test]
    fn agrees_with_exhaustive_enumeration(
        book in books(4, 3),
        logits in prop::collection::vec(numbers(false), 12),
        cuts in prop::collection::vec(0.2..0.8f64, 3),
    ) {
        let p = from_logits(&book, &logits);
        let cuts = thresholds_of(&book, &cuts);
        let d = decide(&book, &p, &cuts);
        let all = exhaustive(&book, &p);
        let mass = |test: &dyn Fn(&[Code]) -> bool| -> f64 {
            all.iter().filter(|(c, _)| test(c)).map(|(_, m)| m).sum()
        };
        for (t, tier) in book.tiers.iter().enumerate() {
            prop_assert!((d.asked[t] - mass(&|c| c[t].is_coded())).abs() < 1e-10);
            for l in 0..tier.labels.len() {
                let exact = mass(&|c| c[t].labels().is_some_and(|s| s.contains(l)));
                prop_assert!((d.marginal[t][l] - exact).abs() < 1e-10);
            }
            if d.codes[t] == Code::Coded(LabelSet::default()) {
                prop_assert!((d.path[t][0] - mass(&|c| c[t] == d.codes[t])).abs() < 1e-10);
            }
        }
        // Candidates: every coding whose multi answers are those of the thresholds.
        let by_threshold = |codes: &[Code]| book.tiers.iter().enumerate().all(|(t, tier)| {
            tier.kind == TierKind::Single || codes[t] == decide_given(&book, t, &p[t], &cuts[t], &codes[..t])
        });
        let best = all.iter().filter(|(c, _)| by_threshold(c)).map(|(c, _)| worth(&book, &all, c)).fold(0.0, f64::max);
        prop_assert!(by_threshold(&d.codes));
        prop_assert!((worth(&book, &all, &d.codes) - best).abs() < 1e-9);
    }
}
