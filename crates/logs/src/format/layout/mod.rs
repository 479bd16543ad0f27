//! Formats that somebody wrote down for a server or for GoAccess, compiled into a few operations: literals
//! to step over, fields to take up to the next literal.
//!
//! [`Layout::all`] takes what people have: a format string of nginx, Apache, GoAccess or tidegate, or the text
//! of the configuration file that holds it.

mod apache;
mod config;
mod forwarded;
mod goaccess;
mod httpd_conf;
mod nginx;
mod nginx_conf;
mod pattern;
mod tidegate;

use super::{
    escape::Escape,
    field::{Draft, Field},
};
use crate::{RejectReason, time::Clock};
use forwarded::Forwarded;
use memchr::{memchr, memchr2, memmem};
use pattern::{Civil, Pattern};

/// Most operations of a layout.
const OPS_MAX: usize = 256;

/// A compiled format.
#[derive(Debug, Clone)]
pub struct Layout {
    name: String,
    ops: Vec<Op>,
    /// Whether its time is that of the request's end.
    time_is_end: bool,
    /// How its values are written.
    escape: Escape,
}

/// What a text or a configuration file holds.
#[derive(Debug, Clone, Default)]
pub struct FoundLayouts {
    /// Those that can be used, the longest first.
    pub layouts: Vec<Layout>,
    /// Why others cannot be used.
    pub unusable: Vec<LayoutError>,
}

/// A format that cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot use the log format: {problem}")]
pub struct LayoutError {
    /// What is wrong with it.
    pub problem: String,
}

impl LayoutError {
    fn new(problem: impl Into<String>) -> Self {
        Self { problem: problem.into() }
    }

