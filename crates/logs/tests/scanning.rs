//! Many sources, threads, blocks, compressions; going on where a reading stopped; following.

use flate2::{Compression, write::GzEncoder};
use logs::{
    Follower, Options, Outcome, Position, Record, Reject, RejectReason, Scan, Sink, Source, scan,
    sources,
};
use proptest::{collection::vec, prelude::*, sample::select};
use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};
use tempfile::TempDir;

#[path = "../fuzz/check.rs"]
#[allow(dead_code, reason = "shared with the fuzz targets")]
mod check;

/// Targets of the records and lines of the rejects.
#[derive(Default)]
struct Seen {
    targets: Vec<String>,
    rejects: Vec<(usize, u64, RejectReason, Vec<u8>)>,
}

impl Sink for Seen {
    fn record(&mut self, record: &Record<'_>) {
        let target = record.target.unwrap_or_default();
        self.targets.push(String::from_utf8_lossy(target).into_owned());
    }

    fn reject(&mut self, reject: &Reject<'_>) {
        let line = reject.line.to_vec();
        self.rejects.push((reject.source, reject.offset, reject.reason, line));
    }
}

fn line(second: u32, target: &str) -> String {
    format!(
        "192.0.2.7 - - [10/Oct/2000:13:55:{second:02} -0700] \"GET /{target} HTTP/1.1\" 200 1 \"-\" \"x\"\n"
    )
}

fn lines(seconds: std::ops::Range<u32>) -> String {
    seconds.map(|second| line(second % 60, &second.to_string())).collect()
}

fn options() -> Options {
    Options { jobs: 2, block_bytes: 64, ..Options::default() }
}

fn all(scan: &Scan<Seen>) -> Vec<&str> {
    let mut all: Vec<_> =
        scan.sinks.iter().flat_map(|sink| &sink.targets).map(String::as_str).collect();
    all.sort_unstable();
    all
}

fn names(sources: &[Source]) -> Vec<String> {
    let name = |source: &Source| source.name().rsplit('/').next().unwrap().to_owned();
    sources.iter().map(name).collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(text: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn xz(text: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::XzOptions::with_preset(1);
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    writer.write_all(text).unwrap();
    writer.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(text, 1).unwrap()
}

#[test]
fn rotated_sets_come_in_the_order_of_their_content() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("a.log"), lines(30..40)).unwrap();
    fs::write(path("a.log.1"), zstd(lines(20..30).as_bytes())).unwrap();
    fs::write(
        path("a.log.2.gz"),
        [gzip(lines(10..15).as_bytes()), gzip(lines(15..20).as_bytes())].concat(),
    )
    .unwrap();
    fs::write(path("a.log.3"), xz(lines(5..10).as_bytes())).unwrap();
    fs::write(path("zz"), bzip2(lines(0..5).as_bytes())).unwrap();
    fs::write(path("empty"), "").unwrap();
    std::os::unix::fs::symlink(path("a.log"), path("link")).unwrap();
    fs::hard_link(path("zz"), path("y")).unwrap();
    let given = [folder.path().to_path_buf(), path("a.log"), path("*.gz")];
    let found = sources(&given, &options(), &[]).unwrap();
    assert_eq!(names(&found), ["y", "a.log.3", "a.log.2.gz", "a.log.1", "a.log", "empty"]);
    let done = scan(&found, &options(), Seen::default);
    assert_eq!((done.counts.read, done.counts.parsed), (40, 40));
    let mut expected: Vec<_> = (0..40).map(|second| format!("/{second}")).collect();
    expected.sort_unstable();
    assert_eq!(all(&done), expected);
    assert_eq!(found[0].first_us, Some(971_211_300_000_000));

    for missing in ["nothing", "*.none", "[", "a.log/x"] {
        assert!(sources(&[path(missing)], &options(), &[]).is_err(), "{missing}");
    }
}

