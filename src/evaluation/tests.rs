//! Hand-computed figures of both views.

use super::*;
use crate::codebook::{Condition, Gate, Label};

fn tier(name: &str, kind: TierKind, labels: &[&str], asked_when: Gate) -> Tier {
    let label = |name: &&str| Label {
        name: name.to_string(),
        definition: String::new(),
        include: vec![],
        exclude: vec![],
        examples: vec![],
        group: None,
        only_when: Gate::default(),
    };
    Tier {
        name: name.into(),
        kind,
        question: String::new(),
        asked_when,
        labels: labels.iter().map(label).collect(),
    }
}

/// `use` opens `topics` and `mood` when it is `yes`.
fn codebook() -> Codebook {
    let gate = Gate { conditions: vec![Condition { tier: 0, labels: vec![0] }] };
    Codebook {
        name: "c".into(),
        version: "1".into(),
        language: "en".into(),
        description: String::new(),
        tiers: vec![
            tier("use", TierKind::Single, &["yes", "no"], Gate::default()),
            tier("mood", TierKind::Single, &["good", "bad", "odd"], gate.clone()),
            tier("topics", TierKind::Multi, &["x", "y"], gate),
        ],
    }
}

fn c(labels: &[usize]) -> Code {
    Code::Coded(LabelSet::new(labels.to_vec()))
}

const NA: Code = Code::NotAsked;

fn example() -> Evaluation {
    let gold = [
        vec![c(&[0]), c(&[0]), c(&[0, 1])],
        vec![c(&[0]), c(&[1]), c(&[])],
        vec![c(&[1]), NA, NA],
        vec![c(&[1]), NA, NA],
        vec![Code::Missing, Code::Missing, Code::Missing],
    ];
    let oracle = [
        vec![c(&[0]), c(&[0]), c(&[0])],
        vec![c(&[1]), c(&[0]), c(&[])],
        vec![c(&[1]), NA, NA],
        vec![c(&[0]), NA, NA],
        vec![c(&[0]), c(&[0]), c(&[0])],
    ];
    let pipeline = [
        vec![c(&[0]), c(&[0]), c(&[0])],
        vec![c(&[1]), NA, NA],
        vec![c(&[1]), NA, NA],
        vec![c(&[0]), c(&[2]), c(&[1])],
        vec![c(&[0]), c(&[0]), c(&[0])],
    ];
    evaluate(&codebook(), &gold, &oracle, &pipeline, None)
}

fn near(value: Option<f64>, expected: f64) {
    assert!(value.is_some_and(|v| (v - expected).abs() < 1e-15), "{value:?} is not {expected}");
}

#[test]
fn oracle_scores_coded_rows_only() {
    let evaluation = example();
    let mood = evaluation.tiers.get("mood").unwrap();
    assert_eq!((mood.coded, mood.not_asked, mood.missing, mood.oracle.n), (2, 2, 1, 2));
    // good: tp 1, fp 1; bad: fn 1; odd has no support and is no term of the mean.
    near(mood.oracle.macro_f1, (2.0 / 3.0 + 0.0) / 2.0);
    near(mood.oracle.accuracy, 0.5);
    let bad = mood.oracle.labels.get("bad").unwrap();
    assert_eq!((bad.precision, bad.recall, bad.f1), (None, Some(0.0), Some(0.0)));
    assert!(bad.too_few);
    assert_eq!(mood.oracle.labels.get("odd").unwrap().f1, None);
    assert_eq!(mood.oracle.mcc, None);
}

#[test]
fn in_the_pipeline_not_asked_costs_the_label_opposite() {
    let evaluation = example();
    let mood = evaluation.tiers.get("mood").unwrap();
    assert_eq!(mood.pipeline.n, 4);
    // good is right once; bad was not asked; odd was given where it was not asked.
    near(mood.pipeline.macro_f1, (1.0 + 0.0) / 2.0);
    near(mood.pipeline.micro_f1, 2.0 / 4.0);
    near(mood.pipeline.accuracy, 2.0 / 4.0);
    assert_eq!(mood.pipeline.labels.get("odd").unwrap().predicted, 1);
    let confusion = mood.pipeline.confusion.as_ref().unwrap();
    assert_eq!(confusion.gold, ["good", "bad", "odd", "not asked"]);
    assert_eq!(confusion.counts, [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 1, 1]]);
    // n = 4, right 2, gold sums 1 1 0 2, predicted sums 1 0 1 2.
    near(mood.pipeline.mcc, (8.0 - 5.0) / (10f64.sqrt() * 10f64.sqrt()));
}

