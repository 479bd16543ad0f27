//! Real logs, where the folder with sample data lies beside the repository.

use logs::{Counts, Format, RejectReason, detect, open};
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

#[test]
fn lnav_collection() {
    let Some(folder) = samples().map(|folder| folder.join("lnav")) else { return };
    for (name, lines, hits) in [
        ("logfile_access_log.0", 3, 3),
        ("logfile_access_log.1", 1, 0),
        ("logfile_bad_access_log.0", 3, 2),
        ("logfile_shop_access_log.0", 1_000, 1_000),
        ("playground_access_log.gz", 2_492, 2_492),
        // Formats of other families: every line is a reject, none passes for a hit.
        ("logfile_bro_http.log.0", 206, 0),
        ("logfile_caddy_log.0", 39, 0),
        ("logfile_cloudflare.1", 15, 0),
        ("logfile_haproxy.0", 17, 0),
        ("logfile_logfmt.0", 5, 0),
        ("logfile_uwsgi.0", 19, 0),
        ("logfile_w3c.2", 22, 0),
        ("logfile_w3c_big.0", 254, 0),
    ] {
        let (counts, _) = read(&folder.join(name));
        assert_eq!((counts.read, counts.parsed), (lines, hits), "{name}");
        assert_eq!(counts.parsed_as(Format::Combined), hits, "{name}");
    }
    let (counts, _) = read(&folder.join("logfile_access_log.1"));
    assert_eq!(counts.rejected_for(RejectReason::NoRequest), 1);
}
