//! The fuzz targets' corpora, replayed as an ordinary test.

use std::{fs, path::Path};

#[path = "../fuzz/check.rs"]
mod check;

fn replay(target: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut replayed = 0;
    for entry in fs::read_dir(folder).unwrap() {
        check(&fs::read(entry.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed > 0, "the corpus of {target} is empty");
}

#[test]
fn corpora_hold() {
    replay("head", check::any_head);
    replay("chunked", check::any_chunked);
    replay("proxy_protocol", check::any_proxy_protocol);
    replay("target", check::any_target);
}