#[test]
fn a_closed_gate_is_the_empty_set_of_a_multi_tier() {
    let evaluation = example();
    let topics = evaluation.tiers.get("topics").unwrap();
    // Sets: {x,y}/{x}, ∅/∅, ∅/∅, ∅/{y}.
    let sets = topics.pipeline.sets.as_ref().unwrap();
    near(sets.subset_accuracy, 0.5);
    near(sets.jaccard, (0.5 + 1.0 + 1.0 + 0.0) / 4.0);
    near(topics.pipeline.macro_f1, (1.0 + 0.0) / 2.0);
    near(topics.pipeline.micro_f1, 2.0 / 4.0);
    assert_eq!(topics.pipeline.mcc, None);
    near(topics.oracle.accuracy, 0.5);
}

#[test]
fn hierarchical_counts_pairs_of_tier_and_label() {
    // Gold has 4 + 2 + 2 pairs, predicted 4 + 2 + 2, shared: use 2, mood 1, topics 1.
    let h = example().hierarchical;
    near(h.precision, 4.0 / 8.0);
    near(h.recall, 4.0 / 8.0);
    near(h.f1, 0.5);
}

#[test]
fn the_baseline_gives_one_label_to_every_row() {
    let evaluation = example();
    let mood = evaluation.tiers.get("mood").unwrap();
    assert_eq!(mood.majority_label.as_deref(), Some("good"));
    near(mood.oracle.baseline_macro_f1, (2.0 / 3.0) / 2.0);
    near(mood.pipeline.baseline_macro_f1, (2.0 / 5.0) / 2.0);
    let trained = evaluate(&codebook(), &[vec![c(&[0])]], &[], &[], Some(&[vec![c(&[1])]]));
    let r#use = trained.tiers.get("use").unwrap();
    assert_eq!(r#use.majority_label.as_deref(), Some("no"));
    near(r#use.oracle.baseline_macro_f1, 0.0);
    assert_eq!(r#use.pipeline.unanswered, 1);
    near(r#use.pipeline.accuracy, 0.0);
}

#[test]
fn no_rows_leave_everything_undefined() {
    let evaluation = evaluate(&codebook(), &[], &[], &[], None);
    let topics = evaluation.tiers.get("topics").unwrap();
    assert_eq!((topics.oracle.macro_f1, topics.oracle.accuracy), (None, None));
    assert_eq!(evaluation.hierarchical.f1, None);
    let json = serde_json::to_value(&evaluation).unwrap();
    let oracle = &json["tiers"]["topics"]["oracle"];
    assert!(oracle["jaccard"].is_null() && oracle.get("jaccard").is_some());
}

#[test]
fn the_json_keeps_its_promised_fields() {
    let mut evaluation = example();
    evaluation.bundle = Some("b".into());
    let json = serde_json::to_value(&evaluation).unwrap();
    assert_eq!(json["rows"], 5);
    assert_eq!(json["bundle"], "b");
    let tiers: Vec<&String> = json["tiers"].as_object().unwrap().keys().collect();
    assert_eq!(tiers, ["use", "mood", "topics"]);
    assert_eq!(json["tiers"]["topics"]["kind"], "multi");
    for view in ["oracle", "pipeline"] {
        let view = json["tiers"]["mood"][view].as_object().unwrap();
        for field in ["n", "macro_f1", "micro_f1", "accuracy", "mcc", "labels"] {
            assert!(view.contains_key(field), "{field}");
        }
        for field in ["precision", "recall", "f1", "support"] {
            assert!(view["labels"]["bad"].as_object().unwrap().contains_key(field), "{field}");
        }
        assert!(!view.contains_key("jaccard") && view.contains_key("confusion"));
    }
    assert!(json["hierarchical"].as_object().unwrap().contains_key("precision"));
}

#[test]
fn rows_for_tables_follow_the_codebook() {
    let evaluation = example();
    let summary = evaluation.summary();
    let heads: Vec<_> = summary.iter().map(|row| (row.tier, row.view)).collect();
    assert_eq!(heads[..3], [("use", "oracle"), ("use", "pipeline"), ("mood", "oracle")]);
    let labels: Vec<_> = evaluation.label_rows().iter().map(|r| (r.tier, r.label)).collect();
    assert_eq!(labels[1..3], [("use", "no"), ("mood", "good")]);
}
