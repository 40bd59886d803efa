//! Agreement and paired tests agree to 1e-9 with krippendorff, irrCAC, scikit-learn, statsmodels and
//! scipy (`tests/fixtures/agreement/make.py` computes the expected values).

use std::fmt::Write as _;

use confide::codebook::{Codebook, LabelSet};
use confide::corpus::{Codings, CodingsRequest, read_codings};
use confide::evaluation::agreement::{Distances, Everyone, Pair, masi};
use confide::evaluation::alternative_annotators::alternative_annotators;
use confide::evaluation::comparison::{Primary, Request, compare};
use confide::evaluation::paired::{benjamini_yekutieli, holm, mcnemar_exact};
use serde_json::Value;

fn reference() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/agreement/reference.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[track_caller]
fn close(found: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
}

fn rows(table: &Value) -> Vec<Vec<Option<u32>>> {
    let cell = |cell: &Value| cell.as_u64().map(|code| code as u32);
    let row = |row: &Value| row.as_array().unwrap().iter().map(cell).collect();
    table.as_array().unwrap().iter().map(row).collect()
}

/// Everyone's coefficients, and the sums of these rows.
fn everyone(
    rows: &[Vec<Option<u32>>],
    categories: usize,
    distances: Option<&Distances>,
) -> (Everyone, Vec<f64>) {
    let everyone = Everyone::new(0, categories);
    let add =
        |row: &Vec<Option<u32>>, own: &mut Vec<(usize, f64)>| everyone.add(row, distances, own);
    (everyone, sums(everyone.end(), rows, add))
}

/// The sums of what each row adds.
fn sums<T>(many: usize, rows: &[T], add: impl Fn(&T, &mut Vec<(usize, f64)>)) -> Vec<f64> {
    let mut added = Vec::new();
    rows.iter().for_each(|row| add(row, &mut added));
    let mut sums = vec![0.0; many];
    added.into_iter().for_each(|(place, amount)| sums[place] += amount);
    sums
}

#[test]
fn coefficients_are_those_of_the_packages() {
    let reference = reference();
    for case in reference["agreement"].as_array().unwrap() {
        let table = rows(&case["codes"]);
        let categories = case["categories"].as_u64().unwrap() as usize;
        let (all, found) = everyone(&table, categories, None);
        close(all.percent(&found).unwrap(), &case["percent"]);
        close(all.alpha(&found, None).unwrap(), &case["alpha"]);
        close(all.ac1(&found).unwrap(), &case["ac1"]);
        let coders = table[0].len();
        let pairs = (0..coders).flat_map(|a| (a + 1..coders).map(move |b| (a, b)));
        for ((a, b), expected) in pairs.zip(case["kappas"].as_array().unwrap()) {
            let pair = Pair::new(0, categories);
            let found = sums(pair.end(), &table, |row, own| pair.add((row[a], row[b]), None, own));
            close(pair.kappa(&found).unwrap(), expected);
        }
    }
}

#[test]
fn alpha_of_sets_is_that_of_the_definition() {
    let reference = reference();
    let mut sets: Vec<LabelSet> = Vec::new();
    let mut table: Vec<Vec<Option<u32>>> = Vec::new();
    for row in reference["sets"]["codes"].as_array().unwrap() {
        let mut codes = Vec::new();
        for cell in row.as_array().unwrap() {
            codes.push(cell.as_array().map(|labels| {
                let labels = labels.iter().map(|l| l.as_u64().unwrap() as usize).collect();
                let set = LabelSet::new(labels);
                let place = sets.iter().position(|own| *own == set).unwrap_or_else(|| {
                    sets.push(set);
                    sets.len() - 1
                });
                place as u32
            }));
        }
        table.push(codes);
    }
    let distances = Distances::new(sets.len(), |a, b| masi(&sets[a], &sets[b]));
    let (all, found) = everyone(&table, sets.len(), Some(&distances));
    close(all.alpha(&found, Some(&distances)).unwrap(), &reference["sets"]["alpha"]);
}

