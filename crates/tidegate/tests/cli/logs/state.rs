//! `--state`: what was read once counts once.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use super::{gzip, lines, logs, report, totals, write};
use crate::command::{path, tidegate};

struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        Site { folder }
    }

    fn state(&self) -> std::path::PathBuf {
        self.folder.path().join("state")
    }

    fn log(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("logs").join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.log(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Reads all logs; lines read, parsed and rejected so far.
    fn read(&self) -> [u64; 3] {
        totals(&report(&[path(&self.folder.path().join("logs")), "--state", path(&self.state())]))
    }
}

#[test]
fn rotation_and_compression_change_nothing() {
    let site = Site::new();
    site.append("access.log", &(lines(0..100) + "broken\n"));
    assert_eq!(site.read(), [101, 100, 1]);
    assert_eq!(site.read(), [101, 100, 1]);
    // It grows, in the middle of a line.
    let more = lines(100..150);
    let (begin, end) = more.split_at(more.len() - 30);
    site.append("access.log", begin);
    assert_eq!(site.read(), [150, 149, 1]);
    site.append("access.log", end);
    assert_eq!(site.read(), [151, 150, 1]);
    // Renamed, with a last line, and a new one in its place.
    fs::rename(site.log("access.log"), site.log("access.log.1")).unwrap();
    site.append("access.log.1", &lines(150..151));
    site.append("access.log", &lines(200..210));
    assert_eq!(site.read(), [162, 161, 1]);
    // Compressed: half done beside the original, done, and the original gone.
    let whole = gzip(&fs::read_to_string(site.log("access.log.1")).unwrap());
    fs::write(site.log("access.log.2.gz"), &whole[..whole.len() / 2]).unwrap();
    assert_eq!(site.read(), [162, 161, 1]);
    fs::write(site.log("access.log.2.gz"), &whole).unwrap();
    assert_eq!(site.read(), [162, 161, 1]);
    fs::remove_file(site.log("access.log.1")).unwrap();
    assert_eq!(site.read(), [162, 161, 1]);
    // Without files it tells what it has, with conditions of its own.
    let state = site.state();
    let kept = report(&["--state", path(&state), "--where", "path~^/page/20"]);
    assert_eq!((totals(&kept), &kept["totals"]["requests"]), ([162, 161, 1], &11.into()));
    // Once deleted, a log is remembered all the same.
    fs::remove_file(site.log("access.log.2.gz")).unwrap();
    assert_eq!(site.read(), [162, 161, 1]);
}

#[test]
fn logs_that_begin_alike_are_told_apart_when_they_have_grown() {
    let site = Site::new();
    let head = "#Fields: date time cs-uri-stem\n";
    let row = |n: u32| format!("2026-10-10 13:{:02}:{:02} /{n}\n", n / 60 % 60, n % 60);
    let table = |numbers: std::ops::Range<u32>| numbers.map(row).collect::<String>();
    site.append("a.log", head);
    assert_eq!(site.read(), [0, 0, 0]);
    site.append("a.log", &table(0..500));
    assert_eq!(site.read(), [500, 500, 0]);
    site.append("b.log", head);
    assert_eq!(site.read(), [500, 500, 0]);
    site.append("b.log", &table(1000..1900));
    assert_eq!(site.read(), [1400, 1400, 0]);
    assert_eq!(site.read(), [1400, 1400, 0]);
}

#[test]
fn logs_that_begin_alike_for_long_are_read_both() {
    let site = Site::new();
    let same = lines(0..60);
    assert!(same.len() > 4096);
    site.append("v1.log", &(same.clone() + &lines(100..101)));
    site.append("v2.log", &(same + &lines(200..203)));
    assert_eq!(site.read(), [124, 124, 0]);
    assert_eq!(site.read(), [124, 124, 0]);
    site.append("v1.log", &lines(300..304));
    assert_eq!(site.read(), [128, 128, 0]);
    // Rotated: each is found again.
    fs::rename(site.log("v1.log"), site.log("v3.log")).unwrap();
    assert_eq!(site.read(), [128, 128, 0]);
    // A copy of one, and one that is not whole yet.
    fs::copy(site.log("v2.log"), site.log("v4.log")).unwrap();
    assert_eq!(site.read(), [128, 128, 0]);
}

#[test]
fn a_short_log_that_another_begins_with_keeps_its_place() {
    let site = Site::new();
    site.append("s1.log", &lines(0..1));
    assert_eq!(site.read(), [1, 1, 0]);
    site.append("s2.log", &lines(0..4));
    assert_eq!(site.read(), [5, 5, 0]);
    assert_eq!(site.read(), [5, 5, 0]);
}

#[test]
fn another_format_reads_everything_anew() {
    let site = Site::new();
    let log = write(&site.folder.path().join("logs"), "c.log", "200|192.0.2.7|971211336.5\n");
    let state = site.state();
    assert_eq!(site.read(), [1, 0, 1]);
    let layout = ["--log-format", "$status|$remote_addr|$msec"];
    let anew = || {
        let ran = logs(&[&[path(&log), "--state", path(&state)], &layout[..]].concat());
        (totals(&ran.0), ran.1.stderr)
    };
    assert_eq!(anew(), ([1, 1, 0], String::new()));
    assert_eq!(anew().0, [1, 1, 0]);
    // One that is gone cannot be read anew.
    fs::rename(&log, site.folder.path().join("gone")).unwrap();
    site.append("d.log", "200|192.0.2.7|971211337.5\n");
    let (report, ran) = logs(&[path(&site.log("d.log")), "--state", path(&state)]);
    assert_eq!(totals(&report), [2, 1, 1]);
    assert!(ran.stderr.contains("another --log-format or --zone"), "{}", ran.stderr);
}

#[test]
fn a_damaged_log_is_completed_when_it_is_whole() {
    let site = Site::new();
    let whole = gzip(&lines(0..20_000));
    fs::write(site.log("access.log.gz"), &whole[..whole.len() / 2]).unwrap();
    let state = site.state();
    let read = || logs(&[path(&site.log("access.log.gz")), "--state", path(&state)]);
    let (first, ran) = read();
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("access.log.gz"), "{}", ran.stderr);
    let [_, parsed, rejected] = totals(&first);
    assert!(parsed > 1000 && rejected == 0, "{}", first["totals"]);
    let (again, ran) = read();
    assert_eq!((ran.code, totals(&again)), (3, totals(&first)));
    fs::write(site.log("access.log.gz"), &whole).unwrap();
    assert_eq!(site.read(), [20_000, 20_000, 0]);
}

