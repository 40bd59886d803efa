//! The bundle that the program brings along.

use crate::harness::Folder;

const COMMENTS: &str = "id,text\n1,i told chatgpt everything last night and slept well\n\
                        2,what song is this\n3,please do not trust a robot with your trauma\n";

#[test]
fn the_shipped_bundle_codes_at_once_and_says_what_it_rests_on() {
    let folder = Folder::new();
    folder.file("comments.csv", COMMENTS);
    folder
        .run(&["classify", "study", "comments.csv", "-o", "coded.csv"])
        .exits(0)
        .says(&["written comments"])
        .keeps_quiet_about("trauma");
    let coded = folder.read("coded.csv");
    let codes: Vec<&str> =
        coded.lines().skip(1).map(|line| line.split(',').nth(2).unwrap()).collect();
    assert_eq!(codes, ["personal_use", "off_topic", "no_personal_use"]);
}

#[test]
fn a_folder_of_that_name_comes_first() {
    let folder = Folder::new();
    folder.file("comments.csv", COMMENTS);
    std::fs::create_dir(folder.path("study")).unwrap();
    folder.run(&["classify", "study", "comments.csv", "-o", "coded.csv"]).exits(4).says(&["lacks"]);
    folder
        .run(&["classify", "absent", "comments.csv", "-o", "coded.csv"])
        .exits(4)
        .says(&["study"]);
}
