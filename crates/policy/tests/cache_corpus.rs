//! The corpora of the cache's fuzz targets, replayed as ordinary tests, and the same laws for
//! what is nearly a message.

use std::{fs, path::Path};

use proptest::{collection::vec, prelude::*, sample::select};

#[path = "../fuzz/cache_check.rs"]
mod cache_check;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut replayed = 0;
    for entry in fs::read_dir(folder).unwrap() {
        check(&fs::read(entry.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed > 0, "the corpus is empty");
}

#[test]
fn directives_corpus_holds() {
    replay("cache_control", cache_check::any_directives);
}

#[test]
fn exchanges_corpus_holds() {
    replay("cache_decision", cache_check::any_exchange);
}

const DIRECTIVES: [&str; 22] = [
    "max-age",
    "s-maxage",
    "no-store",
    "no-cache",
    "private",
    "public",
    "must-revalidate",
    "must-understand",
    "stale-if-error",
    "max-stale",
    "min-fresh",
    "=",
    "=",
    "60",
    "0",
    "\"",
    "\\",
    ", ",
    ",",
    " ",
    "a",
    "(",
];

fn line() -> impl Strategy<Value = String> {
    let names = select(vec![
        "Cache-Control",
        "CDN-Cache-Control",
        "Authorization",
        "Cookie",
        "Set-Cookie",
        "Vary",
        "Expires",
        "Date",
        "Age",
        "ETag",
        "Last-Modified",
        "Range",
        "If-Range",
        "Location",
        "Connection",
        "Content-Length",
        "X",
    ]);
    let dates = select(vec![
        "Wed, 01 Jan 2020 00:00:00 GMT",
        "Tue, 14 Nov 2023 22:13:20 GMT",
        "0",
        "*",
        "\"e\"",
        "bytes=1-",
        "http://a.test/x",
    ])
    .prop_map(str::to_owned);
    let directives = vec(select(DIRECTIVES.to_vec()), 0..8).prop_map(|parts| parts.concat());
    (names, prop_oneof![dates, directives]).prop_map(|(name, value)| format!("{name}: {value}\n"))
}

proptest! {
    #[test]
    fn any_directives_hold(parts in vec(select(DIRECTIVES.to_vec()), 0..12), bytes: Vec<u8>) {
        cache_check::any_directives(parts.concat().as_bytes());
        cache_check::any_directives(&bytes);
    }

    #[test]
    fn any_exchange_holds(
        status in select(vec!["200", "206", "304", "404", "503", "599"]),
        request in vec(line(), 0..4),
        response in vec(line(), 0..6),
    ) {
        let message = format!("GET\n{status}\n{}\n{}", request.concat(), response.concat());
        cache_check::any_exchange(message.as_bytes());
    }
}
