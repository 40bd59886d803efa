//! Corrected means agree to 1e-9 with ppi_py, and with the formula of DSL
//! (`tests/fixtures/prevalence/make.py` computes the expected values).

use confide::prevalence::{
    Gold, Sums, Target, Tuning, design_based_mean, linear, prediction_powered_mean,
};
use serde_json::Value;

fn reference() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/prevalence/reference.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[track_caller]
fn close(found: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
}

fn numbers(values: &Value) -> Vec<f64> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

#[test]
fn prediction_powered_means_are_those_of_ppi_py() {
    for case in reference()["ppi"].as_array().unwrap() {
        let [truth, predicted, others] =
            ["truth", "predicted", "others"].map(|name| numbers(&case[name]));
        let found = prediction_powered_mean(&truth, &predicted, &others).unwrap();
        close(found.estimate, &case["estimate"]);
        let (lower, upper) = found.interval(0.95);
        close(lower, &case["lower"]);
        close(upper, &case["upper"]);
        // The estimator of the command, over the corpus with its gold rows in it, is the same.
        let ones = vec![1.0; truth.len()];
        let pi = vec![truth.len() as f64 / (truth.len() + others.len()) as f64; truth.len()];
        let gold = Gold {
            x: &truth,
            d: &ones,
            model_x: &predicted,
            model_d: &ones,
            pi: &pi,
            cluster: None,
        };
        let mut rest = Sums::default();
        predicted.iter().chain(&others).for_each(|f| rest.add(1.0, *f, 1.0));
        let known = Sums::default();
        let same = linear(&gold, &rest, &known, Tuning::Optimal, Target::Process).unwrap();
        close(same.estimate, &case["estimate"]);
    }
}

#[test]
fn design_based_means_are_those_of_the_formula() {
    let reference = reference();
    let case = &reference["dsl"];
    let (predicted, pi) = (numbers(&case["predicted"]), numbers(&case["pi"]));
    let truth: Vec<Option<f64>> =
        case["truth"].as_array().unwrap().iter().map(Value::as_f64).collect();
    let (estimate, standard_error) = design_based_mean(&predicted, &truth, &pi).unwrap();
    close(estimate, &case["estimate"]);
    close(standard_error, &case["standard_error"]);
    let chosen: Vec<usize> = (0..pi.len()).filter(|&row| truth[row].is_some()).collect();
    let pick = |values: &[f64]| -> Vec<f64> { chosen.iter().map(|&row| values[row]).collect() };
    let ones = vec![1.0; chosen.len()];
    let gold = Gold {
        x: &chosen.iter().filter_map(|&row| truth[row]).collect::<Vec<f64>>(),
        d: &ones,
        model_x: &pick(&predicted),
        model_d: &ones,
        pi: &pick(&pi),
        cluster: None,
    };
    let mut rest = Sums::default();
    predicted.iter().for_each(|f| rest.add(1.0, *f, 1.0));
    let same = linear(&gold, &rest, &Sums::default(), Tuning::Full, Target::Process).unwrap();
    close(same.estimate, &case["estimate"]);
}
