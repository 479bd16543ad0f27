//! What must hold for any bytes given as a log; shared by the tests and the fuzz target.

use logs::{
    Format, LINE_BYTES_MAX, Layout, LogReader, Options, Record, Reject, Sink, Source, detect, scan,
};
use std::sync::Arc;

/// Reads `data` as a log, as hits and as records.
///
/// # Panics
/// If a line is not accounted for, or a hit is not what its documentation promises.
pub(crate) fn any_log(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n').count() as u64;
    if data.is_empty() || data.ends_with(b"\n") {
        lines -= 1;
    }
    let mut reader = LogReader::new("check", data);
    let (mut hits, mut rejects) = (0, 0);
    let outcome = reader.for_each(|line| match line {
        Ok(hit) => {
            hits += 1;
            assert!((100..=999).contains(&hit.status));
            assert!(!hit.client.is_empty() && !hit.method.is_empty() && !hit.target.is_empty());
            assert!(!hit.target.iter().any(u8::is_ascii_control));
        }
        Err(reject) => {
            rejects += 1;
            let from = &data[usize::try_from(reject.offset).unwrap()..];
            assert!(from.starts_with(reject.line) && reject.line.len() <= LINE_BYTES_MAX);
        }
    });
    assert!(outcome.is_ok(), "reading from memory does not fail");
    let counts = *reader.counts();
    assert_eq!((counts.parsed, counts.rejected()), (hits, rejects));
    assert_eq!(counts.read, counts.parsed + counts.rejected());
    assert_eq!(counts.read + counts.directives, lines);
    assert_eq!(counts.formats().map(|(_, count)| count).sum::<u64>(), counts.parsed);

    // What is a hit is a record, too, and reading in other pieces changes nothing.
    let whole = records(data, 1, 1 << 20);
    assert!(whole.len() as u64 >= hits);
    assert_eq!(whole, records(data, 3, 7));
    let has_known_format = detect(data).is_some();
    assert!(data.len() > LINE_BYTES_MAX || has_known_format != whole.is_empty());
}

/// Every record and reject of a scan, as text, sorted.
pub(crate) fn records(data: &[u8], jobs: usize, block_bytes: usize) -> Vec<String> {
    #[derive(Default)]
    struct All(Vec<String>, u64);
    impl Sink for All {
        fn record(&mut self, record: &Record<'_>) {
            self.0.push(format!("{record:?}"));
        }
        fn reject(&mut self, _: &Reject<'_>) {
            self.1 += 1;
        }
    }
    let options = Options { jobs, block_bytes, ..Options::default() };
    let done = scan(&[Source::memory("check", data)], &options, All::default);
    let rejected: u64 = done.sinks.iter().map(|sink| sink.1).sum();
    let mut all: Vec<_> = done.sinks.into_iter().flat_map(|sink| sink.0).collect();
    assert_eq!((done.counts.parsed, done.counts.rejected()), (all.len() as u64, rejected));
    assert_eq!(done.counts.read, done.counts.parsed + done.counts.rejected());
    all.sort();
    all
}

/// Compiles `data` up to the first empty line as a layout, and reads the rest by it.
///
/// # Panics
/// If a line is not accounted for.
pub(crate) fn any_layout(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (format, log) = text.split_once("\n\n").unwrap_or((&text, ""));
    let Ok(layouts) = Layout::all(format) else { return };
    #[derive(Default)]
    struct Nothing;
    impl Sink for Nothing {
        fn record(&mut self, _: &Record<'_>) {}
        fn reject(&mut self, _: &Reject<'_>) {}
    }
    let options = Options { layouts: Arc::from(layouts), jobs: 1, ..Options::default() };
    let done = scan(&[Source::memory("check", log.as_bytes())], &options, || Nothing);
    assert_eq!(done.counts.read, done.counts.parsed + done.counts.rejected());
    assert!(done.counts.parsed_as(Format::Layout) <= done.counts.parsed);
}