#[test]
fn tests_and_corrections_are_those_of_statsmodels() {
    let reference = reference();
    let paired = &reference["paired"];
    for case in paired["mcnemar"].as_array().unwrap() {
        let only = |name: &str| case[name].as_u64().unwrap();
        close(mcnemar_exact(only("only_a"), only("only_b")), &case["p"]);
    }
    for family in paired["families"].as_array().unwrap() {
        let p: Vec<f64> =
            family["p"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect();
        for (found, name) in [(holm(&p), "holm"), (benjamini_yekutieli(&p), "benjamini_yekutieli")]
        {
            for (found, expected) in found.iter().zip(family[name].as_array().unwrap()) {
                close(*found, expected);
            }
        }
    }
}

/// A codebook of one tier `t` with labels `l0`, `l1`, `l2`.
fn codebook() -> Codebook {
    let labels: Vec<String> =
        (0..3).map(|l| format!("{{ name = \"l{l}\", definition = \"d\" }}")).collect();
    let toml = format!(
        "format = 1\nname = \"b\"\nversion = \"1\"\nlanguage = \"en\"\ndescription = \"d\"\n\
         [[tier]]\nname = \"t\"\nkind = \"single\"\nquestion = \"q\"\nlabel = [{}]\n",
        labels.join(", ")
    );
    Codebook::parse(&toml, "b").unwrap()
}

/// These columns of codes as the codings of the coders.
fn codings(coders: &[&str], columns: &[Vec<Option<u64>>]) -> Codings {
    let names: Vec<String> = coders
        .iter()
        .map(|coder| if *coder == "gold" { "t".to_owned() } else { format!("t__{coder}") })
        .collect();
    let mut table = format!("id,{}\n", names.join(","));
    for row in 0..columns[0].len() {
        let cells: Vec<String> = columns
            .iter()
            .map(|column| column[row].map_or(String::new(), |code| format!("l{code}")))
            .collect();
        writeln!(table, "{row},{}", cells.join(",")).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, table).unwrap();
    let coders = coders.iter().map(|coder| (*coder).to_owned()).collect();
    let request = CodingsRequest { coders, ..CodingsRequest::default() };
    read_codings(&[path], &codebook(), &request).unwrap()
}

fn column(values: &Value) -> Vec<Option<u64>> {
    values.as_array().unwrap().iter().map(Value::as_u64).collect()
}

#[test]
fn scores_of_both_coders_are_those_of_scikit_learn() {
    let reference = reference();
    let scores = &reference["paired"]["scores"];
    let columns = ["gold", "a", "b"].map(|name| column(&scores[name]));
    let codings = codings(&["gold", "a", "b"], &columns);
    let request =
        Request { gold: 0, a: 1, b: 2, primary: Primary::default(), margin: None, seed: 0 };
    let compared = compare(&codebook(), &codings, request);
    let tier = &compared.get("t").unwrap().pipeline;
    close(tier.a.scores.macro_f1.unwrap(), &scores["macro_f1"][0]);
    close(tier.b.scores.macro_f1.unwrap(), &scores["macro_f1"][1]);
    let difference = tier.macro_f1_difference;
    let value = difference.value.unwrap();
    assert!(
        (value - (tier.a.scores.macro_f1.unwrap() - tier.b.scores.macro_f1.unwrap())).abs() < 1e-12
    );
    assert!(difference.lower.unwrap() < value && value < difference.upper.unwrap());
}

#[test]
fn annotators_are_replaced_as_the_paper_says() {
    let reference = reference();
    let case = &reference["annotators"];
    let table = rows(&case["codes"]);
    let mut columns: Vec<Vec<Option<u64>>> =
        (0..3).map(|coder| table.iter().map(|row| row[coder].map(u64::from)).collect()).collect();
    columns.push(column(&case["model"]));
    let codings = codings(&["x", "y", "z", "model"], &columns);
    let epsilon = case["epsilon"].as_f64().unwrap();
    let found = alternative_annotators(&codebook(), &codings, 0, 3, &[0, 1, 2], epsilon);
    for (human, expected) in found.humans.iter().zip(case["humans"].as_array().unwrap()) {
        assert_eq!(Some(human.n as u64), expected["n"].as_u64());
        close(human.advantage.unwrap(), &expected["advantage"]);
        close(human.human_advantage.unwrap(), &expected["human_advantage"]);
        close(human.p.unwrap(), &expected["p"]);
        close(human.p_adjusted.unwrap(), &expected["p_adjusted"]);
    }
    close(found.winning_rate.unwrap(), &case["winning_rate"]);
}
