//! Every figure of an evaluation agrees with scikit-learn to 1e-12
//! (`tests/fixtures/metrics/make.py` computes the expected values).

use confide::codebook::{Code, Codebook, Gate, Label, LabelSet, Tier, TierKind};
use confide::evaluation::{evaluate, ranking::micro_average_precision};
use serde_json::Value;

fn fixture() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/metrics/cases.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn codebook(tiers: &[Value]) -> Codebook {
    let label = |l: u64| Label {
        name: format!("l{l}"),
        definition: String::new(),
        include: vec![],
        exclude: vec![],
        examples: vec![],
        group: None,
        only_when: Gate::default(),
    };
    let tier = |(t, tier): (usize, &Value)| Tier {
        name: format!("t{t}"),
        kind: if tier["kind"] == "multi" { TierKind::Multi } else { TierKind::Single },
        question: String::new(),
        asked_when: Gate::default(),
        labels: (0..tier["labels"].as_u64().unwrap()).map(label).collect(),
    };
    Codebook {
        name: "fixture".into(),
        version: "1".into(),
        language: "en".into(),
        description: String::new(),
        tiers: tiers.iter().enumerate().map(tier).collect(),
    }
}

fn codes(rows: &Value) -> Vec<Vec<Code>> {
    let code = |cell: &Value| match cell {
        Value::Null => Code::Missing,
        Value::String(_) => Code::NotAsked,
        labels => {
            let labels = labels.as_array().unwrap().iter();
            Code::Coded(LabelSet::new(labels.map(|l| l.as_u64().unwrap() as usize).collect()))
        }
    };
    let row = |row: &Value| row.as_array().unwrap().iter().map(code).collect();
    rows.as_array().unwrap().iter().map(row).collect()
}

/// Fails unless both are undefined or equal to 1e-12; returns how many figures it compared.
fn agree(own: &Value, expected: &Value, place: &str) -> usize {
    match (own, expected) {
        (Value::Null, Value::Null) => 1,
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!((a - b).abs() <= 1e-12, "{place}: {a} instead of {b}");
            1
        }
        (own, Value::Object(fields)) => {
            let field = |(name, value): (&String, &Value)| {
                let found = own.get(name).unwrap_or_else(|| panic!("{place}: no {name}"));
                agree(found, value, &format!("{place}, {name}"))
            };
            fields.iter().map(field).sum()
        }
        (Value::Object(labels), Value::Array(expected)) => {
            assert_eq!(labels.len(), expected.len(), "{place}");
            labels
                .iter()
                .zip(expected)
                .map(|((name, own), expected)| agree(own, expected, &format!("{place}, {name}")))
                .sum()
        }
        _ => panic!("{place}: {own} instead of {expected}"),
    }
}

#[test]
fn figures_agree_with_scikit_learn() {
    let fixture = fixture();
    let mut compared = 0;
    for case in fixture["cases"].as_array().unwrap() {
        let book = codebook(case["tiers"].as_array().unwrap());
        let training = codes(&case["training"]);
        let [gold, oracle, pipeline] = ["gold", "oracle", "pipeline"].map(|k| codes(&case[k]));
        let evaluation = evaluate(&book, &gold, &oracle, &pipeline, Some(&training));
        let own = serde_json::to_value(&evaluation).unwrap();
        let name = case["name"].as_str().unwrap();
        for (t, expected) in case["expected"]["tiers"].as_array().unwrap().iter().enumerate() {
            let tier = format!("t{t}");
            compared += agree(&own["tiers"][&tier], expected, &format!("{name}, {tier}"));
        }
        compared += agree(&own["hierarchical"], &case["expected"]["hierarchical"], name);
    }
    assert!(compared > 1000, "only {compared} figures were compared");
}

#[test]
fn average_precision_agrees_with_scikit_learn() {
    for case in fixture()["rankings"].as_array().unwrap() {
        let scores: Vec<Vec<f64>> = serde_json::from_value(case["scores"].clone()).unwrap();
        let relevant: Vec<Vec<bool>> = serde_json::from_value(case["relevant"].clone()).unwrap();
        let own = serde_json::to_value(micro_average_precision(&scores, &relevant)).unwrap();
        agree(&own, &case["average_precision"], case["name"].as_str().unwrap());
    }
}
