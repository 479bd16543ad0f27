//! `tidegate logs`: what goes in, what comes out.

mod follow;
mod goaccess;
mod inputs;
mod outputs;
mod questions;
mod round_trip;
mod rules;
mod state;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::command::{Ran, tidegate};

/// A line of the combined format.
fn line(client: &str, second: u32, target: &str, status: u16, agent: &str) -> String {
    let (minute, second) = (second / 60 % 60, second % 60);
    format!(
        "{client} - - [10/Oct/2026:13:{minute:02}:{second:02} +0200] \"GET {target} HTTP/1.1\" {status} 100 \"-\" \"{agent}\"\n"
    )
}

/// So many lines, each with its own path.
fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|n| line("192.0.2.7", n, &format!("/page/{n}.html"), 200, "curl/8.5")).collect()
}

fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Runs `tidegate logs … --json -`; what it wrote, and the rest of it.
fn logs(args: &[&str]) -> (Value, Ran) {
    let ran = tidegate(&[&["logs", "--json", "-"], args].concat());
    let json = serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", ran.stdout, ran.stderr));
    (json, ran)
}

/// The same for one that must go well.
fn report(args: &[&str]) -> Value {
    let (json, ran) = logs(args);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    json
}

/// Lines read, parsed and rejected, which must balance.
fn totals(report: &Value) -> [u64; 3] {
    let [read, parsed, rejected] =
        ["read", "parsed", "rejected"].map(|name| report["totals"][name].as_u64().unwrap());
    assert_eq!(read, parsed + rejected, "{}", report["totals"]);
    [read, parsed, rejected]
}

/// Keys and hits of a panel.
fn rows(report: &Value, panel: &str) -> Vec<(String, u64)> {
    let rows = report["panels"][panel].as_array().unwrap_or_else(|| panic!("no panel {panel}"));
    rows.iter()
        .map(|row| (row["key"].as_str().unwrap().to_owned(), row["hits"].as_u64().unwrap()))
        .collect()
}

/// The same, to be compared with what a test expects.
fn expect_rows(report: &Value, panel: &str, expected: &[(&str, u64)]) {
    let rows = rows(report, panel);
    let rows: Vec<(&str, u64)> = rows.iter().map(|(key, hits)| (key.as_str(), *hits)).collect();
    assert_eq!(rows, expected, "{panel}");
}
