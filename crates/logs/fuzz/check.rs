//! What must hold for any bytes given as a log; shared by the tests and the fuzz target.

use logs::{Format, LINE_BYTES_MAX, LogReader, detect};

/// Reads `data` as a log and as a single line.
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
            assert!((1..=lines).contains(&reject.number));
            assert!(reject.line.len() <= LINE_BYTES_MAX);
        }
    });
    assert!(outcome.is_ok(), "reading from memory does not fail");
    let counts = reader.counts();
    assert_eq!((counts.read, counts.parsed, counts.rejected()), (lines, hits, rejects));
    assert_eq!(counts.read, counts.parsed + counts.rejected());
    assert_eq!(counts.formats().map(|(_, count)| count).sum::<u64>(), counts.parsed);

    // Detection finds a format exactly if some line parses. It knows no limit of length.
    if data.len() <= LINE_BYTES_MAX {
        assert_eq!(detect(data).is_some(), hits > 0);
    }

    // A combined line is a common line with fields left over.
    if let Ok(combined) = Format::Combined.parse_line(data, &mut Vec::new()) {
        let common = traffic::Hit { referrer: None, agent: None, ..combined };
        assert_eq!(Format::Common.parse_line(data, &mut Vec::new()), Ok(common));
    }
}
