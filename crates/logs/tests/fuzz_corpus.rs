//! The fuzz target's corpus, replayed as an ordinary test.

use std::{fs, path::Path};

#[path = "../fuzz/check.rs"]
mod check;

#[test]
fn corpus_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/parse_line");
    let mut replayed = 0;
    for entry in fs::read_dir(folder).unwrap() {
        check::any_log(&fs::read(entry.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed > 0, "the corpus is empty");
}