#[test]
fn what_an_interrupted_reading_left_does_not_count() {
    let site = Site::new();
    site.append("access.log", &lines(0..10));
    assert_eq!(site.read(), [10, 10, 0]);
    let state = site.state();
    let archive = state.join("000001.records");
    // Written whole, or half, but never named in the list; and a list that was not put in place.
    fs::copy(&archive, state.join("000002.records")).unwrap();
    write(&state, "000003.records", &fs::read(&archive).unwrap()[..20]);
    write(&state, "state.json.new", "{");
    site.append("access.log", &lines(10..15));
    assert_eq!(site.read(), [15, 15, 0]);
    assert!(!state.join("000003.records").exists());
    // What is named must be there, and whole.
    write(&state, "000001.records", &fs::read(&archive).unwrap()[..20]);
    let ran = tidegate(&["logs", "--state", path(&state)]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("000001.records"), "{}", ran.stderr);
    write(&state, "state.json", "{}");
    let ran = tidegate(&["logs", "--state", path(&state)]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("state.json"), "{}", ran.stderr);
}

#[test]
fn only_one_may_work_on_a_state() {
    let site = Site::new();
    site.append("access.log", &lines(0..10));
    assert_eq!(site.read(), [10, 10, 0]);
    let lock = File::open(site.state().join("lock")).unwrap();
    lock.lock().unwrap();
    let ran = tidegate(&["logs", path(&site.log("access.log")), "--state", path(&site.state())]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("another tidegate"), "{}", ran.stderr);
    drop(lock);
    assert_eq!(site.read(), [10, 10, 0]);
}

#[test]
fn rejected_lines_and_shortened_addresses_are_those_of_the_reading() {
    let site = Site::new();
    site.append("access.log", &(lines(0..10) + "broken\n"));
    let (state, log) = (site.state(), site.log("access.log"));
    let kept = site.folder.path().join("rejected.txt");
    let read = |more: &[&str]| report(&[&[path(&log), "--state", path(&state)], more].concat());
    read(&["--rejected", path(&kept)]);
    assert!(fs::read_to_string(&kept).unwrap().ends_with("\tbroken\n"));
    site.append("access.log", &lines(10..12).replace("192.0.2.7", "198.51.100.9"));
    read(&["--anonymise"]);
    let all = read(&["--rejected", path(&kept)]);
    assert!(fs::read_to_string(&kept).unwrap().is_empty(), "nothing new was rejected");
    super::expect_rows(&all, "client", &[("192.0.2.7", 10), ("198.51.100.0", 2)]);
    assert!(!holds(&state, b"198.51.100.9"));
}

/// Whether a file of the folder holds these bytes once unpacked by tidegate itself: as Parquet.
fn holds(state: &Path, text: &[u8]) -> bool {
    let report = report(&["--state", path(state)]).to_string();
    report.as_bytes().windows(text.len()).any(|window| window == text)
}
