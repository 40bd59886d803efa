//! Hand-computed decisions.

mod random;

use super::*;
use crate::codebook::{Condition, Gate, Label, Tier};

fn gate(conditions: &[(usize, &[usize])]) -> Gate {
    let condition =
        |(tier, labels): &(usize, &[usize])| Condition { tier: *tier, labels: labels.to_vec() };
    Gate { conditions: conditions.iter().map(condition).collect() }
}

fn tier(name: &str, kind: TierKind, asked_when: Gate, labels: Vec<Gate>) -> Tier {
    let label = |(i, only_when): (usize, Gate)| Label {
        name: format!("l{i}"),
        definition: String::new(),
        include: vec![],
        exclude: vec![],
        examples: vec![],
        group: None,
        only_when,
    };
    Tier {
        name: name.into(),
        kind,
        question: String::new(),
        asked_when,
        labels: labels.into_iter().enumerate().map(label).collect(),
    }
}

fn codebook(tiers: Vec<Tier>) -> Codebook {
    Codebook {
        name: "c".into(),
        version: "1".into(),
        language: "en".into(),
        description: String::new(),
        tiers,
    }
}

fn open(n: usize) -> Vec<Gate> {
    vec![Gate::default(); n]
}

fn one(label: usize) -> Code {
    Code::Coded(LabelSet::one(label))
}

fn near(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12), "{a:?} is not {b:?}");
}

/// The reference study's shape: experience opens attitude, attitude opens topics.
fn study() -> Codebook {
    codebook(vec![
        tier("experience", TierKind::Single, Gate::default(), open(3)),
        tier("attitude", TierKind::Single, gate(&[(0, &[0, 1])]), open(4)),
        tier("topics", TierKind::Multi, gate(&[(1, &[0, 1, 2])]), open(2)),
    ])
}

#[test]
fn probabilities_follow_the_path() {
    let p = [vec![0.5, 0.3, 0.2], vec![0.6, 0.1, 0.1, 0.2], vec![0.9, 0.4]];
    let d = decide(&study(), &p, &[vec![], vec![], vec![0.5, 0.5]]);
    assert_eq!(d.codes, [one(0), one(0), one(0)]);
    near(&d.asked, &[1.0, 0.8, 0.64]);
    near(&d.path[0], &[0.5]);
    near(&d.path[1], &[0.48]);
    near(&d.path[2], &[0.576]);
    near(&d.conditional[2], &[0.9]);
    near(&d.marginal[1], &[0.48, 0.08, 0.08, 0.16]);
    near(&d.marginal[2], &[0.576, 0.256]);
}

#[test]
fn answers_that_share_a_gate_support_each_other() {
    // off_topic (0.42) is the likeliest answer above, but the gate is open with 0.58. For
    // off_topic speaks 0.42 + 0.42 · 0.7 + (1 - 0.58 · 0.8) · 0.5, for no_personal_use (0.38)
    // 0.38 + 0.58 · 0.7 + 0.58 · 0.8 · 0.5.
    let p = [vec![0.2, 0.38, 0.42], vec![0.7, 0.1, 0.0, 0.2], vec![0.5, 0.5]];
    let d = decide(&study(), &p, &[]);
    assert_eq!(d.codes[0], one(1));
    let p = [vec![0.1, 0.38, 0.52], vec![0.7, 0.1, 0.0, 0.2], vec![0.5, 0.5]];
    let d = decide(&study(), &p, &[]);
    assert_eq!(d.codes, [one(2), Code::NotAsked, Code::NotAsked]);
    assert!(d.path[1].is_empty() && d.conditional[2].is_empty());
}

#[test]
fn a_gate_is_not_closed_because_what_lies_below_is_hard() {
    let book = codebook(vec![
        tier("a", TierKind::Single, Gate::default(), open(2)),
        tier("b", TierKind::Single, gate(&[(0, &[0])]), open(4)),
        tier("c", TierKind::Single, gate(&[(0, &[0])]), open(4)),
    ]);
    let hard = vec![0.28, 0.24, 0.24, 0.24];
    let d = decide(&book, &[vec![0.51, 0.49], hard.clone(), hard], &[]);
    assert_eq!(d.codes, [one(0), one(0), one(0)]);
}

#[test]
fn none_carries_the_probability_that_no_label_applies() {
    let book = codebook(vec![
        tier("a", TierKind::Single, Gate::default(), open(2)),
        tier("b", TierKind::Multi, gate(&[(0, &[0])]), open(2)),
    ]);
    let d = decide(&book, &[vec![0.8, 0.2], vec![0.1, 0.3]], &[]);
    assert_eq!(d.codes[1], Code::Coded(LabelSet::default()));
    near(&d.path[1], &[0.8 * 0.9 * 0.7]);
    near(&d.conditional[1], &[0.9 * 0.7]);
}