#[test]
fn a_file_that_must_not_be_read_does_not_stop_the_others() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["mine", "theirs"] {
        fs::write(path(name), lines(0..10)).unwrap();
    }
    fs::set_permissions(path("theirs"), std::os::unix::fs::PermissionsExt::from_mode(0o000))
        .unwrap();
    if fs::File::open(path("theirs")).is_ok() {
        println!("NOT TESTED: root may read everything");
        return;
    }
    let found = sources(&[folder.path().to_path_buf()], &options(), &[]).unwrap();
    let done = scan(&found, &options(), Seen::default);
    assert_eq!(done.counts.parsed, 10);
    let failures: Vec<_> =
        done.outcomes.iter().filter_map(|outcome| outcome.failure.as_ref()).collect();
    assert_eq!(failures.len(), 1);
    assert!(failures[0].to_string().contains("check its permissions"), "{}", failures[0]);
    assert!(sources(&[path("theirs")], &options(), &[]).is_err());
}

#[test]
fn a_source_that_fails_does_not_stop_the_others() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let whole = gzip(lines(0..3000).as_bytes());
    fs::write(path("cut.gz"), &whole[..whole.len() / 2]).unwrap();
    fs::write(path("good"), lines(0..10)).unwrap();
    let found = sources(&[path("cut.gz"), path("good")], &options(), &[]).unwrap();
    fs::remove_file(path("good")).unwrap();
    let gone = Source::memory("memory", lines(0..10).into_bytes());
    let found = [found, vec![gone]].concat();
    let done = scan(&found, &options(), Seen::default);
    let failure = |outcome: &Outcome| outcome.failure.as_ref().map(ToString::to_string);
    let [cut, good, memory] = &done.outcomes[..] else { panic!("three outcomes") };
    assert!(failure(cut).unwrap().contains("cut.gz: reading stopped after line"));
    assert!(failure(good).unwrap().contains("good"));
    assert_eq!((failure(memory), memory.counts.parsed), (None, 10));
    assert_eq!(cut.counts.rejected_for(RejectReason::CutOff), 1);
    assert_eq!(done.counts.read, done.counts.parsed + done.counts.rejected());
}

#[test]
fn lines_of_all_lengths_survive() {
    let long = "x".repeat(logs::LINE_BYTES_MAX + 1);
    let log = format!("{}{long}\n{}\0\u{1}\n{long}{long}", line(1, "a"), line(2, "b"));
    let begin = line(1, "a").len() as u64;
    let binary = begin + long.len() as u64 + 1 + begin;
    for block_bytes in [1, 1000, logs::LINE_BYTES_MAX, 1 << 20] {
        let options = Options { block_bytes, jobs: 1, ..Options::default() };
        let done = scan(&[Source::memory("log", log.as_bytes())], &options, Seen::default);
        let rejects: Vec<_> = done.sinks[0]
            .rejects
            .iter()
            .map(|(_, at, reason, line)| (*at, *reason, line.len()))
            .collect();
        let too_long = |at| (at, RejectReason::LineTooLong, logs::LINE_BYTES_MAX);
        let expected =
            [too_long(begin), (binary, RejectReason::NotAccessLog, 2), too_long(binary + 3)];
        assert_eq!(rejects, expected, "{block_bytes}");
        assert_eq!(all(&done), ["/a", "/b"]);
    }
}

#[test]
fn a_scan_can_be_stopped() {
    let options = options();
    options.progress.stop.store(true, Ordering::Relaxed);
    let done = scan(&[Source::memory("log", lines(0..9).into_bytes())], &options, Seen::default);
    assert_eq!(done.counts.read, 0);
}

