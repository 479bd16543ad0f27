//! What lines say, as text.

use logs::{Format, Options, Record, Reject, Sink, Source, scan};

/// Format and record of each line, as text; rejects by their reason.
#[derive(Default)]
struct Shown(Vec<String>);

impl Sink for Shown {
    fn record(&mut self, record: &Record<'_>) {
        self.0.push(shown(record));
    }

    fn reject(&mut self, reject: &Reject<'_>) {
        self.0.push(format!("rejected: {}", reject.reason));
    }
}

/// The fields that are known.
fn shown(record: &Record<'_>) -> String {
    let mut out = format!("{}@{:+}", record.time_us, record.offset_min);
    if record.time_is_end {
        out.push_str(" end");
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let number = |number: u64| number.to_string();
    for (name, value) in [
        ("client", Some(text(record.client)).filter(|client| !client.is_empty())),
        ("user", record.user.map(text)),
        ("host", record.host.map(text)),
        ("method", record.method.map(text)),
        ("target", record.target.map(text)),
        ("protocol", record.protocol.map(text)),
        ("status", record.status.map(u64::from).map(number)),
        ("bytes", record.bytes.map(number)),
        ("request-bytes", record.request_bytes.map(number)),
        ("referrer", record.referrer.map(text)),
        ("agent", record.agent.map(text)),
        ("forwarded", record.forwarded_for.map(text)),
        ("us", record.duration_us.map(number)),
        ("upstream-us", record.upstream_us.map(number)),
        ("upstream", record.upstream.map(text)),
        ("cache", record.cache.map(text)),
        ("tls", record.tls.map(text)),
        ("cipher", record.cipher.map(text)),
        ("mime", record.mime.map(text)),
        ("country", record.country.map(text)),
        ("route", record.route.map(text)),
        ("variants", record.variants.map(text)),
        ("weight", Some(record.weight).filter(|weight| *weight != 1).map(number)),
    ] {
        if let Some(value) = value {
            out.push_str(&format!(" {name}={value}"));
        }
    }
    out
}

/// What each line says, and the formats that occurred.
pub(crate) fn read(log: &str) -> (Vec<String>, Vec<Format>) {
    let options = Options { jobs: 1, ..Options::default() };
    let done = scan(&[Source::memory("log", log.as_bytes())], &options, Shown::default);
    let formats = done.counts.formats().map(|(format, _)| format).collect();
    (done.sinks.into_iter().flat_map(|sink| sink.0).collect(), formats)
}

/// All lines of the log are of one format and say this.
#[track_caller]
pub(crate) fn says(log: &str, format: Format, expected: &[&str]) {
    let (records, formats) = read(log);
    assert_eq!(records, expected);
    assert_eq!(formats, [format]);
}
