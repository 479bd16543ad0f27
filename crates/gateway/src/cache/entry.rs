//! A kept answer.

use bytes::Bytes;
use policy::cache::{Meta, Variant, format_http_date};
use traffic::{Fields, Name};

use super::purge::Subject;

/// What an entry takes besides its text, in bytes: about.
const OVERHEAD: usize = 512;

/// A kept answer: complete, and never changed.
#[derive(Debug)]
pub struct Entry {
    /// The status.
    pub status: u16,
    /// The fields, with `Date` and (where there can be a body) `Content-Length`; without `Age` and
    /// fields of a connection.
    pub fields: Fields,
    /// The same as lines of HTTP/1.1, each ended by CRLF.
    pub head: Bytes,
    /// The body.
    pub body: Bytes,
    /// What decides about its use.
    pub meta: Meta,
    pub(super) variant: Variant,
    pub(super) subject: Subject,
}

impl Entry {
    /// * `fields`: what is kept of them, without `Content-Length`s that do not match the body
    pub(super) fn new(
        status: u16,
        mut fields: Fields,
        body: Bytes,
        meta: Meta,
        variant: Variant,
        subject: Subject,
    ) -> Entry {
        if !fields.has(Name::Date) {
            fields.push_known(Name::Date, &format_http_date(meta.received));
        }
        if may_have_body(status) && !fields.has(Name::ContentLength) {
            fields.push_known(Name::ContentLength, body.len().to_string().as_bytes());
        }
        let mut head = Vec::with_capacity(fields.text_len() + 4 * fields.len());
        for field in fields.iter() {
            head.extend_from_slice(field.name);
            head.extend_from_slice(b": ");
            head.extend_from_slice(field.value);
            head.extend_from_slice(b"\r\n");
        }
        Entry { status, fields, head: head.into(), body, meta, variant, subject }
    }

    /// Age in seconds.
    pub fn age(&self, now: i64) -> u32 {
        self.meta.age(now)
    }

    /// Bytes that it takes, about.
    pub fn weight(&self) -> u64 {
        let text = 2 * self.fields.text_len() + 32 * self.fields.len() + self.head.len();
        let subject = self.subject.url.len() + 8 * self.subject.tag_hashes.len();
        (OVERHEAD + text + self.body.len() + self.variant.weight() + subject) as u64
    }
}

/// Whether an answer with this status can have a body (RFC 9110 section 6.4.1).
pub(super) fn may_have_body(status: u16) -> bool {
    !matches!(status, 100..=199 | 204 | 304)
}
