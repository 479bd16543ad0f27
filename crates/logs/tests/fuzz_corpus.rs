//! The fuzz target's corpus, replayed as an ordinary test.

use std::{fs, path::Path};

#[path = "../fuzz/check.rs"]
#[allow(dead_code, reason = "shared with the fuzz targets")]
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
fn lines() {
    replay("parse_line", check::any_log);
}

#[test]
fn layouts() {
    replay("parse_layout", check::any_layout);
}
