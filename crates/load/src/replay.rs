//! A recorded sequence of requests, to be sent with its own timing.

use std::collections::HashMap;
use std::time::Duration;

use http::Method;
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use traffic::{Hit, endpoint_of, path_of};

use crate::results::ReplayAccount;
use crate::scenario::{ENDPOINTS_MAX, Endpoint, OTHER_NAME};

/// Most requests of one recording.
pub const REPLAY_ENTRIES_MAX: usize = 20_000_000;

/// Longest request target that is replayed, in bytes.
pub const TARGET_BYTES_MAX: usize = 16 << 10;

/// One recorded request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayEntry {
    /// Offset from the first request of the recording, in microseconds.
    pub offset_us: u64,
    /// Index into [`Replay::requests`].
    pub request: u32,
}

/// A request that occurs in a recording, once or often.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReplayRequest {
    /// Method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// `User-Agent`.
    pub agent: Option<String>,
    /// Index into [`Replay::endpoints`].
    pub endpoint: usize,
}

/// A recording: entries in order of time, over a table of distinct requests.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    /// What is sent when, in order of time.
    pub entries: Vec<ReplayEntry>,
    /// The distinct requests.
    pub requests: Vec<ReplayRequest>,
    /// Rows of the report: methods and paths with ids replaced.
    pub endpoints: Vec<Endpoint>,
    /// Lines and what became of them.
    pub account: ReplayAccount,
}

impl Replay {
    /// How long the recording lasts.
    pub fn length(&self) -> Duration {
        Duration::from_micros(self.entries.last().map_or(0, |entry| entry.offset_us))
    }
}

/// Why a recording cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// More requests than fit.
    #[error("the recording holds more than {REPLAY_ENTRIES_MAX} requests; cut it into parts")]
    TooLong,
    /// No request to send.
    #[error(
        "the recording holds no request that may be sent ({parsed} parsed, {rejected} rejected, {skipped} skipped by method)"
    )]
    Empty {
        /// Requests parsed.
        parsed: u64,
        /// Lines rejected.
        rejected: u64,
        /// Requests skipped because of their method.
        skipped: u64,
    },
}

/// Collects a recording from the hits of a log.
#[derive(Debug, Default)]
pub struct ReplayBuilder {
    unsafe_methods: bool,
    entries: Vec<(i64, u32)>,
    requests: Vec<ReplayRequest>,
    request_index: HashMap<(Method, String, Option<String>), u32>,
    endpoints: Vec<Endpoint>,
    endpoint_index: HashMap<(Method, String), usize>,
    account: ReplayAccount,
}

impl ReplayBuilder {
    /// An empty recording. Unless `unsafe_methods`, only GET and HEAD are kept to be sent.
    pub fn new(unsafe_methods: bool) -> ReplayBuilder {
        ReplayBuilder { unsafe_methods, ..ReplayBuilder::default() }
    }

    /// Takes one parsed line.
    ///
    /// # Errors
    /// [`ReplayError::TooLong`] beyond [`REPLAY_ENTRIES_MAX`] requests.
    pub fn hit(&mut self, hit: &Hit<'_>) -> Result<(), ReplayError> {
        self.account.lines += 1;
        let Some((method, target)) = sendable(hit) else {
            count(&mut self.account.rejected, "request cannot be sent");
            return Ok(());
        };
        self.account.parsed += 1;
        if !self.unsafe_methods && method != Method::GET && method != Method::HEAD {
            count(&mut self.account.skipped, method.as_str());
            return Ok(());
        }
        if self.entries.len() >= REPLAY_ENTRIES_MAX {
            return Err(ReplayError::TooLong);
        }
        let agent = hit
            .agent
            .and_then(|agent| std::str::from_utf8(agent).ok())
            .filter(|agent| {
                !agent.is_empty() && !agent.bytes().any(|byte| byte < b' ' || byte == 127)
            })
            .map(str::to_owned);
        let key = (method, target, agent);
        let request = match self.request_index.get(&key) {
            Some(&request) => request,
            None => {
                let endpoint = self.endpoint(&key.0, &key.1);
                let index = self.requests.len() as u32;
                let (method, target, agent) = key.clone();
                self.requests.push(ReplayRequest { method, target, agent, endpoint });
                self.request_index.insert(key, index);
                index
            }
        };
        self.entries.push((hit.start_us, request));
        Ok(())
    }

    /// Takes one line that is not a request.
    pub fn rejected(&mut self, reason: &str) {
        self.account.lines += 1;
        count(&mut self.account.rejected, reason);
    }

    /// The recording so far.
    pub fn account(&self) -> &ReplayAccount {
        &self.account
    }