#[test]
fn a_later_reading_goes_on_where_the_last_one_stopped() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let options = Options { leaves_unfinished: true, ..options() };
    let mut known: Vec<Position> = Vec::new();
    let mut read = |name: &str| {
        let found = sources(&[path(name)], &options, &known).unwrap();
        let mut done = scan(&found, &options, Seen::default);
        let targets: Vec<_> = all(&done).into_iter().map(str::to_owned).collect();
        if let Some(position) = done.outcomes[0].position.take() {
            known.retain(|known| !known.is_same_log(&position));
            // As it is stored.
            known.push(position.to_string().parse().unwrap());
        }
        targets
    };
    let append = |name: &str, text: &str| {
        let mut file = OpenOptions::new().append(true).create(true).open(path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    let (begin, end) =
        ("192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] \"GET /c", " HTTP/1.1\" 200 1\n");
    append("log", &(line(1, "a") + &line(2, "b") + begin));
    assert_eq!(read("log"), ["/a", "/b"]);
    assert_eq!(read("log"), Vec::<String>::new());
    append("log", end);
    assert_eq!(read("log"), ["/c"]);
    // Renamed and compressed it is the same log; a new one takes its place.
    fs::write(path("log.1.gz"), gzip(&fs::read(path("log")).unwrap())).unwrap();
    fs::write(path("log"), line(3, "d")).unwrap();
    assert_eq!(read("log.1.gz"), Vec::<String>::new());
    assert_eq!(read("log"), ["/d"]);
    assert_eq!(read("log"), Vec::<String>::new());

    // A table's header is far behind.
    append("table", "#Fields: date time cs-uri-stem\n2000-10-10 20:55:36 /e\n");
    assert_eq!(read("table"), ["/e"]);
    append(
        "table",
        "2000-10-10 20:55:37 /f\n#Fields: cs-uri-stem date time\n/g 2000-10-10 20:55:38\n",
    );
    assert_eq!(read("table"), ["/f", "/g"]);
    append("table", "/h 2000-10-10 20:55:39\n");
    assert_eq!(read("table"), ["/h"]);
}

/// Polls until there is nothing more; the targets that came.
fn poll(follower: &mut Follower) -> Vec<String> {
    let mut seen = Seen::default();
    while follower.poll(&mut seen).unwrap() {}
    seen.targets
}

#[test]
fn following_crosses_every_rotation() {
    let folder = TempDir::new().unwrap();
    let (path, old) = (folder.path().join("log"), folder.path().join("log.1"));
    fs::write(&path, line(0, "before")).unwrap();
    let mut follower = Follower::new(&path, None, &options()).unwrap();
    assert_eq!(poll(&mut follower), Vec::<String>::new());
    let append = |path: &Path, text: &str| {
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    let (begin, end) =
        ("192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] \"GET /b", " HTTP/1.1\" 200 1\n");
    append(&path, &(line(1, "a") + begin));
    assert_eq!(poll(&mut follower), ["/a"]);
    append(&path, end);
    assert_eq!(poll(&mut follower), ["/b"]);

    // Another file takes the path; the old one is still written to.
    fs::rename(&path, &old).unwrap();
    assert_eq!(poll(&mut follower), Vec::<String>::new());
    append(&old, &line(2, "c"));
    fs::write(&path, line(3, "d")).unwrap();
    assert_eq!(poll(&mut follower), ["/c", "/d"]);

    // Emptied and written anew, shorter and longer than it was.
    File::create(&path).unwrap();
    assert_eq!(poll(&mut follower), Vec::<String>::new());
    append(&path, &line(4, "e"));
    assert_eq!(poll(&mut follower), ["/e"]);
    fs::write(&path, line(5, "f") + &line(6, "g") + &line(7, "h")).unwrap();
    assert_eq!(poll(&mut follower), ["/f", "/g", "/h"]);

    // As long as it was.
    fs::write(&path, line(5, "k") + &line(6, "l") + &line(7, "m")).unwrap();
    assert_eq!(poll(&mut follower), ["/k", "/l", "/m"]);

    // Removed, and there again later.
    fs::remove_file(&path).unwrap();
    assert_eq!(poll(&mut follower), Vec::<String>::new());
    fs::write(&path, line(8, "i")).unwrap();
    assert_eq!(poll(&mut follower), ["/i"]);
    let counts = follower.counts();
    assert_eq!((counts.read, counts.parsed), (12, 12));
}

#[test]
fn following_waits_for_the_file_and_knows_headers() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log");
    let mut follower = Follower::new(&path, None, &options()).unwrap();
    assert_eq!(poll(&mut follower), Vec::<String>::new());
    fs::write(&path, "#Fields: date time cs-uri-stem\n2000-10-10 20:55:36 /a\n").unwrap();
    assert_eq!(poll(&mut follower), ["/a"]);
    let mut later = Follower::new(&path, None, &options()).unwrap();
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(
        b"2000-10-10 20:55:37 /b\n#Fields: cs-uri-stem date time\n/c 2000-10-10 20:55:38\n",
    )
    .unwrap();
    assert_eq!(poll(&mut later), ["/b", "/c"]);
    // From where a scan stopped.
    let options = options();
    let found = sources(std::slice::from_ref(&path), &options, &[]).unwrap();
    let position = scan(&found, &options, Seen::default).outcomes[0].position.clone().unwrap();
    file.write_all(b"/d 2000-10-10 20:55:39\n").unwrap();
    let mut from = Follower::new(&path, Some(&position), &options).unwrap();
    assert_eq!(poll(&mut from), ["/d"]);
    assert!(Follower::new(&PathBuf::from(folder.path()), None, &options).is_err());
    // What is compressed is none to be followed.
    fs::write(&path, b"\x1f\x8b\x08\x00\x00").unwrap();
    let error = Follower::new(&path, None, &options).unwrap_err().to_string();
    assert!(error.contains("only plain text"), "{error}");
}

/// Lines of many formats, headers among them, and junk.
fn mixed_log() -> impl Strategy<Value = String> {
    let parts = [
        "192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] \"GET /a HTTP/1.1\" 200 1\n",
        "192.0.2.7 - - [10/Oct/2000:13:55:37 -0700] \"GET /\\x22 HTTP/1.1\" 200 1 \"-\" \"x\" 0.5\r\n",
        "a.example 192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] \"-\" 400 0\n",
        "{\"ts\":971211336.5,\"request\":{\"method\":\"GET\",\"uri\":\"/\\u00e9\"},\"status\":200}\n",
        "#Fields: date time cs-uri-stem cs(User-Agent)\n",
        "#Fields: c-ip date time cs-uri-query cs-uri-stem\n",
        "#Date: 2000-10-11\n",
        "2000-10-10 20:55:36 /b Mozilla/5.0+(X)\n",
        "192.0.2.7 2000-10-10 20:55:37 q=1 /c\n",
        "timestamp,requests\n",
        "971211336,5\n",
        "time=2000-10-10T20:55:36Z method=GET path=/d status=200\n",
        "junk\n",
        "\n",
        "\0\u{fffd}\n",
        "cut",
    ];
    vec(select(parts.to_vec()), 0..30).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn neither_threads_nor_blocks_change_the_result(
        log in mixed_log(),
        jobs in 1_usize..5,
        block_bytes in 1_usize..300,
    ) {
        let whole = check::records(log.as_bytes(), 1, 1 << 20);
        prop_assert_eq!(check::records(log.as_bytes(), jobs, block_bytes), whole);
        check::any_log(log.as_bytes());
    }

    #[test]
    fn reading_in_two_steps_is_reading_once(log in mixed_log(), at in any::<prop::sample::Index>()) {
        // Writers append whole lines mostly; the beginning, which tells what the log is, is there.
        let head = "#Fields: date time cs-uri-stem\n";
        let log = format!("{head}{log}\n");
        let cut = head.len() + at.index(log.len() - head.len());
        prop_assume!(log.is_char_boundary(cut));
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("log");
        let options = Options { leaves_unfinished: true, ..options() };
        let mut known = Vec::new();
        let mut targets = Vec::new();
        for text in [&log[..cut], &log[..]] {
            fs::write(&path, text).unwrap();
            let found = sources(std::slice::from_ref(&path), &options, &known).unwrap();
            let done = scan(&found, &options, Seen::default);
            targets.extend(done.sinks.iter().flat_map(|sink| sink.targets.clone()));
            known.extend(done.outcomes[0].position.clone());
        }
        let once = scan(&[Source::memory("log", log.as_bytes())], &options, Seen::default);
        targets.sort_unstable();
        prop_assert_eq!(targets, all(&once));
    }
}
