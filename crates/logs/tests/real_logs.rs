//! Real logs, where the folder with sample data lies beside the repository.

use logs::{
    Counts, Format, Options, Record, Reject, RejectReason, Sink, detect, open, scan, sources,
};
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The folder, or `None` with a notice when this machine has no sample data.
fn samples() -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/logs"));
    if folder.is_dir() {
        return Some(folder);
    }
    // Straight to standard error: the test harness hides what `eprintln!` prints.
    let notice = format!("NOT TESTED: no sample logs at {}\n", folder.display());
    io::stderr().write_all(notice.as_bytes()).unwrap();
    None
}

/// Counts of the file, and its hits by class of status (index 2 = 2xx).
fn read(path: &Path) -> (Counts, [u64; 10]) {
    let mut classes = [0; 10];
    let mut reader = open(path).unwrap();
    reader
        .for_each(|line| {
            if let Ok(hit) = line {
                classes[usize::from(hit.status / 100)] += 1;
            }
        })
        .unwrap();
    let counts = *reader.counts();
    assert_eq!(counts.read, counts.parsed + counts.rejected(), "{}", path.display());
    (counts, classes)
}

#[test]
fn apache_combined() {
    let Some(folder) = samples() else { return };
    let path = folder.join("elastic-examples/apache_logs.combined.log");
    let (counts, classes) = read(&path);
    assert_eq!((counts.read, counts.parsed), (10_000, 10_000));
    assert_eq!(counts.parsed_as(Format::Combined), 10_000);
    assert_eq!(classes[2..=5], [9_171, 609, 217, 3]);
    assert_eq!(detect(&fs::read(&path).unwrap()[..64 * 1024]), Some(Format::Combined));
}

#[test]
fn nasa_common() {
    let Some(folder) = samples() else { return };
    let path = folder.join("hurence-nasa/nasa_jul95_first4000.log");
    let (counts, classes) = read(&path);
    assert_eq!((counts.read, counts.parsed), (4_000, 4_000));
    assert_eq!(counts.parsed_as(Format::Common), 4_000);
    assert_eq!(classes[2..=5], [3_566, 409, 25, 0]);
    assert_eq!(detect(&fs::read(&path).unwrap()[..64 * 1024]), Some(Format::Common));

    let mut reader = open(&path).unwrap();
    let (mut without_protocol, mut first_us, mut last_us) = (0, i64::MAX, i64::MIN);
    reader
        .for_each(|line| {
            let hit = line.unwrap();
            without_protocol += u64::from(hit.protocol.is_none());
            first_us = first_us.min(hit.start_us);
            last_us = last_us.max(hit.start_us);
        })
        .unwrap();
    assert_eq!(without_protocol, 11);
    // 1 July 1995, 00:00:01 −0400, and the hours after it.
    assert_eq!(first_us, 804_571_201_000_000);
    assert!((1..24 * 3600 * 1_000_000).contains(&(last_us - first_us)));
}

#[test]
fn tomcat_with_torn_lines() {
    let Some(folder) = samples() else { return };
    let (mut lines, mut parsed, mut torn, mut all_classes) = (0, 0, 0, [0; 10]);
    for number in 1..=9 {
        let (counts, classes) =
            read(&folder.join(format!("erddaplogs/tomcat-access.log.{number}")));
        lines += counts.read;
        parsed += counts.parsed_as(Format::Combined);
        torn += counts.rejected_for(RejectReason::NotAccessLog);
        all_classes.iter_mut().zip(classes).for_each(|(all, class)| *all += class);
    }
    assert_eq!((lines, parsed, torn), (16_275, 10_479, 5_796));
    assert_eq!(all_classes[2..=5], [9_472, 105, 902, 0]);
}

/// Every file: its format and what became of its lines, as stored in `data_expectations.csv`.
#[test]
fn every_file_is_read_as_expected() {
    let Some(folder) = samples() else { return };
    struct Nothing;
    impl Sink for Nothing {
        fn record(&mut self, _: &Record<'_>) {}
        fn reject(&mut self, _: &Reject<'_>) {}
    }
    let mut table = String::from("file,format,read,parsed,rejected,directives\n");
    let mut names: Vec<_> = ["elastic-examples", "erddaplogs", "hurence-nasa", "lnav"]
        .into_iter()
        .flat_map(|part| fs::read_dir(folder.join(part)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            !path.file_name().is_some_and(|name| name.to_string_lossy().contains("LICENSE"))
        })
        .collect();
    names.sort();
    for path in names {
        let options = Options { jobs: 2, block_bytes: 10_000, ..Options::default() };
        let sources = sources(std::slice::from_ref(&path), &options, &[]).unwrap();
        let counts = scan(&sources, &options, || Nothing).counts;
        assert_eq!(counts.read, counts.parsed + counts.rejected(), "{}", path.display());
        let formats: Vec<_> = counts.formats().map(|(format, _)| format.name()).collect();
        let name = path.strip_prefix(&folder).unwrap().display();
        let (read, parsed, rejected) = (counts.read, counts.parsed, counts.rejected());
        let format = formats.join("+");
        table += &format!("{name},{format},{read},{parsed},{rejected},{}\n", counts.directives);
    }
    assert_eq!(table, include_str!("data_expectations.csv"));
}