    /// Sorts by time and counts offsets from the first request.
    ///
    /// # Errors
    /// [`ReplayError::Empty`] when there is nothing to send.
    pub fn finish(mut self) -> Result<Replay, ReplayError> {
        // Logs are written in the order of completion; the sort is stable for equal starts.
        self.entries.sort_by_key(|&(start_us, _)| start_us);
        let Some(&(first_us, _)) = self.entries.first() else {
            return Err(ReplayError::Empty {
                parsed: self.account.parsed,
                rejected: self.account.rejected_total(),
                skipped: self.account.skipped_total(),
            });
        };
        let entries = self
            .entries
            .into_iter()
            .map(|(start_us, request)| ReplayEntry {
                offset_us: start_us.abs_diff(first_us),
                request,
            })
            .collect();
        Ok(Replay {
            entries,
            requests: self.requests,
            endpoints: self.endpoints,
            account: self.account,
        })
    }

    fn endpoint(&mut self, method: &Method, target: &str) -> usize {
        // One row less than the limit, so that there is room for the last one.
        let name = if self.endpoints.len() < ENDPOINTS_MAX - 1 {
            endpoint_of(target).into_owned()
        } else {
            OTHER_NAME.to_owned()
        };
        let key = (method.clone(), name);
        if let Some(&index) = self.endpoint_index.get(&key) {
            return index;
        }
        let index = self.endpoints.len();
        if index >= ENDPOINTS_MAX {
            return index - 1;
        }
        self.endpoints.push(Endpoint { name: key.1.clone(), method: key.0.clone() });
        self.endpoint_index.insert(key, index);
        index
    }
}

/// Method and target in origin form, if the hit can be sent as a request. What may not stand in a
/// request line (spaces, control characters, bytes beyond ASCII) is percent-encoded.
fn sendable(hit: &Hit<'_>) -> Option<(Method, String)> {
    const ENCODED: &AsciiSet = &CONTROLS.add(b' ');
    let method = Method::from_bytes(hit.method).ok()?;
    let target = percent_encode(hit.target, ENCODED).to_string();
    if target.len() > TARGET_BYTES_MAX || method == Method::CONNECT || target == "*" {
        return None;
    }
    if target.starts_with('/') {
        return Some((method, target));
    }
    // An absolute URI names a host of its own; the path is what is replayed.
    if target.contains("://") {
        let path = path_of(&target);
        let query = target.find('?').map_or("", |at| &target[at..]);
        return Some((method, format!("{path}{query}")));
    }
    Some((method, format!("/{target}")))
}

fn count(counts: &mut Vec<(String, u64)>, key: &str) {
    match counts.iter_mut().find(|(known, _)| known == key) {
        Some((_, count)) => *count += 1,
        None => counts.push((key.to_owned(), 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit<'a>(start_us: i64, method: &'a str, target: &'a str) -> Hit<'a> {
        Hit { start_us, method: method.as_bytes(), target: target.as_bytes(), ..Hit::default() }
    }

    #[test]
    fn lines_are_accounted_for_and_sorted() {
        let mut builder = ReplayBuilder::new(false);
        for (at, method, target) in [
            (2_000_000, "GET", "/b/2"),
            (1_000_000, "GET", "/b/1?q"),
            (1_500_000, "POST", "/login"),
            (3_000_000, "HEAD", "/b/1?q"),
            (3_000_000, "GET", "http://h.example/x?y"),
            (3_000_000, "GET", "/a path"),
            (3_000_000, "OPTIONS", "*"),
        ] {
            builder.hit(&hit(at, method, target)).unwrap();
        }
        builder.rejected("no timestamp");
        let replay = builder.finish().unwrap();
        let sent: Vec<(u64, &str)> = replay
            .entries
            .iter()
            .map(|entry| (entry.offset_us, replay.requests[entry.request as usize].target.as_str()))
            .collect();
        assert_eq!(
            sent,
            [
                (0, "/b/1?q"),
                (1_000_000, "/b/2"),
                (2_000_000, "/b/1?q"),
                (2_000_000, "/x?y"),
                (2_000_000, "/a%20path")
            ]
        );
        let account = &replay.account;
        assert_eq!((account.lines, account.parsed, account.rejected_total()), (8, 6, 2));
        assert_eq!(account.skipped, [("POST".to_owned(), 1)]);
        let names: Vec<&str> =
            replay.endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
        assert_eq!(names, ["/b/{id}", "/b/{id}", "/x", "/a%20path"]);
    }

    #[test]
    fn names_are_capped() {
        let mut builder = ReplayBuilder::new(true);
        for k in 0..ENDPOINTS_MAX + 10 {
            // Letters only, so that no segment looks like an id.
            let word: String =
                k.to_string().bytes().map(|digit| (digit - b'0' + b'a') as char).collect();
            builder.hit(&hit(0, "GET", &format!("/{word}"))).unwrap();
            builder.hit(&hit(0, "PUT", &format!("/{word}"))).unwrap();
        }
        let replay = builder.finish().unwrap();
        assert_eq!(replay.endpoints.len(), ENDPOINTS_MAX);
        assert_eq!(replay.endpoints[ENDPOINTS_MAX - 1].name, OTHER_NAME);
    }
}
