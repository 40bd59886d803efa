use super::*;
use crate::corpus::Defect;
use tempfile::TempDir;

const CSV: Format = Format::Csv { delimiter: b',' };

fn row(number: u64, defect: Option<Defect>) -> Row {
    Row { number, line: number + 1, cells: vec![format!("t{number}")], json: None, defect }
}

fn start(columns: &[String]) -> Start<'_> {
    Start { columns, input: &columns[..1], format: CSV, delete_by: None }
}

fn open(places: &Places, resumed: Option<State>) -> PartialSink {
    let columns = ["text".to_owned(), "status".to_owned()];
    PartialSink::open(places, WorkPlan::invented(), resumed, false, start(&columns)).unwrap()
}

fn write(sink: &mut PartialSink, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let defect = (number == 2).then_some(Defect::Ragged { columns: 1, cells: 3 });
        sink.row(&row(number, defect), &[("status", "ok".into())]).unwrap();
    }
}

fn counts(rows: u64) -> Counts {
    Counts { rows, rejected: 1, ..Counts::default() }
}

fn find(places: &Places) -> Work {
    find_work(places, &WorkPlan::invented(), false).unwrap()
}

const WHOLE: &str = "text,status\nt1,ok\nt2,ok\nt3,ok\nt4,ok\n";
const LIST: &str = "row,line,reason,detail\n2,3,ragged_row,3 cells where the header has 1\n";

/// Finished work of which nothing has its name yet.
fn unnamed() -> (TempDir, Places) {
    let folder = tempfile::tempdir().unwrap();
    let places = Places::new(&folder.path().join("o.csv"), None);
    let mut sink = open(&places, None);
    write(&mut sink, 1..5);
    sink.state.finished = true;
    sink.commit(&counts(4)).unwrap();
    drop(sink);
    (folder, places)
}

fn stands_whole(folder: &TempDir, places: &Places) {
    assert_eq!(std::fs::read_to_string(&places.output).unwrap(), WHOLE);
    assert_eq!(std::fs::read_to_string(&places.rejects).unwrap(), LIST);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn what_comes_after_the_last_window_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let places = Places::new(&folder.path().join("o.csv"), None);
    let mut sink = open(&places, None);
    write(&mut sink, 1..3);
    sink.commit(&counts(2)).unwrap();
    write(&mut sink, 3..4);
    sink.coded.sink().flush().unwrap();
    drop(sink);
    let Work::Resumed(state) = find(&places) else { panic!("nothing to resume") };
    assert_eq!(state.counts.rows, 2);
    let mut sink = open(&places, Some(*state));
    write(&mut sink, 3..5);
    sink.commit(&counts(4)).unwrap();
    sink.finish().unwrap();
    stands_whole(&folder, &places);
    assert!(find_work(&places, &WorkPlan::invented(), false).is_err(), "the output stands");
}

#[test]
fn a_kill_between_the_names_is_mended() {
    // Before the first, between the two, and after both.
    for named in 0..3 {
        let (folder, places) = unnamed();
        if named > 0 {
            std::fs::rename(places.list(), &places.rejects).unwrap();
        }
        if named > 1 {
            std::fs::rename(places.part(), &places.output).unwrap();
        }
        let Work::Finished(done) = find(&places) else { panic!("it was finished") };
        assert_eq!(done, counts(4));
        stands_whole(&folder, &places);
    }
}

#[test]
fn a_file_that_came_in_between_is_not_replaced() {
    let (_folder, places) = unnamed();
    std::fs::write(&places.output, "mine").unwrap();
    assert!(find_work(&places, &WorkPlan::invented(), false).is_err());
    assert_eq!(std::fs::read_to_string(&places.output).unwrap(), "mine");
}

/// Work of four rows, of which the second is worth most, with nothing left but to choose one.
fn unchosen() -> (TempDir, Places) {
    let folder = tempfile::tempdir().unwrap();
    let places = Places::new(&folder.path().join("o.csv"), None);
    begun(&places, None).commit(&Counts { rows: 4, ..Counts::default() }).unwrap();
    (folder, places)
}

