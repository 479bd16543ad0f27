//! The corpus of the fuzz target, replayed as an ordinary test.

use std::fs;
use std::path::Path;

#[path = "../fuzz/check.rs"]
mod check;

#[test]
fn counts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/counts");
    let mut replayed = 0;
    for entry in fs::read_dir(folder).unwrap() {
        check::any_counts(&fs::read(entry.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed > 0, "the corpus is empty");
}
