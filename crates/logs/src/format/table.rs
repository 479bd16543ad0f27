//! Tables: lines of cells whose meaning a header tells. W3C logs (extended log format; IIS,
//! CloudFront, Zeek) have it in `#Fields:` lines, anywhere in the file; CSV and TSV in the first line.
//!
//! Sources: W3C working draft WD-logfile; RFC 4180; AWS documentation of CloudFront standard logs.

use super::{
    field::{Draft, Field},
    names::{self, Named},
};
use crate::{RejectReason, blocks::without_mark, time::Clock};
use memchr::{memchr, memmem};
use std::sync::Arc;

/// Most columns that are read.
const COLUMNS_MAX: usize = 512;

/// A header in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// The lines it came from.
    pub(crate) text: Vec<u8>,
    pub(crate) is_w3c: bool,
    delimiter: u8,
    columns: Vec<Option<Named>>,
    /// `#Date:` of a W3C log, for lines with a time of day only.
    date: Option<[u8; 10]>,
}

impl Header {
    /// The header after a line that begins with `#`, given the one before; `None` if the line does
    /// not change it.
    pub(crate) fn directive(line: &[u8], before: Option<&Self>) -> Option<Self> {
        let line = line.trim_ascii_end();
        if let Some(date) = line.strip_prefix(b"#Date:") {
            let date = date.trim_ascii_start().first_chunk::<10>()?;
            let mut header = before.cloned().unwrap_or_else(Self::empty);
            header.date = Some(*date);
            header.text = [line, b"\n", header.columns_line()].concat();
            return Some(header);
        }
        let (fields, delimiter) = match line {
            [b'#', b'F', b'i', b'e', b'l', b'd', b's', b':', fields @ ..] => (fields, b' '),
            [b'#', b'f', b'i', b'e', b'l', b'd', b's', b'\t', fields @ ..] => (fields, b'\t'),
            _ => return None,
        };
        let columns: Vec<_> = fields
            .split(u8::is_ascii_whitespace)
            .filter(|name| !name.is_empty())
            .take(COLUMNS_MAX)
            .map(w3c_column)
            .collect();
        let date = before.and_then(|before| before.date);
        let date_line =
            date.map(|date| [b"#Date: ", &date[..], b"\n"].concat()).unwrap_or_default();
        let text = [&date_line, line].concat();
        Some(Self { text, is_w3c: true, delimiter, columns, date })
    }

    /// The header that a file of counts or requests begins with.
    pub(crate) fn csv(line: &[u8]) -> Option<Self> {
        let line = line.trim_ascii_end();
        let delimiter = [b'\t', b',', b';'].into_iter().find(|d| memchr(*d, line).is_some());
        let delimiter = delimiter.unwrap_or(b',');
        let names = || Cells::new(line, delimiter).take(COLUMNS_MAX);
        let is_name = |name: &[u8]| {
            let is_part = |byte: &u8| {
                byte.is_ascii_alphanumeric() || !byte.is_ascii() || b" _-.()@/%".contains(byte)
            };
            name.len() <= 64
                && !name.first().is_some_and(u8::is_ascii_digit)
                && name.iter().all(is_part)
        };
        if !names().all(is_name) {
            return None;
        }
        let mut columns: Vec<_> = names().map(names::column).collect();
        let has = |wanted: Field| columns.iter().flatten().any(|named| named.field == wanted);
        let has_date = has(Field::Date);
        let is_of_requests =
            [Field::Method, Field::Target, Field::Request, Field::Status, Field::Client]
                .into_iter()
                .any(has);
        for (name, column) in names().zip(&mut columns) {
            *column = match *column {
                Some(named) if has_date && named.field == Field::Time && is_time_of_day(name) => {
                    Some(Named { field: Field::TimeOfDay, weak: false })
                }
                Some(Named { field: Field::Weight, weak: true }) if is_of_requests => None,
                other => other,
            };
        }
        let has_time = columns.iter().flatten().any(|named| {
            matches!(named.field, Field::Time | Field::TimeAtEnd | Field::Date | Field::EndTime)
        });
        has_time.then(|| Self {
            text: line.to_vec(),
            is_w3c: false,
            delimiter,
            columns,
            date: None,
        })
    }