    /// The same, of the format that the configuration names so.
    fn of_format(self, name: &str) -> Self {
        Self { problem: format!("`{name}`: {}", self.problem) }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Op {
    /// The line goes on with these bytes.
    Literal(Vec<u8>),
    /// Spaces, any number.
    Spaces,
    /// Bytes up to the literal that follows, or to the end of the line.
    Take(Take),
    /// The client at the head of a list of addresses.
    Forwarded(Forwarded),
    /// A time by its pattern.
    Time(Pattern),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Take {
    meaning: Option<Field>,
    /// What ends it; empty: the end of the line.
    until: Vec<u8>,
    /// Between quotes, where a backslash escapes the next byte.
    is_quoted: bool,
}

impl Layout {
    /// Compiles every format in `text`: a format string of nginx (`$remote_addr …`), of Apache
    /// (`%h %l …`), of GoAccess (`%h %^[%d:%t %^] …`) or of tidegate (`{start} {client} …`), or the
    /// content of nginx.conf, httpd.conf or goaccess.conf.
    ///
    /// # Errors
    /// There is no format, or none that can be compiled: they have two fields that nothing parts, or no
    /// time.
    pub fn all(text: &str) -> Result<Vec<Self>, LayoutError> {
        Self::find(text).map(|found| found.layouts)
    }

    /// As [`Self::all`], and tells of those that cannot be compiled beside others that can.
    ///
    /// # Errors
    /// As [`Self::all`].
    pub fn find(text: &str) -> Result<FoundLayouts, LayoutError> {
        config::find(text)
    }

    /// Compiles a format of GoAccess with the patterns (strptime's) of its dates and times; an empty
    /// pattern means the common log format's.
    ///
    /// # Errors
    /// As [`Self::all`].
    pub fn goaccess(format: &str, date: &str, time: &str) -> Result<Self, LayoutError> {
        goaccess::compile(format, date, time)
    }

    /// The name that the configuration gives it, or the kind of the string.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads a line. What follows the last operation is ignored.
    pub(crate) fn parse<'a>(
        &self,
        line: &'a [u8],
        draft: &mut Draft<'a>,
        clock: &mut Clock,
    ) -> Result<(), RejectReason> {
        const BAD: RejectReason = RejectReason::NotLayout;
        let mut rest = line;
        let mut civil = Civil::default();
        draft.escape = Some(self.escape);
        for op in &self.ops {
            rest = match op {
                Op::Literal(literal) => rest.strip_prefix(literal.as_slice()).ok_or(BAD)?,
                Op::Spaces => rest.trim_ascii_start(),
                Op::Forwarded(list) => {
                    let (client, after) = list.read(rest);
                    draft.set(Field::ForwardedFor, client, clock)?;
                    if !draft.has(Field::Client) {
                        draft.set(Field::Client, client, clock)?;
                    }
                    after
                }
                Op::Time(pattern) => {
                    pattern.read(rest, &mut civil).ok_or(RejectReason::BadTimestamp)?
                }
                Op::Take(take) => {
                    let end = take.end(rest).ok_or(BAD)?;
                    let (text, after) = rest.split_at(end);
                    if let Some(field) = take.meaning {
                        draft.set(field, text, clock)?;
                    }
                    after
                }
            };
        }
        if !civil.is_empty() {
            let moment = civil.moment(clock).ok_or(RejectReason::BadTimestamp)?;
            draft.set_time(moment, self.time_is_end);
        }
        draft.settle_time(clock, None)
    }
}

impl Take {
    /// Where the field ends in `text`.
    fn end(&self, text: &[u8]) -> Option<usize> {
        let Some(first) = self.until.first() else { return Some(text.len()) };
        // A request has spaces itself; where no quotes are around it, its protocol tells its end.
        let mut from = match self.meaning {
            Some(Field::Request) if *first == b' ' && !self.is_quoted => {
                memmem::find(text, b" HTTP/").map_or(0, |at| at + 1)
            }
            _ => 0,
        };
        loop {
            let rest = text.get(from..)?;
            let at =
                if self.is_quoted { memchr2(*first, b'\\', rest) } else { memchr(*first, rest) };
            let Some(at) = at.map(|at| from + at) else {
                // A field before spaces alone may be the last one of the line.
                let is_last = self.until.iter().all(|byte| *byte == b' ');
                return is_last.then_some(text.len());
            };
            if text.get(at) != Some(first) {
                from = at + 2; // an escaped byte
            } else if text.get(at..)?.starts_with(&self.until) && !self.is_list_comma(text, at) {
                return Some(at);
            } else {
                from = at + 1;
            }
        }
    }

    /// nginx parts the servers that it tried by `, ` and ` : `, which do not end the field.
    fn is_list_comma(&self, text: &[u8], at: usize) -> bool {
        let is_list = matches!(self.meaning, Some(Field::Upstream | Field::UpstreamS));
        is_list
            && self.until == b" "
            && (at > 0 && matches!(text.get(at - 1), Some(b',' | b':'))
                || text.get(at..).is_some_and(|rest| rest.starts_with(b" : ")))
    }
}

/// Collects operations; says where each field ends when all are known.
#[derive(Debug, Default)]
struct Program {
    ops: Vec<Op>,
}

impl Program {
    fn literal(&mut self, bytes: &[u8]) {
        match self.ops.last_mut() {
            Some(Op::Literal(literal)) => literal.extend_from_slice(bytes),
            _ => self.ops.push(Op::Literal(bytes.to_vec())),
        }
    }

    fn take(&mut self, meaning: Option<Field>) {
        // A query right behind the path is one target with it.
        if meaning == Some(Field::Query) && self.is_after_target() {
            return;
        }
        self.ops.push(Op::Take(Take { meaning, until: Vec::new(), is_quoted: false }));
    }

    fn is_after_target(&self) -> bool {
        matches!(self.ops.last(), Some(Op::Take(Take { meaning: Some(Field::Target), .. })))
    }

    fn forwarded(&mut self, set: Vec<u8>) {
        self.ops.push(Op::Forwarded(Forwarded { set, until: None }));
    }

    fn time(&mut self, pattern: Pattern) {
        self.ops.push(Op::Time(pattern));
    }

    fn spaces(&mut self) {
        self.ops.push(Op::Spaces);
    }

    fn literal_text(&mut self, text: &str) {
        if !text.is_empty() {
            self.literal(text.as_bytes());
        }
    }

    fn finish(mut self, name: &str, escape: Escape) -> Result<Layout, LayoutError> {
        if self.ops.len() > OPS_MAX {
            return Err(LayoutError::new(format!("it has more than {OPS_MAX} parts")));
        }
        let followers: Vec<_> = self.ops.iter().skip(1).cloned().map(Some).chain([None]).collect();
        let mut after_quote = false;
        // What a list of addresses has stepped over already.
        let mut passed: Vec<u8> = Vec::new();
        for (op, follower) in self.ops.iter_mut().zip(followers) {
            let stepped_over = std::mem::take(&mut passed);
            match op {
                Op::Literal(literal) => {
                    let known =
                        literal.iter().take_while(|byte| stepped_over.contains(byte)).count();
                    literal.drain(..known);
                }
                Op::Forwarded(list) => {
                    list.until = match &follower {
                        Some(Op::Literal(literal)) => literal.first().copied(),
                        _ => None,
                    };
                    list.until = list.until.filter(|until| !list.set.contains(until));
                    passed = if list.until.is_none() { list.set.clone() } else { Vec::new() };
                }
                _ => {}
            }
            if let Op::Take(take) = op {
                take.until = match follower {
                    Some(Op::Literal(literal)) => literal,
                    Some(Op::Spaces) => b" ".to_vec(),
                    None => Vec::new(),
                    // As in `$host$request_uri`.
                    Some(Op::Take(Take { meaning: Some(Field::Target), .. }))
                        if matches!(take.meaning, None | Some(Field::Host)) =>
                    {
                        b"/".to_vec()
                    }
                    Some(_) => {
                        return Err(LayoutError::new("two fields have nothing between them"));
                    }
                };
                take.is_quoted =
                    escape != Escape::Nothing && after_quote && take.until.starts_with(b"\"");
            }
            after_quote = matches!(op, Op::Literal(literal) if literal.ends_with(b"\""));
        }
        let has_time = self.ops.iter().any(|op| match op {
            Op::Time(_) => true,
            Op::Take(take) => matches!(
                take.meaning,
                Some(Field::Time | Field::TimeAtEnd | Field::Date | Field::EndTime)
            ),
            _ => false,
        });
        if !has_time {
            return Err(LayoutError::new("it has no time"));
        }
        Ok(Layout { name: name.to_owned(), ops: self.ops, time_is_end: false, escape })
    }
}
