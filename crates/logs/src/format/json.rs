//! JSON lines of any server: what a key means is told by its name ([`super::names`]), also of nested
//! ones; of an array the first element counts.

use super::{field::Draft, names::Names};
use crate::{RejectReason, time::Clock};
use memchr::memchr2;

/// Deepest nesting that is walked; what lies deeper makes the line bad.
const DEPTH_MAX: usize = 16;

const BAD: RejectReason = RejectReason::BadJson;

/// Whether a line is meant to be of this format.
pub(super) fn is_meant(line: &[u8]) -> bool {
    let inside = line.trim_ascii_start().strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    inside.is_some_and(|inside| inside.starts_with(b"\""))
}

/// Where a walk through an object is.
pub(super) struct Walk<'w> {
    pub(super) names: &'w mut Names,
    /// The keys down to here with dots between; a buffer that outlives the line.
    pub(super) path: &'w mut Vec<u8>,
    pub(super) clock: &'w mut Clock,
    /// Why the first value was passed over that a key's meaning did not fit.
    pub(super) misfit: Option<RejectReason>,
}

/// Keys in which carriers of logs put lines: Filebeat and CloudWatch, Fluent Bit, journald.
const CARRIERS: [&[u8]; 3] = [b"message", b"log", b"MESSAGE"];

impl Walk<'_> {
    pub(super) fn line<'a>(
        &mut self,
        line: &'a [u8],
        draft: &mut Draft<'a>,
    ) -> Result<(), RejectReason> {
        self.path.clear();
        let rest = self.object(line.trim_ascii_start(), draft, 0)?;
        if rest.trim_ascii().is_empty() { Ok(()) } else { Err(BAD) }
    }

    /// The members of an object; what follows it.
    fn object<'a>(
        &mut self,
        text: &'a [u8],
        draft: &mut Draft<'a>,
        depth: usize,
    ) -> Result<&'a [u8], RejectReason> {
        let mut rest = text.strip_prefix(b"{").ok_or(BAD)?.trim_ascii_start();
        if let Some(rest) = rest.strip_prefix(b"}") {
            return Ok(rest);
        }
        let parents = self.path.len();
        loop {
            let (key, after) = string(rest).ok_or(BAD)?;
            let after = after.trim_ascii_start().strip_prefix(b":").ok_or(BAD)?;
            if parents > 0 {
                self.path.push(b'.');
            }
            self.path.extend_from_slice(key);
            let after = self.value(after.trim_ascii_start(), draft, depth + 1, true)?;
            self.path.truncate(parents);
            match after.trim_ascii_start().split_first() {
                Some((b',', after)) => rest = after.trim_ascii_start(),
                Some((b'}', after)) => return Ok(after),
                _ => return Err(BAD),
            }
        }
    }

    /// Elements of an array, of which only the first counts.
    fn array<'a>(
        &mut self,
        text: &'a [u8],
        draft: &mut Draft<'a>,
        depth: usize,
        counts: bool,
    ) -> Result<&'a [u8], RejectReason> {
        let mut rest = text.strip_prefix(b"[").ok_or(BAD)?.trim_ascii_start();
        if let Some(rest) = rest.strip_prefix(b"]") {
            return Ok(rest);
        }
        let mut counts = counts;
        loop {
            let after = self.value(rest, draft, depth + 1, counts)?;
            counts = false;
            match after.trim_ascii_start().split_first() {
                Some((b',', after)) => rest = after.trim_ascii_start(),
                Some((b']', after)) => return Ok(after),
                _ => return Err(BAD),
            }
        }
    }

    /// A value and what follows it; if it `counts`, the draft gets it.
    fn value<'a>(
        &mut self,
        text: &'a [u8],
        draft: &mut Draft<'a>,
        depth: usize,
        counts: bool,
    ) -> Result<&'a [u8], RejectReason> {
        if depth > DEPTH_MAX {
            return Err(BAD);
        }
        let (scalar, rest) = match text.first() {
            Some(b'"') => string(text).ok_or(BAD)?,
            Some(b'{') if counts => return self.object(text, draft, depth),
            Some(b'{') => return self.object(text, &mut Draft::new(), depth),
            Some(b'[') => return self.array(text, draft, depth, counts),
            _ => {
                let end = |b: &u8| matches!(b, b',' | b'}' | b']') || b.is_ascii_whitespace();
                let (word, rest) = text.split_at(text.iter().position(end).ok_or(BAD)?);
                match word {
                    b"null" | b"true" | b"false" => return Ok(rest),
                    [b'0'..=b'9' | b'-', ..] => (word, rest),
                    _ => return Err(BAD),
                }
            }
        };
        if !counts {
            return Ok(rest);
        }
        match self.names.of(self.path) {
            Some(named) if named.weak && draft.has(named.field) => {}
            // A guess by name may be wrong; what decides is what the line tells in all.
            Some(named) => {
                if let Err(reason) = draft.set(named.field, scalar, self.clock) {
                    self.misfit = self.misfit.or(Some(reason));
                }
            }
            None if CARRIERS.contains(&self.path.as_slice()) => draft.carried = Some(scalar),
            None => {}
        }
        Ok(rest)
    }
}

/// A string, still escaped, and what follows its closing quote.
pub(super) fn string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(b"\"")?;
    let mut from = 0;
    loop {
        let at = from + memchr2(b'"', b'\\', text.get(from..)?)?;
        if text.get(at) == Some(&b'"') {
            return Some((text.get(..at)?, text.get(at + 1..)?));
        }
        from = at + 2;
    }
}
