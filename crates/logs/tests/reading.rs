//! Opening and reading: plain, gzip, mixed, damaged.

use flate2::{Compression, write::GzEncoder};
use logs::{Format, LogReader, RejectReason, open};
use std::{
    error::Error,
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
};
use tempfile::TempDir;

const COMMON: &str = r#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.1" 200 10"#;
const COMBINED: &str =
    r#"192.0.2.8 - - [10/Oct/2000:13:55:37 -0700] "GET /b HTTP/1.1" 404 20 "-" "curl/8.5""#;

fn file(folder: &TempDir, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    path
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Targets of the hits, in order.
fn targets<R: Read>(reader: &mut LogReader<R>) -> Vec<String> {
    let mut targets = Vec::new();
    reader
        .for_each(|line| {
            if let Ok(hit) = line {
                targets.push(String::from_utf8(hit.target.to_vec()).unwrap());
            }
        })
        .unwrap();
    targets
}

#[test]
fn formats_mix_and_rejects_are_told_with_line_and_number() {
    let text = format!("{COMMON}\r\n{COMBINED}\n\nnonsense\n\u{0}\u{1}\u{2}\n{COMMON}");
    let mut reader = LogReader::new("mixed", text.as_bytes());
    let mut rejects = Vec::new();
    reader
        .for_each(|line| {
            if let Err(reject) = line {
                rejects.push((reject.offset, reject.reason, reject.line.to_vec()));
            }
        })
        .unwrap();
    let at = |what: &str| text.find(what).unwrap() as u64;
    assert_eq!(
        rejects,
        [
            (at("\n\n") + 1, RejectReason::EmptyLine, b"".to_vec()),
            (at("nonsense"), RejectReason::NotAccessLog, b"nonsense".to_vec()),
            (at("\0"), RejectReason::NotAccessLog, b"\0\x01\x02".to_vec()),
        ]
    );
    let counts = reader.counts();
    assert_eq!((counts.read, counts.parsed, counts.rejected()), (6, 3, 3));
    assert!(counts.formats().eq([(Format::Combined, 1), (Format::Common, 2)]));
    assert!(counts.reasons().eq([(RejectReason::EmptyLine, 1), (RejectReason::NotAccessLog, 2)]));
}

#[test]
fn plain_and_gzip_are_told_by_content() {
    let folder = TempDir::new().unwrap();
    let one = format!("{COMMON}\n{COMBINED}\n");
    // A line that begins in one member and ends in the next.
    let (first, second) = one.split_at(30);
    let members = [gzip(first), gzip(second), gzip(&one)].concat();
    for (name, content, expected) in [
        ("plain.gz", one.clone().into_bytes(), &["/a", "/b"][..]),
        ("gzip.log", gzip(&one), &["/a", "/b"]),
        ("members.log", members, &["/a", "/b", "/a", "/b"]),
        ("empty.log", Vec::new(), &[]),
        ("empty.gz", gzip(""), &[]),
    ] {
        let mut reader = open(&file(&folder, name, &content)).unwrap();
        assert_eq!(targets(&mut reader), expected, "{name}");
        assert!(reader.origin().ends_with(name));
    }
    // One byte is too little to tell, and must not be lost.
    let mut reader = open(&file(&folder, "byte", b"\x1f")).unwrap();
    reader.for_each(|_| {}).unwrap();
    assert_eq!((reader.counts().read, reader.counts().rejected()), (1, 1));
}

#[test]
fn a_damaged_gzip_keeps_what_was_read() {
    let folder = TempDir::new().unwrap();
    // Lines that differ, so that every part of the compressed file carries some of them.
    let text: String = (0..5000_u32)
        .map(|i| COMMON.replace("/a", &format!("/{}", i.wrapping_mul(2_654_435_761))) + "\n")
        .collect();
    let whole = gzip(&text);
    let half = whole.len() / 2;
    let mut corrupt = whole.clone();
    corrupt[half..half + 64].fill(0xff);
    let mut tail = whole.clone();
    tail.extend_from_slice(b"not a gzip member");
    for (name, content) in [
        ("truncated", &whole[..half]),
        ("corrupt", &corrupt),
        ("header only", &whole[..4]),
        ("garbage after it", &tail),
    ] {
        let mut reader = open(&file(&folder, name, content)).unwrap();
        let error = reader.for_each(|_| {}).unwrap_err();
        let counts = *reader.counts();
        assert_eq!(error.line, counts.read, "{name}");
        assert!(error.to_string().contains(name), "{error}");
        assert!(error.source().is_some());
        assert_eq!(counts.read, counts.parsed + counts.rejected(), "{name}");
        // Afterwards the log has ended.
        assert!(matches!(reader.next_line(), Ok(None)), "{name}");
        match name {
            "header only" => assert_eq!(counts.read, 0),
            "garbage after it" => assert_eq!((counts.parsed, counts.rejected()), (5000, 0)),
            // Up to the damage, which lies in the middle, every line is there.
            _ => assert!((1000..5000).contains(&counts.parsed), "{name}: {counts:?}"),
        }
        if name == "truncated" {
            // The cut falls inside a line, which must not pass for a whole one.
            assert!(counts.reasons().eq([(RejectReason::CutOff, 1)]), "{counts:?}");
        }
    }
}

#[test]
fn what_cannot_be_opened_is_an_error() {
    let folder = TempDir::new().unwrap();
    for path in [folder.path(), &folder.path().join("missing.log"), Path::new("")] {
        let Err(error) = open(path) else { panic!("opened {}", path.display()) };
        assert_eq!(error.path, path);
        assert!(error.to_string().starts_with("cannot open the log "), "{error}");
    }
}