    /// The header that `text`, as [`Self::text`] was, stands for.
    pub(crate) fn from_text(text: &[u8]) -> Option<Self> {
        if !text.starts_with(b"#") {
            return Self::csv(text);
        }
        let mut header = None;
        for line in text.split(|byte| *byte == b'\n') {
            header = Self::directive(line, header.as_ref()).or(header);
        }
        header
    }

    fn empty() -> Self {
        Self { text: Vec::new(), is_w3c: true, delimiter: b' ', columns: Vec::new(), date: None }
    }

    fn columns_line(&self) -> &[u8] {
        let from = memmem::rfind(&self.text, b"#Fields:")
            .or_else(|| memmem::rfind(&self.text, b"#fields\t"));
        from.and_then(|from| self.text.get(from..)).unwrap_or_default()
    }

    /// Whether the line is this header again.
    pub(crate) fn is(&self, line: &[u8]) -> bool {
        !self.is_w3c && without_mark(line).trim_ascii_end() == self.text
    }

    /// Reads a line of the table.
    pub(super) fn row<'a>(
        &self,
        line: &'a [u8],
        draft: &mut Draft<'a>,
        clock: &mut Clock,
    ) -> Result<(), RejectReason> {
        if self.columns.is_empty() {
            return Err(RejectReason::NotAccessLog);
        }
        // CloudFront names its columns with spaces but parts them with tabs.
        let delimiter =
            if self.is_w3c && memchr(b'\t', line).is_some() { b'\t' } else { self.delimiter };
        let mut cells = Cells::new(line, delimiter);
        for named in &self.columns {
            let cell = cells.next().ok_or(RejectReason::BadField)?;
            let Some(named) = named else { continue };
            if named.weak && draft.has(named.field) {
                continue;
            }
            match draft.set(named.field, cell, clock) {
                // A guess by name may be wrong; what decides is whether the row has a time.
                Err(reason) if !named.weak => return Err(reason),
                _ => {}
            }
        }
        draft.settle_time(clock, self.date.as_ref().map(<[u8; 10]>::as_slice))
    }
}

/// Whether a column beside one of dates has the time of day.
fn is_time_of_day(name: &[u8]) -> bool {
    name.trim_ascii().eq_ignore_ascii_case(b"time")
}

/// The headers of a source at some place in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Headers {
    /// The one in force.
    pub(crate) in_force: Option<Arc<Header>>,
    /// Whether `#` lines may change it.
    has_directives: bool,
}

impl Headers {
    /// Before the first line of a source that begins with `sample`. The same source must always give
    /// the same sample.
    pub(crate) fn of_sample(sample: &[u8]) -> Self {
        let is_fields =
            |line: &[u8]| line.starts_with(b"#Fields:") || line.starts_with(b"#fields\t");
        let lines = || without_mark(sample).split(|byte| *byte == b'\n');
        if lines().any(is_fields) {
            return Self { in_force: None, has_directives: true };
        }
        let first = lines().find(|line| !line.trim_ascii().is_empty() && !line.starts_with(b"#"));
        let header = first.and_then(Header::csv);
        Self { in_force: header.map(Arc::new), has_directives: false }
    }

    /// Where a header that was stored as text is in force.
    pub(crate) fn of_text(text: &[u8]) -> Self {
        let has_directives = text.starts_with(b"#");
        Self { in_force: Header::from_text(text).map(Arc::new), has_directives }
    }

    /// Takes notice of a line that begins with `#`.
    pub(crate) fn pass(&mut self, line: &[u8]) {
        if self.has_directives
            && let Some(header) = Header::directive(line, self.in_force.as_deref())
        {
            self.in_force = Some(Arc::new(header));
        }
    }