fn begun(places: &Places, resumed: Option<State>) -> PartialSink {
    let columns = ["text", "status", "reason"].map(String::from);
    let (plan, is_new) = (WorkPlan::invented().with_budget(1), resumed.is_none());
    let mut sink = PartialSink::open(places, plan, resumed, false, start(&columns)).unwrap();
    for number in (1..5).filter(|_| is_new) {
        let cells = [("status", "ok".to_owned()), ("reason", String::new())];
        sink.row(&row(number, None), &cells).unwrap();
        let wrong = if number == 2 { 1.0 } else { 0.5 };
        sink.worth(Some(Worth { wrong, text: number })).unwrap();
    }
    sink
}

#[test]
fn a_kill_while_rows_are_chosen_is_mended() {
    // Before the second pass, within it, and after it but before the names.
    for killed in 0..3 {
        let (folder, places) = unchosen();
        let find = || find_work(&places, &WorkPlan::invented().with_budget(1), false).unwrap();
        let Work::Resumed(state) = find() else { panic!("nothing to resume") };
        match killed {
            1 => std::fs::write(places.chosen(), "text,sta").unwrap(),
            2 => {
                let state = State { finished: true, ..*state.clone() };
                state.write(&places.state()).unwrap();
                std::fs::write(places.chosen(), "text,status,reason\nt2,review,budget\n").unwrap();
            }
            _ => {}
        }
        let counts = match find() {
            Work::Resumed(state) => begun(&places, Some(*state)).finish().unwrap(),
            Work::Finished(counts) => counts,
            Work::Fresh { .. } => panic!("the work is lost"),
        };
        let found = std::fs::read_to_string(&places.output).unwrap();
        assert!(found.contains("t2,review,budget\n"), "{found}");
        if killed < 2 {
            assert_eq!((counts.rows, counts.review), (4, 1));
            assert_eq!(found.matches("ok,\n").count(), 3, "{found}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_part_that_is_too_short_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let places = Places::new(&folder.path().join("o.csv"), None);
    drop(open(&places, None));
    std::fs::write(places.part(), "te").unwrap();
    let Work::Resumed(state) = find(&places) else { panic!("nothing to resume") };
    let columns = ["text".to_owned()];
    let error =
        PartialSink::open(&places, WorkPlan::invented(), Some(*state), false, start(&columns));
    assert_eq!(error.err().map(|e| e.exit_code()), Some(2));
}

#[test]
fn a_stream_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let places = Places::new(&folder.path().join("o.csv"), None);
    let plan = || WorkPlan::invented().with_input(None);
    drop(PartialSink::open(&places, plan(), None, false, start(&["text".to_owned()])).unwrap());
    assert!(matches!(find_work(&places, &plan(), false), Ok(Work::Fresh { .. })));
    let other = find_work(&places, &WorkPlan::invented(), false);
    assert_eq!(other.err().map(|e| e.exit_code()), Some(2));
}

#[test]
fn what_is_to_be_replaced_stands_until_the_new_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let places = Places::new(&folder.path().join("o.csv"), None);
    for old in [&places.output, &places.rejects] {
        std::fs::write(old, "old").unwrap();
    }
    let stands = |path: &Path| std::fs::read_to_string(path).unwrap() == "old";
    let plan = WorkPlan::invented;
    assert!(find_work(&places, &plan(), false).is_err());
    let Ok(Work::Fresh { replaces }) = find_work(&places, &plan(), true) else {
        panic!("in the way")
    };
    let columns = ["text".to_owned(), "status".to_owned()];
    let mut sink = PartialSink::open(&places, plan(), None, replaces, start(&columns)).unwrap();
    write(&mut sink, 3..5);
    sink.commit(&Counts { rows: 2, ..Counts::default() }).unwrap();
    drop(sink);
    assert!(stands(&places.output) && stands(&places.rejects));
    // It goes on without --force, too, but nothing else does.
    assert!(find_work(&places, &plan().with_input(Some("y")), false).is_err());
    let Work::Resumed(state) = find(&places) else { panic!("nothing to resume") };
    let sink = PartialSink::open(&places, plan(), Some(*state), false, start(&columns)).unwrap();
    sink.finish().unwrap();
    assert_eq!(std::fs::read_to_string(&places.output).unwrap(), "text,status\nt3,ok\nt4,ok\n");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no row was rejected");
}
