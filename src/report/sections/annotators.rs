//! The alternative annotator test: whether a coder could stand in for one of the people.

use crate::evaluation::alternative_annotators::AlternativeAnnotators;
use crate::report::sheet::{Cell, Kind, Sheet};

/// One coder's result in one tier: the tier, the coder, the test.
pub type Tested<'a> = (&'a str, &'a str, AlternativeAnnotators);

/// The test person by person and as a whole; nothing where nobody was tested.
pub fn annotator_sheets(results: &[Tested], suffix: &str, sources: &[&str]) -> Vec<Sheet> {
    let Some((_, _, first)) = results.first() else { return Vec::new() };
    let test =
        format!("Alternative annotator test (Calderon et al. 2025), epsilon {}", first.epsilon);
    let columns = [
        ("tier", Kind::Text),
        ("coder", Kind::Text),
        ("in place of", Kind::Text),
        ("n", Kind::Figure),
        ("advantage", Kind::Figure),
        ("the person's", Kind::Figure),
        ("p (BY)", Kind::Figure),
        ("remark", Kind::Text),
    ];
    let name = format!("annotators{suffix}");
    let mut people = Sheet::new(name, format!("{test}: person by person"), &columns, sources);
    let columns = [
        ("tier", Kind::Text),
        ("coder", Kind::Text),
        ("winning rate", Kind::Figure),
        ("mean advantage", Kind::Figure),
        ("remark", Kind::Text),
    ];
    let name = format!("annotators-overall{suffix}");
    let mut overall = Sheet::new(name, format!("{test}: all people"), &columns, sources);
    for (tier, coder, result) in results {
        for human in &result.humans {
            people.rows.push(vec![
                Cell::text(*tier),
                Cell::text(*coder),
                Cell::text(human.name.as_str()),
                Cell::count(Some(human.n as f64)),
                Cell::figure(human.advantage),
                Cell::figure(human.human_advantage),
                Cell::p(human.p_adjusted),
                Cell::text(if human.rejected { "wins" } else { "" }),
            ]);
        }
        let verdict = match result.winning_rate {
            None => "not tested: too few rows",
            Some(_) if result.passes => "can stand in for a person",
            Some(_) => "",
        };
        overall.rows.push(vec![
            Cell::text(*tier),
            Cell::text(*coder),
            Cell::figure(result.winning_rate),
            Cell::figure(result.mean_advantage),
            Cell::text(verdict),
        ]);
    }
    vec![people, overall]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::alternative_annotators::InPlaceOf;

    #[test]
    fn a_person_of_too_few_rows_is_not_tested() {
        let ana = InPlaceOf {
            name: "ana".into(),
            n: 12,
            advantage: Some(0.75),
            human_advantage: Some(0.5),
            p: None,
            p_adjusted: None,
            rejected: false,
        };
        let result = AlternativeAnnotators {
            epsilon: 0.2,
            humans: vec![ana],
            winning_rate: None,
            mean_advantage: Some(0.75),
            passes: false,
        };
        let sheets = annotator_sheets(&[("use", "bot", result)], "", &[]);
        let shown: Vec<Vec<String>> =
            sheets.iter().map(|sheet| sheet.rows[0].iter().map(Cell::shown).collect()).collect();
        assert_eq!(shown[0], ["use", "bot", "ana", "12", "0.750", "0.500", "–", ""]);
        assert_eq!(shown[1], ["use", "bot", "–", "0.750", "not tested: too few rows"]);
        assert!(annotator_sheets(&[], "", &[]).is_empty());
    }
}