    /// Takes notice of whole lines.
    pub(crate) fn pass_all(&mut self, lines: &[u8]) {
        if !self.has_directives {
            return;
        }
        let lines = without_mark(lines);
        for at in memchr::memchr_iter(b'#', lines) {
            if at == 0 || lines.get(at - 1) == Some(&b'\n') {
                let line = lines.get(at..).unwrap_or_default();
                let end = memchr(b'\n', line).unwrap_or(line.len());
                self.pass(line.get(..end).unwrap_or_default());
            }
        }
    }
}

/// The meaning of a column by the names of the W3C draft, IIS, CloudFront, and Zeek.
fn w3c_column(name: &[u8]) -> Option<Named> {
    use Field as F;
    let lower = name.to_ascii_lowercase();
    let (field, weak) = match lower.as_slice() {
        b"date" => (F::Date, false),
        b"time" => (F::TimeOfDay, false),
        b"ts" => (F::Time, false),
        b"c-ip" | b"id.orig_h" => (F::Client, false),
        b"c-dns" => (F::Client, true),
        b"cs-username" | b"c-auth-id" | b"username" => (F::User, false),
        b"cs-method" | b"method" => (F::Method, false),
        b"cs-uri-stem" | b"cs-uri" | b"uri" => (F::Target, false),
        b"cs-uri-query" => (F::Query, false),
        b"cs-protocol-version" | b"cs-version" => (F::Protocol, false),
        b"x-host-header" => (F::Host, false),
        b"cs(host)" | b"cs-host" | b"host" => (F::Host, true),
        b"sc-status" | b"status_code" => (F::Status, false),
        b"sc-bytes" | b"response_body_len" => (F::Bytes, false),
        b"bytes" => (F::Bytes, true),
        b"cs-bytes" | b"request_body_len" => (F::RequestBytes, false),
        b"cs(user-agent)" | b"user_agent" => (F::Agent, false),
        b"cs(referer)" | b"cs(referrer)" | b"referrer" => (F::Referrer, false),
        b"x-forwarded-for" | b"cs(x-forwarded-for)" => (F::ForwardedFor, false),
        b"x-edge-result-type" => (F::Cache, false),
        b"ssl-protocol" => (F::Tls, false),
        b"ssl-cipher" => (F::Cipher, false),
        b"sc-content-type" => (F::Mime, false),
        b"c-country" => (F::Country, false),
        b"id.resp_h" => (F::Upstream, false),
        // IIS and the draft's users count milliseconds; with decimals it is seconds (CloudFront).
        b"time-taken" => (F::Duration, false),
        _ => return None,
    };
    Some(Named { field, weak })
}

/// Cells of a line. One between quotes may hold the delimiter; runs of spaces part cells once.
#[derive(Debug, Clone)]
pub(super) struct Cells<'a> {
    rest: Option<&'a [u8]>,
    delimiter: u8,
}

impl<'a> Cells<'a> {
    pub(super) fn new(line: &'a [u8], delimiter: u8) -> Self {
        Self { rest: Some(line), delimiter }
    }
}

impl<'a> Iterator for Cells<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut text = self.rest.take()?;
        if self.delimiter == b' ' {
            text = text.trim_ascii_start();
            if text.is_empty() {
                return None;
            }
        }
        if let Some(inside) = text.strip_prefix(b"\"")
            && let Some(end) = closing(inside, self.delimiter)
        {
            self.rest = inside.get(end + 2..);
            return inside.get(..end);
        }
        let end = memchr(self.delimiter, text);
        self.rest = end.and_then(|end| text.get(end + 1..));
        text.get(..end.unwrap_or(text.len()))
    }
}

/// The quote that ends a cell: a delimiter or the line's end follows, and no backslash is before it.
fn closing(inside: &[u8], delimiter: u8) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr(b'"', inside.get(from..)?)?;
        let next = inside.get(at + 1);
        if next == Some(&b'"') && delimiter != b' ' {
            from = at + 2;
        } else if next.is_none_or(|next| *next == delimiter)
            && !(at > 0 && inside.get(at - 1) == Some(&b'\\'))
        {
            return Some(at);
        } else {
            from = at + 1;
        }
    }
}