#[test]
fn forbidden_labels_lend_their_mass_to_the_permitted() {
    let book = codebook(vec![
        tier("a", TierKind::Single, Gate::default(), open(2)),
        tier(
            "b",
            TierKind::Single,
            Gate::default(),
            vec![gate(&[(0, &[0])]), gate(&[(0, &[1])]), gate(&[(0, &[1])])],
        ),
    ]);
    let d = decide(&book, &[vec![0.7, 0.3], vec![0.0, 0.9, 0.1]], &[]);
    assert_eq!(d.codes, [one(0), one(0)]);
    near(&d.marginal[1], &[0.7, 0.27, 0.03]);
    near(&d.conditional[1], &[1.0]);
}

#[test]
fn a_multi_tier_gates_through_any_listed_label() {
    let book = codebook(vec![
        tier("a", TierKind::Multi, Gate::default(), open(3)),
        tier("b", TierKind::Single, gate(&[(0, &[0, 1])]), open(2)),
        tier("c", TierKind::Single, gate(&[(0, &[1, 2])]), open(2)),
    ]);
    let d = decide(&book, &[vec![0.5, 0.2, 0.9], vec![1.0, 0.0], vec![1.0, 0.0]], &[vec![0.6; 3]]);
    assert_eq!(d.codes, [one(2), Code::NotAsked, one(0)]);
    near(&d.asked, &[1.0, 1.0 - 0.5 * 0.8, 1.0 - 0.8 * 0.1]);
}

#[test]
fn ties_go_to_the_earlier_label() {
    let book = codebook(vec![tier("a", TierKind::Single, Gate::default(), open(3))]);
    let d = decide(&book, &[vec![f64::NAN; 3]], &[]);
    assert_eq!(d.codes, [one(0)]);
    near(&d.path[0], &[1.0 / 3.0]);
    assert_eq!(decide(&book, &[vec![0.2, 0.4, 0.4]], &[]).codes, [one(1)]);
}

#[test]
fn the_oracle_view_follows_the_gold_answers() {
    let book = study();
    let p = [0.1, 0.2, 0.3, 0.4];
    let given = |above: &[Code]| decide_given(&book, 1, &p, &[], above);
    assert_eq!(given(&[one(0)]), one(3));
    assert_eq!(given(&[one(2)]), Code::NotAsked);
    assert_eq!(given(&[Code::Missing]), one(3));
    assert_eq!(given(&[]), one(3));
    assert_eq!(
        decide_given(&book, 2, &[0.5, 0.4], &[0.5, 0.3], &[one(0), one(0)]),
        Code::Coded(LabelSet::new(vec![0, 1]))
    );
}

#[test]
fn violations_are_named() {
    let book = study();
    let breach = |codes: &[Code]| violations(&book, codes).first().map(|v| (v.tier, v.breach));
    assert_eq!(breach(&[one(2), Code::NotAsked, Code::NotAsked]), None);
    assert_eq!(breach(&[one(2), one(0), Code::NotAsked]), Some((1, Breach::ClosedGate)));
    assert_eq!(breach(&[one(0), Code::NotAsked, Code::NotAsked]), Some((1, Breach::OpenGate)));
    assert_eq!(
        breach(&[one(7), Code::NotAsked, Code::NotAsked]),
        Some((0, Breach::UnknownLabel(7)))
    );
    assert_eq!(breach(&[Code::Missing, one(0), Code::Missing]), None);
    assert_eq!(breach(&[one(2)]), Some((1, Breach::NoEntry)));
    let none = Code::Coded(LabelSet::default());
    assert_eq!(breach(&[none, Code::NotAsked, Code::NotAsked]), Some((0, Breach::NotOneLabel)));
}

#[test]
fn many_gating_labels_stay_within_the_beam() {
    // Sixteen independent conditions make 65,536 worlds, more than are followed.
    let n = 16;
    let mut tiers = vec![tier("m", TierKind::Multi, Gate::default(), open(n))];
    for label in 0..n {
        tiers.push(tier("s", TierKind::Single, gate(&[(0, &[label])]), open(2)));
    }
    let book = codebook(tiers);
    let mut p = vec![(0..n).map(|l| 0.02 + 0.01 * l as f64).collect::<Vec<_>>()];
    p.extend((0..n).map(|_| vec![0.9, 0.1]));
    let d = decide(&book, &p, &[]);
    assert!(violations(&book, &d.codes).is_empty());
    // The dropped worlds are the improbable ones, so what remains is near the exact shares.
    assert!(d.asked[1..].iter().zip(&p[0]).all(|(asked, p)| (asked - p).abs() < 0.01));
    assert_eq!(d, decide(&book, &p, &[]));
}
