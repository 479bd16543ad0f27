//! The pass over the records.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};
use std::thread;

use foldhash::quality::FixedState;

use super::anonymise::anonymise;
use super::counter::Hit;
use super::distinct::Distinct;
use super::filter::Filter;
use super::instance::Tracked;
use super::keys::{Counted, Keys, OTHER_ID, mix};
use super::latency::Latency;
use super::overlap::{DURATION_MAX_US, Overlap};
use super::path::{PathKind, is_login, kind_of, path_of};
use super::rates::Rates;
use super::series::{PAGES_MAX, Series};
use super::slowest::Slowest;
use super::suspects::Suspects;
use crate::{Record, Reject, Sink};

/// What a pass over a log should do.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Which records count.
    pub filter: Filter,
    /// Whether client addresses are shortened before anything is kept, see [`anonymise`].
    pub anonymise: bool,
    /// Whether the client is the first address of `X-Forwarded-For` where the log has it. Only right
    /// behind a proxy that is trusted: clients can send any.
    pub forwarded: bool,
    /// How much is kept.
    pub limits: Limits,
    /// Threads that merging and the report may use; 0 is one.
    pub jobs: usize,
}

/// Caps on what a pass keeps. They bound its memory: a key takes about 100 bytes and its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Distinct texts of each kind (paths, clients, agents …); what comes after counts as `(other)`.
    pub keys: usize,
    /// Visitors that are counted exactly; beyond, HyperLogLog estimates them.
    pub visitors: usize,
    /// Triples of client, agent and minute for the findings about rates; beyond, minutes become ten
    /// minutes, hours, days.
    pub rates: usize,
}

/// [`Limits::keys`] unless said otherwise.
pub(crate) const KEYS_MAX: usize = 20_000_000;
/// [`Limits::visitors`] unless said otherwise.
pub(crate) const VISITORS_EXACT_MAX: usize = 2_000_000;
/// [`Limits::rates`] unless said otherwise.
pub(crate) const RATES_MAX: usize = 1 << 22;
/// Upstream servers that are followed over time; with more, none is.
pub(crate) const UPSTREAMS_MAX: usize = 256;

impl Default for Limits {
    fn default() -> Self {
        Self { keys: KEYS_MAX, visitors: VISITORS_EXACT_MAX, rates: RATES_MAX }
    }
}

/// Latest time that is counted as it is, in µs from the epoch either way: the year 9999. Calendars end
/// there, and no log has such times but by mistake.
const TIME_MAX_US: i64 = 253_402_207_200_000_000;

/// The kinds of texts that are counted as the records come; other panels are made of these at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Status,
    Method,
    Protocol,
    Host,
    Path,
    NotFound,
    Client,
    User,
    /// Hours since the epoch in the log's zone, as 8 bytes.
    Hour,
    Agent,
    Referrer,
    Cache,
    Tls,
    Mime,
    Upstream,
    Route,
    Variants,
    Country,
}

pub(crate) const KINDS: usize = Kind::Country as usize + 1;

/// Everything that is kept of the records so far; see the [module](super).
pub struct Aggregate {
    pub(crate) setup: Setup,
    pub(crate) parsed: u64,
    pub(crate) excluded: u64,
    pub(crate) rejects: BTreeMap<String, u64>,
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
    pub(crate) first_us: i64,
    pub(crate) last_us: i64,
    /// Westernmost and easternmost zone, in minutes east of UTC.
    pub(crate) zones_min: (i16, i16),
    pub(crate) visitors: Distinct,
    pub(crate) keys: [Keys; KINDS],
    pub(crate) latency: Latency,
    pub(crate) slowest: Slowest,
    /// Requests by second, at their start.
    pub(crate) arrivals: Series<1>,
    /// Requests by minute: all, then by status class 1xx to 5xx, then others.
    pub(crate) classes: Series<7>,
    pub(crate) overlap: Option<Overlap>,
    /// By number of the upstream; `None` inside where it answered nothing, outside with too many.
    pub(crate) upstreams: Option<Vec<Option<Tracked>>>,
    /// Client and agent by minute.
    pub(crate) rates: Rates,
    /// Refused logins: client and path by minute.
    pub(crate) logins: Rates,
    pub(crate) suspects: Suspects,
    /// By number of the path.
    path_kinds: Vec<(PathKind, bool)>,
    counted: Counted,
}

