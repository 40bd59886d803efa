//! The domain classifier's areas are those of scikit-learn, their variances those of the papers
//! (`tests/fixtures/drift/make.py` computes the expected values).

use confide::evaluation::domain::{area, held_out_scores};
use serde_json::Value;

fn reference() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/drift/reference.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[track_caller]
fn close(found: f64, expected: &Value, within: f64) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() < within, "{found} is not {expected}");
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn yes(list: &Value) -> Vec<bool> {
    list.as_array().unwrap().iter().map(|value| value.as_bool().unwrap()).collect()
}

#[test]
fn areas_are_those_of_scikit_learn_and_variances_those_of_the_papers() {
    for case in reference()["areas"].as_array().unwrap() {
        let clusters: Vec<u32> = numbers(&case["clusters"]).iter().map(|c| *c as u32).collect();
        let found = area(&numbers(&case["scores"]), &yes(&case["positive"]), &clusters).unwrap();
        close(found.auc, &case["auc"], 1e-9);
        close(found.variance.unwrap(), &case["variance"], 1e-9);
    }
}

#[test]
fn held_out_scores_are_those_of_scikit_learn() {
    let case = &reference()["classifier"];
    let values: Vec<f32> = numbers(&case["embeddings"]).iter().map(|v| *v as f32).collect();
    let folds: Vec<usize> = numbers(&case["folds"]).iter().map(|fold| *fold as usize).collect();
    let second = yes(&case["second"]);
    let scores = held_out_scores(&values, &second, &folds);
    for (found, expected) in scores.iter().zip(case["scores"].as_array().unwrap()) {
        close(*found, expected, 5e-3);
    }
    for (fold, expected) in case["auc"].as_array().unwrap().iter().enumerate() {
        let own = || (0..folds.len()).filter(|&text| folds[text] == fold);
        let is_second: Vec<bool> = own().map(|text| second[text]).collect();
        let held: Vec<f64> = own().map(|text| scores[text]).collect();
        let alone: Vec<u32> = (0..held.len() as u32).collect();
        close(area(&held, &is_second, &alone).unwrap().auc, expected, 1e-9);
    }
}
