//! Run files: written, read, cut short, damaged.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::Method;
use proptest::prelude::*;
use report::json::run_json;
use report::runfile::{ENDPOINTS_MAX, Header, LINE_BYTES_MAX, RunFileError, RunFileWriter, read};
use serde_json::{Value, json};

use crate::sample::{self, SECOND};

fn header() -> Header {
    let endpoints =
        [sample::endpoint(Method::GET, "main page"), sample::endpoint(Method::POST, "log in")];
    Header::new("http://h", "closed", sample::STARTED, &endpoints, json!({ "users": 20 }))
}

/// A whole run file, and how long it was after each tick.
fn written() -> (Vec<u8>, Vec<usize>) {
    let mut lengths = Vec::new();
    let mut out = SharedLength::default();
    let counter = out.length.clone();
    let mut writer = RunFileWriter::new(&mut out, &header()).unwrap();
    sample::play_short(|tick| {
        writer.tick(tick).unwrap();
        lengths.push(counter.get());
    });
    writer.finish(&run_json(&sample::closed_run())).unwrap();
    (out.bytes, lengths)
}

/// A writer whose length can be read while it is lent.
#[derive(Default)]
struct SharedLength {
    bytes: Vec<u8>,
    length: std::rc::Rc<std::cell::Cell<usize>>,
}

impl Write for SharedLength {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        self.length.set(self.bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn zipped(text: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text).unwrap();
    gzip.finish().unwrap()
}

/// A file of a header and these lines.
fn file_of(lines: &[String]) -> Vec<u8> {
    let header = serde_json::to_string(&header()).unwrap();
    zipped((header + "\n" + &lines.join("\n") + "\n").as_bytes())
}

fn tick_line(change: impl FnOnce(&mut Value)) -> String {
    let histogram = sample::histogram([1_000, 2_000]).encode();
    let mut line = json!({
        "t-ms": 1000, "interval-ms": 1000, "users": 1,
        "endpoints": [{
            "endpoint": 0, "requests": 2, "failures": 0, "unsent": 0, "bytes-received": 10,
            "response-us": histogram,
        }],
    });
    change(&mut line);
    line.to_string()
}

#[test]
fn what_is_written_is_read() {
    let (bytes, _) = written();
    let file = read(bytes.as_slice()).unwrap();
    assert_eq!(file.header, header());
    assert_eq!(file.result, Some(run_json(&sample::closed_run())));
    assert!(!file.truncated);
    assert_eq!(file.ticks.len(), 3);
    let tick = &file.ticks[1];
    assert_eq!((tick.at, tick.interval, tick.users), (2 * SECOND, SECOND, 20));
    assert_eq!(tick.endpoints.len(), 2);
    let login = &tick.endpoints[1];
    assert_eq!((login.endpoint, login.requests, login.failures), (1, 10, 2));
    assert_eq!(login.response.iter().map(|(_, count)| count).sum::<u32>(), 10);
    let expected = (0..10).map(|i| 30_000 + i * 1_000).sum::<u64>();
    assert!(login.response_sum_us.abs_diff(expected) <= expected / 1000 + 10);
    assert!(file.ticks[2].paused && file.ticks[2].endpoints.is_empty());
}

#[test]
fn it_is_gzip_of_json_lines() {
    let mut text = String::new();
    GzDecoder::new(written().0.as_slice()).read_to_string(&mut text).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[0]["schema"], "tidegate.runfile/1");
    assert_eq!(lines[1]["watched"]["pid 4711 cpu"], 1.1);
    assert_eq!(lines[4]["schema"], "tidegate.run/1");
}

#[test]
fn a_killed_run_keeps_every_tick() {
    let (bytes, lengths) = written();
    for (ticks, length) in lengths.into_iter().enumerate() {
        let file = read(&bytes[..length]).unwrap();
        assert_eq!(file.ticks.len(), ticks + 1);
        assert!(file.truncated && file.result.is_none());
    }
}

#[test]
fn what_is_no_run_file_is_refused() {
    for bytes in
        [&b""[..], b"hello", &zipped(b""), &zipped(b"{}\n"), &zipped(b"{\"schema\":\"x\"}\n")]
    {
        assert!(matches!(read(bytes), Err(RunFileError::Header { .. })), "{bytes:?}");
    }
    let mut other = serde_json::to_value(header()).unwrap();
    other["schema"] = json!("tidegate.runfile/2");
    let error = read(zipped(format!("{other}\n").as_bytes()).as_slice()).unwrap_err();
    assert!(error.to_string().contains("tidegate.runfile/2"), "{error}");
}

#[test]
fn damaged_lines_are_named() {
    for (line, problem) in [
        ("nonsense".to_owned(), "expected"),
        (tick_line(|line| line["endpoints"][0]["endpoint"] = json!(2)), "no endpoint 2"),
        (tick_line(|line| line["endpoints"][0]["response-us"] = json!("AAAA")), "histogram"),
        (tick_line(|line| line["t-ms"] = json!(u64::MAX)), "no time of a run"),
        (tick_line(|line| line["users"] = json!(-1)), "invalid value"),
        (json!({ "schema": "tidegate.run/9" }).to_string(), "missing field"),
    ] {
        let lines = [tick_line(|_| {}), line];
        let error = read(file_of(&lines).as_slice()).unwrap_err();
        assert!(matches!(error, RunFileError::Line { line: 3, .. }), "{error}");
        assert!(error.to_string().contains(problem), "{error}");
    }
    let result = run_json(&sample::closed_run()).to_string();
    let error = read(file_of(&[result, tick_line(|_| {})]).as_slice()).unwrap_err();
    assert!(error.to_string().contains("after the result"), "{error}");
}

#[test]
fn limits_hold() {
    let mut many = header();
    many.endpoints = vec![many.endpoints[0].clone(); ENDPOINTS_MAX + 1];
    let many = serde_json::to_string(&many).unwrap() + "\n";
    let endless = vec![b' '; LINE_BYTES_MAX + 1];
    for (bytes, what) in [(zipped(many.as_bytes()), "endpoints"), (zipped(&endless), "bytes")] {
        let error = read(bytes.as_slice()).unwrap_err();
        assert!(
            matches!(&error, RunFileError::TooLarge { what: found, .. } if *found == what),
            "{error}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is cut off or changed, reading ends with a file or an error.
    #[test]
    fn damage_never_panics(cut in 0.0..=1.0_f64, at in 0.0..1.0_f64, byte in any::<u8>()) {
        let (mut bytes, _) = written();
        bytes.truncate((bytes.len() as f64 * cut) as usize);
        if !bytes.is_empty() {
            let at = (bytes.len() as f64 * at) as usize;
            bytes[at] = byte;
        }
        if let Ok(file) = read(bytes.as_slice()) {
            prop_assert!(file.ticks.len() <= 3);
            prop_assert!(file.truncated || file.result.is_some());
        }
    }

    /// The same for what is inside the gzip data.
    #[test]
    fn damaged_text_never_panics(at in 0.0..1.0_f64, byte in any::<u8>()) {
        let mut text = Vec::new();
        GzDecoder::new(written().0.as_slice()).read_to_end(&mut text).unwrap();
        let at = (text.len() as f64 * at) as usize;
        text[at] = byte;
        if let Ok(file) = read(zipped(&text).as_slice()) {
            prop_assert!(file.ticks.len() <= 3);
        }
    }
}