impl Aggregate {
    /// One that has seen nothing. Those that will be merged must have the same setup.
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        let limits = setup.limits;
        Self {
            setup: setup.clone(),
            parsed: 0,
            excluded: 0,
            rejects: BTreeMap::new(),
            requests: 0,
            bytes: 0,
            first_us: i64::MAX,
            last_us: i64::MIN,
            zones_min: (i16::MAX, i16::MIN),
            visitors: Distinct::default(),
            keys: std::array::from_fn(|_| Keys::new(limits.keys.min(u32::MAX as usize - 1))),
            latency: Latency::default(),
            slowest: Slowest::default(),
            arrivals: Series::new(1, PAGES_MAX),
            classes: Series::new(60, PAGES_MAX),
            overlap: None,
            upstreams: Some(Vec::new()),
            rates: Rates::new(limits.rates),
            logins: Rates::new(limits.rates),
            suspects: Suspects::default(),
            path_kinds: Vec::new(),
            counted: Counted::new(),
        }
    }

    /// Adds all that `other` has seen. Any order of merging gives the same.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.parsed += other.parsed;
        self.excluded += other.excluded;
        for (reason, count) in other.rejects {
            *self.rejects.entry(reason).or_default() += count;
        }
        self.requests += other.requests;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.first_us = self.first_us.min(other.first_us);
        self.last_us = self.last_us.max(other.last_us);
        self.add_zones(other.zones_min);
        self.visitors.merge(&other.visitors, self.setup.limits.visitors);
        self.latency.merge(&other.latency);
        self.slowest.merge(other.slowest);
        self.arrivals.merge(other.arrivals);
        self.classes.merge(other.classes);
        if let Some(theirs) = other.overlap {
            merge_overlap(&mut self.overlap, theirs);
        }

        let jobs = self.setup.jobs;
        let maps = merge_keys(&mut self.keys, &other.keys, jobs);
        let map = |kind: Kind| maps[kind as usize].as_slice();
        self.rates.merge(other.rates, map(Kind::Client), map(Kind::Agent), jobs);
        self.logins.merge(other.logins, map(Kind::Client), map(Kind::Path), jobs);
        self.suspects.merge(&other.suspects, map(Kind::Client));
        self.limit_upstreams();
        match other.upstreams {
            None => self.upstreams = None,
            Some(theirs) => {
                for (theirs, id) in theirs.into_iter().zip(map(Kind::Upstream)) {
                    if let (Some(theirs), Some(place)) = (theirs, place(&mut self.upstreams, *id)) {
                        place.get_or_insert_with(Tracked::new).merge(theirs);
                    }
                }
            }
        }
        self
    }

    /// Counts lines that an earlier reading rejected for `reason`.
    pub fn add_rejected(&mut self, reason: &str, count: u64) {
        *self.rejects.entry(reason.to_owned()).or_default() += count;
    }

    /// What the path with this number is asked for, and whether people may log in there.
    fn path_kind(&mut self, id: u32) -> (PathKind, bool) {
        let paths = &self.keys[Kind::Path as usize];
        while self.path_kinds.len() <= paths.len() {
            let path = paths.text(self.path_kinds.len() as u32);
            self.path_kinds.push((kind_of(path), is_login(path)));
        }
        self.path_kinds.get(id as usize).copied().unwrap_or((PathKind::Plain, false))
    }

    #[inline]
    fn count(&mut self, kind: Kind, text: &[u8], hit: &Hit) -> u32 {
        let keys = &mut self.keys[kind as usize];
        let id = keys.id(text);
        keys.count(id, hit, self.counted.panel(kind as u64));
        id
    }

    #[inline]
    fn add_zones(&mut self, (west, east): (i16, i16)) {
        self.zones_min = (self.zones_min.0.min(west), self.zones_min.1.max(east));
    }

    #[inline]
    fn count_some(&mut self, kind: Kind, text: Option<&[u8]>, hit: &Hit) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.count(kind, text, hit);
        }
    }

    /// The number of the client and who the visitor is; none without a client.
    #[inline]
    fn who(&mut self, client: &[u8], agent: Option<&[u8]>, day: i64) -> (u32, u32, Option<u64>) {
        let agent_id = agent.map_or(OTHER_ID, |agent| self.keys[Kind::Agent as usize].id(agent));
        if client.is_empty() {
            return (OTHER_ID, agent_id, None);
        }
        let client_id = self.keys[Kind::Client as usize].id(client);
        let print = |kind: Kind, id: u32, text: &[u8]| match id {
            // Beyond the cap visitors are still told apart.
            OTHER_ID => FixedState::with_seed(0).hash_one(text),
            id => self.keys[kind as usize].print(id),
        };
        let client = print(Kind::Client, client_id, client);
        let agent = print(Kind::Agent, agent_id, agent.unwrap_or_default());
        (client_id, agent_id, Some(mix(mix(client, agent), day as u64)))
    }

    /// Counts the one or two moments of a request in the series over time.
    #[inline]
    fn count_time(&mut self, record: &Record<'_>, class: u8) {
        let start_us = start_us(record, record.duration_us);
        let start_s = start_us.div_euclid(1_000_000);
        self.arrivals.add(start_s, [record.weight]);
        let mut classes = [record.weight, 0, 0, 0, 0, 0, 0];
        classes[if class == 0 { 6 } else { usize::from(class) }] = record.weight;
        self.classes.add(start_s, classes);
        if let Some(us) = record.duration_us {
            self.latency.record(us, record.weight);
            let overlap = self.overlap.get_or_insert_with(|| Overlap::new(PAGES_MAX / 2));
            overlap.add(start_us, us, record.weight);
        }
    }

    #[inline]
    fn count_upstream(&mut self, record: &Record<'_>, hit: &Hit) {
        let Some(upstream) = record.upstream else { return };
        let took = record.upstream_us.or(record.duration_us);
        let id = self.count(Kind::Upstream, upstream, &Hit { duration_us: took, ..*hit });
        self.limit_upstreams();
        if let Some(place) = place(&mut self.upstreams, id) {
            // What is not the upstream's time is most often sending the answer, so both start together.
            let start_us = start_us(record, record.duration_us.or(took));
            let took = took.map(|us| us.min(DURATION_MAX_US));
            place.get_or_insert_with(Tracked::new).add(start_us, took, hit.class, record.weight);
        }
    }

    /// Follows no upstream when there are too many.
    #[inline]
    fn limit_upstreams(&mut self) {
        if self.keys[Kind::Upstream as usize].len() > UPSTREAMS_MAX {
            self.upstreams = None;
        }
    }

    /// Counts what findings need.
    #[inline]
    fn count_behaviour(&mut self, record: &Record<'_>, client: u32, agent: u32, path: u32) {
        let at_s = record.time_us.div_euclid(1_000_000);
        self.rates.add(client, agent, at_s, record.weight);
        let (kind, is_login) = self.path_kind(path);
        let status = record.status.unwrap_or(0);
        let print = self.keys[Kind::Path as usize].print(path);
        self.suspects.see(client, status, (kind, is_login), print, record.weight);
        // WordPress answers a refused login with 200 and an accepted one with 302.
        let is_refused = match status {
            401 | 403 | 429 => is_login,
            200 => self.keys[Kind::Path as usize].text(path).ends_with(b"/wp-login.php"),
            _ => false,
        };
        if is_refused && record.method == Some(b"POST") {
            self.logins.add(client, path, at_s, record.weight);
        }
    }
}

