//! logfmt: `key=value key="value with spaces"`; names as in JSON lines.

use super::{field::Draft, names::Names};
use crate::{RejectReason, time::Clock};
use memchr::{memchr, memchr2};

/// Whether a line can be of this format: it begins with `key=`.
pub(super) fn is_meant(line: &[u8]) -> bool {
    let is_key = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.@".contains(byte);
    let end = line.iter().position(|byte| !is_key(byte));
    end.is_some_and(|end| end > 0 && line.get(end) == Some(&b'='))
}

pub(super) fn parse<'a>(
    line: &'a [u8],
    names: &mut Names,
    draft: &mut Draft<'a>,
    clock: &mut Clock,
) -> Result<(), RejectReason> {
    let mut rest = line.trim_ascii();
    while let Some(end) = memchr2(b'=', b' ', rest) {
        let (key, after) = rest.split_at(end);
        let Some(after) = after.strip_prefix(b"=") else {
            rest = after.trim_ascii_start(); // a word without a value
            continue;
        };
        let value;
        (value, rest) = value_of(after).ok_or(RejectReason::BadField)?;
        rest = rest.trim_ascii_start();
        if let Some(named) = names.of(key)
            && !(named.weak && draft.has(named.field))
        {
            match draft.set(named.field, value, clock) {
                Err(reason) if !named.weak => return Err(reason),
                _ => {}
            }
        }
    }
    Ok(())
}

fn value_of(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let Some(inside) = text.strip_prefix(b"\"") else {
        return Some(text.split_at(memchr(b' ', text).unwrap_or(text.len())));
    };
    let mut from = 0;
    loop {
        let at = from + memchr2(b'"', b'\\', inside.get(from..)?)?;
        if inside.get(at) == Some(&b'"') {
            return Some((inside.get(..at)?, inside.get(at + 1..)?));
        }
        from = at + 2;
    }
}
