//! The corpora of the fuzz targets, replayed as ordinary tests.

use std::fs;
use std::path::Path;

#[path = "../fuzz/check.rs"]
mod check;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut replayed = 0;
    for entry in fs::read_dir(folder).unwrap() {
        check(&fs::read(entry.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed > 0, "the corpus of {target} is empty");
}

#[test]
fn entries() {
    replay("entry", check::any_entry);
}

#[test]
fn growthbook() {
    replay("growthbook", check::any_growthbook);
}