impl Sink for Aggregate {
    #[inline]
    fn record(&mut self, record: &Record<'_>) {
        if record.time_us.unsigned_abs() > TIME_MAX_US.unsigned_abs() {
            let time_us = record.time_us.clamp(-TIME_MAX_US, TIME_MAX_US);
            return self.record(&Record { time_us, ..*record });
        }
        if self.setup.forwarded
            && let Some(client) = record.forwarded_for
        {
            // From here on it is the client, for filters too.
            return self.record(&Record { client, forwarded_for: None, ..*record });
        }
        self.parsed += 1;
        if !self.setup.filter.accepts(record) {
            self.excluded += 1;
            return;
        }
        let client = record.client;
        let client = if self.setup.anonymise { anonymise(client) } else { Cow::Borrowed(client) };
        let class = record.status.map_or(0, |status| (status / 100) as u8);
        let class = if (1..=5).contains(&class) { class } else { 0 };
        let hour = local_hour(record);
        let agent = record.agent.filter(|agent| !agent.is_empty());
        let (client_id, agent_id, visitor) = self.who(&client, agent, hour.div_euclid(24));
        let hit = Hit {
            weight: record.weight,
            bytes: record.bytes.unwrap_or(0),
            class,
            duration_us: record.duration_us,
            // As GoAccess counts by default: a request that a client got wrong makes no visitor.
            visitor: visitor.filter(|_| class != 4),
        };

        self.requests += hit.weight;
        self.bytes = self.bytes.saturating_add(hit.bytes);
        self.first_us = self.first_us.min(record.time_us);
        self.last_us = self.last_us.max(record.time_us);
        self.add_zones((record.offset_min, record.offset_min));
        self.count_time(record, class);
        if let Some(us) = record.duration_us {
            self.slowest.record(record, &client, us);
        }

        if visitor.is_some() {
            let clients = &mut self.keys[Kind::Client as usize];
            clients.count(client_id, &hit, self.counted.panel(Kind::Client as u64));
        }
        if let Some(visitor) = hit.visitor
            && self.counted.panel(KINDS as u64).is_new(visitor, 0)
        {
            self.visitors.insert(visitor, self.setup.limits.visitors);
        }
        if agent.is_some() {
            let agents = &mut self.keys[Kind::Agent as usize];
            agents.count(agent_id, &hit, self.counted.panel(Kind::Agent as u64));
        }
        self.count(Kind::Hour, &hour.to_be_bytes(), &hit);
        if let Some(status) = record.status {
            self.count(Kind::Status, &digits(status), &hit);
        }
        if let Some(target) = record.target {
            let path = path_of(target);
            let path_id = self.count(Kind::Path, path, &hit);
            if record.status == Some(404) {
                self.count(Kind::NotFound, path, &hit);
            }
            if visitor.is_some() {
                self.count_behaviour(record, client_id, agent_id, path_id);
            }
        }
        self.count_some(Kind::Method, record.method, &hit);
        self.count_some(Kind::Protocol, record.protocol, &hit);
        self.count_some(Kind::Host, record.host, &hit);
        self.count_some(Kind::User, record.user, &hit);
        self.count_some(Kind::Referrer, record.referrer, &hit);
        self.count_some(Kind::Cache, record.cache, &hit);
        self.count_some(Kind::Tls, record.tls, &hit);
        self.count_some(Kind::Mime, record.mime, &hit);
        self.count_some(Kind::Route, record.route, &hit);
        self.count_some(Kind::Variants, record.variants, &hit);
        self.count_some(Kind::Country, record.country, &hit);
        self.count_upstream(record, &hit);
    }

