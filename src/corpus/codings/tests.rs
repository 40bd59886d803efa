use std::path::PathBuf;

use super::*;
use crate::codebook::{Codebook, GATED};
use crate::corpus::ReadOptions;
use crate::error::Result;

/// Tables in files of a scratch folder, joined.
fn join(tables: &[&str], coders: &[&str], keep: &[&str]) -> Result<Codings> {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = tables
        .iter()
        .enumerate()
        .map(|(at, table)| {
            let path = folder.path().join(format!("t{at}.csv"));
            std::fs::write(&path, table).unwrap();
            path
        })
        .collect();
    let request = CodingsRequest {
        coders: coders.iter().map(|c| (*c).to_owned()).collect(),
        keep: keep.iter().map(|c| (*c).to_owned()).collect(),
        numbers: Vec::new(),
        options: ReadOptions::default(),
    };
    read_codings(&paths, &Codebook::parse(GATED, "b").unwrap(), &request)
}

/// A tier of a coder as its cells would stand, `-` for not asked and `?` for missing.
fn cells(codings: &Codings, coder: &str, tier: usize) -> Vec<String> {
    let book = Codebook::parse(GATED, "b").unwrap();
    let answers = codings.answers(codings.coder(coder).unwrap(), tier);
    let cell = |answer: &Answer| match *answer {
        Answer::MISSING => "?".to_owned(),
        Answer::NOT_ASKED => "-".to_owned(),
        other => codings.display(&book, tier, other),
    };
    answers.iter().map(cell).collect()
}

#[test]
fn tables_are_joined_by_id() {
    let ana = "id,use__ana,topics__ana\n1,yes,a|b\n2,no,\n3,yes,none\n";
    let ben = "topics__ben,id,use__ben\nb|a,1,yes\n,4,no\n,3,yes\n";
    let codings = join(&[ana, ben], &[], &[]).unwrap();
    assert_eq!(codings.ids, ["1", "2", "3", "4"]);
    assert_eq!(codings.coders, ["ana", "ben"]);
    assert_eq!(cells(&codings, "ana", 0), ["yes", "no", "yes", "?"]);
    assert_eq!(cells(&codings, "ben", 0), ["yes", "?", "yes", "no"]);
    assert_eq!(cells(&codings, "ana", 1), ["a|b", "-", "none", "?"]);
    assert_eq!(cells(&codings, "ben", 1), ["a|b", "?", "?", "-"]);
    // The same set of labels is the same answer, in whatever order it stands.
    assert_eq!(codings.answers(0, 1)[0], codings.answers(1, 1)[0]);
    assert!(codings.holds(1, codings.answers(0, 1)[0], 1));
    let counts: Vec<usize> = codings.tables.iter().map(|table| table.unmatched).collect();
    assert_eq!(counts, [1, 1]);
}

#[test]
fn what_is_passed_over_is_counted() {
    let table = "id,use,topics,group\n1,yes,a,x\n1,no,,x\n2,no,b,y\n3,maybe,,\n4,yes\n5,no,,x\n";
    let codings = join(&[table], &[GOLD], &[]).unwrap();
    assert_eq!(cells(&codings, GOLD, 0), ["yes", "no", "?", "no"]);
    let t = &codings.tables[0];
    assert_eq!((t.rows, t.duplicate_ids, t.unreadable), (4, 1, 1));
    assert_eq!((t.closed_gate, t.unusable, t.unmatched), (1, 1, 0));
    // A row without a group is alone.
    let groups = codings.groups.unwrap();
    assert_eq!(groups[0], groups[3]);
    assert!(groups[2] != groups[0] && groups[2] != groups[1]);
}

#[test]
fn one_coder_has_one_code_of_a_row() {
    let same = join(&["id,use\n1,yes\n", "id,use\n1,yes\n2,no\n"], &[GOLD], &[]).unwrap();
    assert_eq!(cells(&same, GOLD, 0), ["yes", "no"]);
    let error = join(&["id,use\n1,yes\n", "id,use\n1,no\n"], &[GOLD], &[]).unwrap_err();
    assert_eq!(error.exit_code(), 3);
}

#[test]
fn tiers_may_come_in_a_table_each() {
    let first = "id,use__m\n1,yes\n2,no\n3,yes\n";
    let second = "id,topics__m\n1,a\n2,b\n3,none\n";
    let whole = "id,use__m,topics__m\n1,yes,\n2,no,\n3,yes,\n";
    for tables in [[first, second], [second, first], [whole, second], [second, whole]] {
        let codings = join(&tables, &[], &[]).unwrap();
        assert_eq!(cells(&codings, "m", 1), ["a", "-", "none"], "{tables:?}");
        assert_eq!(codings.tables.iter().map(|table| table.closed_gate).sum::<usize>(), 1);
    }
}

#[test]
fn columns_that_must_be_there_are_named() {
    let table = "id,use__ana\n1,yes\n";
    for (coders, keep) in [(vec!["anna"], vec![]), (vec!["ana"], vec!["platform"])] {
        let error = join(&[table], &coders, &keep).unwrap_err();
        assert_eq!(error.exit_code(), 3, "{error}");
    }
    let kept = join(&["id,use,likes\n1,yes,7\n2,no,\n3,no,7\n"], &[GOLD], &["likes"]).unwrap();
    let likes = kept.kept("likes").unwrap();
    assert_eq!([likes.cell(0), likes.cell(1), likes.cell(2)], ["7", "", "7"]);
}

#[test]
fn marks_come_from_any_table() {
    let coded = "id,text,use\n1,So  it is,yes\n2,so it IS,no\n3,other,no\n";
    let sample = "id,pi,split,use__ana\n2,0.25,test,no\n";
    let codings = join(&[coded, sample], &[GOLD, "ana"], &[]).unwrap();
    assert_eq!(codings.pi, Some(vec![None, Some(0.25), None]));
    assert_eq!(codings.splits, Some(vec![None, Some(Split::Test), None]));
    assert_eq!(codings.repeats, Some(vec![false, true, false]));
    assert!(join(&["id,use,pi\n1,yes,2\n"], &[GOLD], &[]).is_err());
}

#[test]
fn equal_combinations_are_one_pattern() {
    let table = "id,use__a,use__b\n1,yes,no\n2,no,no\n3,yes,no\n";
    let codings = join(&[table], &[], &[]).unwrap();
    let patterns = Patterns::of(&[codings.answers(0, 0), codings.answers(1, 0)], 0..3);
    assert_eq!(patterns.of_row, [0, 1, 0]);
    assert_eq!(patterns.distinct.len(), 2);
}