    fn reject(&mut self, reject: &Reject<'_>) {
        *self.rejects.entry(reject.reason.to_string()).or_default() += 1;
    }
}

/// When the request started, as far as the log tells; a log's mistake moves it by a day at most.
#[inline]
fn start_us(record: &Record<'_>, duration_us: Option<u64>) -> i64 {
    match duration_us {
        Some(us) if record.time_is_end => {
            record.time_us.saturating_sub_unsigned(us.min(DURATION_MAX_US))
        }
        _ => record.time_us,
    }
}

/// Hours since the epoch on the clock of the log's zone.
#[inline]
fn local_hour(record: &Record<'_>) -> i64 {
    let offset_us = i64::from(record.offset_min) * 60_000_000;
    record.time_us.saturating_add(offset_us).div_euclid(3_600_000_000)
}

/// A status as three digits.
#[inline]
fn digits(status: u16) -> [u8; 3] {
    let status = status.min(999);
    [b'0' + (status / 100) as u8, b'0' + (status / 10 % 10) as u8, b'0' + (status % 10) as u8]
}

/// Where what the upstream `id` did is kept.
fn place(upstreams: &mut Option<Vec<Option<Tracked>>>, id: u32) -> Option<&mut Option<Tracked>> {
    let kept = upstreams.as_mut()?;
    if kept.len() <= id as usize {
        kept.resize_with(id as usize + 1, || None);
    }
    kept.get_mut(id as usize)
}

/// Merges kind by kind, the kinds side by side; the numbers here of the numbers there, by kind.
fn merge_keys(ours: &mut [Keys; KINDS], theirs: &[Keys; KINDS], jobs: usize) -> [Vec<u32>; KINDS] {
    let mut maps: [Vec<u32>; KINDS] = std::array::from_fn(|_| Vec::new());
    let kinds = Mutex::new(maps.iter_mut().zip(ours).zip(theirs));
    let next = || kinds.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some(((map, ours), theirs)) = next() {
            *map = ours.merge(theirs);
        }
    };
    thread::scope(|scope| {
        (1..jobs.min(KINDS)).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    maps
}

fn merge_overlap(ours: &mut Option<Overlap>, theirs: Overlap) {
    match ours {
        Some(ours) => ours.merge(theirs),
        None => *ours = Some(theirs),
    }
}
