//! What the request path calls: see the [module](super) for the sequence.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use policy::cache::{
    Exchange, Forward, NotKept, RequestDirectives, Reuse, Rules, Variant, Wanted, client_has_it,
    conditions, confirms, default_port, head_agrees, if_range_holds, invalidates, is_server_error,
    left_out_of_304, locations, reuse, store, strip_unkept, update, wanted,
};
use traffic::{Fields, Name};

use super::collapse::{Flight, Turn};
use super::entry::{Entry, may_have_body};
use super::fill::{Draft, Fill};
use super::key::{CacheRequest, Key, counted, url_bytes};
use super::purge::{Purge, Standing, Subject};
use super::store::Store;
use crate::params::{Cache, CacheKey, QueryKey};

/// Most tags of one answer; with more it is not kept, since a purge could miss it.
pub const TAGS_MAX: usize = 256;

/// The cache of a route: its rules on a store.
#[derive(Debug, Clone)]
pub struct RouteCache {
    store: Arc<Store>,
    rules: Rules,
    key: CacheKey,
    max_object: u64,
    tag_header: String,
    /// How long a request waits for another one's fetch.
    pub collapse_timeout: Duration,
    /// Whether `Cache-Status` is sent.
    pub status_header: bool,
}

/// A request at the cache: what was found, and what its answer will be judged by.
#[derive(Debug)]
pub struct Visit {
    /// What was found.
    pub found: Found,
    key: Key,
    /// The store's clock before the lookup.
    clock: u64,
    /// What the condition asks about.
    asked: Vec<Arc<Entry>>,
    /// Whether the answer may be kept at all.
    keeps: bool,
    /// Whether the answer would serve others who wait: a plain GET.
    shares: bool,
}

/// What the store holds for a request.
#[derive(Debug)]
pub enum Found {
    /// The cache has no part in this request.
    Bypass(Forward),
    /// Send this.
    Hit(Arc<Entry>),
    /// There is an answer that must be confirmed.
    Stale {
        /// The answer.
        entry: Arc<Entry>,
        /// To be sent on instead of the request's own condition; may be empty.
        conditions: Fields,
        /// It may be sent at once, and is to be fetched again in the background.
        may_serve: bool,
        /// It may be sent when the origin fails.
        if_error: bool,
        /// [`Forward::Stale`], or [`Forward::Request`] when the client wants it confirmed.
        why: Forward,
    },
    /// There is none.
    Miss {
        /// [`Forward::UriMiss`] or [`Forward::VaryMiss`].
        why: Forward,
        /// Asks whether another variant will do; mostly empty.
        conditions: Fields,
    },
    /// There is none at hand, and the client wants no other: 504.
    OnlyIfCached,
}

/// The head of an answer to what was sent on.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// The status.
    pub status: u16,
    /// The fields.
    pub fields: &'a Fields,
    /// When the request was sent on, unix seconds.
    pub requested: i64,
    /// When the head came, unix seconds.
    pub received: i64,
    /// How long the body is, when that is known.
    pub length: Option<u64>,
    /// Whether it depends on what servers are told about the client, which no key holds.
    pub personal: bool,
}

/// What to do with the head of an answer.
#[derive(Debug)]
pub enum Verdict {
    /// Pass it on.
    Pass(Option<NotKept>),
    /// Pass it on, and its body into the fill too.
    Keep(Fill),
    /// Send this entry: the origin confirmed it.
    Confirmed(Arc<Entry>),
    /// Send this stale entry: the origin failed.
    Stale(Arc<Entry>),
    /// The origin confirmed something that is not there: send the request again as it came.
    Again,
}

/// An answer from the store.
#[derive(Debug, Clone)]
pub struct CachedAnswer {
    /// 200 or whatever was kept, 206, 304, 416.
    pub status: u16,
    /// The fields besides `Age`; `None`: those of the entry, or its `head`, as they are.
    pub fields: Option<Fields>,
    /// `Age`, in seconds.
    pub age: u32,
    /// The body; empty for HEAD, 304 and 416.
    pub body: Bytes,
}

impl RouteCache {
    /// The cache of a route on its store.
    pub fn new(params: &Cache, store: Arc<Store>) -> RouteCache {
        RouteCache {
            store,
            rules: params.rules.clone(),
            key: params.key.clone(),
            max_object: params.max_object,
            tag_header: params.tag_header.clone(),
            collapse_timeout: params.collapse_timeout,
            status_header: params.status_header,
        }
    }

    /// The store.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Looks for an answer.
    ///
    /// * `now`: unix seconds
    pub fn lookup(&self, request: &CacheRequest<'_>, now: i64) -> Visit {
        let fields = request.fields;
        let mut visit = Visit {
            found: Found::Bypass(Forward::Method),
            key: Key::of(request, &self.key),
            clock: self.store.clock(),
            asked: Vec::new(),
            keeps: true,
            shares: false,
        };
        let head = request.method == "HEAD";
        if request.method != "GET" && !head {
            return visit;
        }
        let wish = if self.rules.obey_request {
            RequestDirectives::of(fields)
        } else {
            RequestDirectives::default()
        };
        // Conditions for the origin alone, bodies (which are in no key) and other protocols.
        let for_origin = fields.has(Name::IfMatch) || fields.has(Name::IfUnmodifiedSince);
        if request.body || for_origin || wish.no_store || fields.has(Name::Upgrade) {
            visit.keeps = false;
            visit.found = match wish.only_if_cached {
                true => Found::OnlyIfCached,
                false => Found::Bypass(Forward::Bypass),
            };
            return visit;
        }
        let conditional = fields.has(Name::IfNoneMatch) || fields.has(Name::IfModifiedSince);
        visit.shares = !head && !conditional && !fields.has(Name::Range);
        let variants = self.store.variants(&visit.key);
        let selected = variants.as_ref().and_then(|variants| Store::select(variants, fields));
        let Some(entry) = selected else {
            if wish.only_if_cached {
                visit.found = Found::OnlyIfCached;
                return visit;
            }
            let why = if variants.is_some() { Forward::VaryMiss } else { Forward::UriMiss };
            if let (Some(variants), true) = (variants, visit.shares) {
                let tagged = variants.iter().filter(|entry| entry.fields.has(Name::ETag));
                visit.asked = tagged.cloned().collect();
            }
            let mut made = conditions(visit.asked.iter().map(|entry| &entry.fields));
            // A date alone says nothing about another variant.
            made.remove(Name::IfModifiedSince);
            visit.found = Found::Miss { why, conditions: made };
            return visit;
        };
        let outdated = self.store.standing(&entry) == Standing::Stale;
        let (may_serve, if_error) = match reuse(&entry.meta, &wish, now, outdated) {
            Reuse::Serve => {
                visit.found = Found::Hit(entry);
                return visit;
            }
            Reuse::ServeAndRefresh => (true, true),
            Reuse::Validate { if_error } => (false, if_error),
        };
        if wish.only_if_cached && !may_serve {
            visit.found = Found::OnlyIfCached;
            return visit;
        }
        let fresh = entry.meta.ttl(now) > 0 && !outdated;
        visit.asked = vec![Arc::clone(&entry)];
        visit.found = Found::Stale {
            conditions: conditions([&entry.fields].into_iter()),
            entry,
            may_serve,
            if_error,
            why: if fresh { Forward::Request } else { Forward::Stale },
        };
        visit
    }

    /// The part of a query that counts, where not all of it does.
    pub fn counted_query(&self, query: &str) -> Option<Option<String>> {
        (self.key.query != QueryKey::All).then(|| counted(query, &self.key.query))
    }

    /// Joins or begins the fetch of what is missing. To be called once per request: whoever has
    /// waited goes on by itself.
    pub fn join(&self, visit: &Visit, now: i64) -> Turn {
        if !visit.shares { Turn::Alone } else { self.store.flights.join(&visit.key.bytes, now) }
    }

    /// Begins a fetch in the background, unless one is under way.
    pub fn refresh(&self, visit: &Visit, now: i64) -> Option<Flight> {
        match self.store.flights.join(&visit.key.bytes, now) {
            Turn::Lead(flight) => Some(flight),
            Turn::Follow(_) | Turn::Alone => None,
        }
    }

    /// Judges the head of an answer.
    ///
    /// * `request`: as it was looked up
    /// * `flight`: if this request leads others
    pub fn on_response(
        &self,
        visit: &Visit,
        request: &CacheRequest<'_>,
        answer: &Answered<'_>,
        flight: Option<Flight>,
    ) -> Verdict {
        let Answered { status, fields, requested, received: now, length, personal } = *answer;
        let located_here = fields
            .get(Name::ContentLocation)
            .and_then(|location| request.resolve(location))
            .is_some_and(|location| location == request.target());
        let response =
            Response { visit, request, status, fields, requested, now, located_here, personal };
        if status == 304 && visit.made_condition() {
            return self.confirmed(&response, flight);
        }
        if let (true, Some(entry)) = (is_server_error(status), visit.in_case_of_error()) {
            if let Some(flight) = flight {
                flight.failed();
            }
            return Verdict::Stale(entry);
        }
        let mut born = visit.clock;
        if invalidates(request.method, status) {
            // Its own answer may still be kept, unless something else was purged meanwhile.
            let unchanged = self.store.clock() == visit.clock;
            born = self.store.purge_url(visit.key.url(), Purge::Hard);
            if !unchanged || born != visit.clock + 1 {
                born = 0;
            }
            self.invalidate_locations(request, fields);
        }
        if request.method == "HEAD" {
            self.after_head(&response);
            return Verdict::Pass(Some(NotKept::Method));
        }
        match self.draft(&response, born) {
            Ok(draft) => match Fill::begin(&self.store, draft, self.max_object, length, flight) {
                Some(fill) => Verdict::Keep(fill),
                None => Verdict::Pass(None),
            },
            Err(why) => {
                // The new answer is not for the store: the old one has had its day.
                let replaced =
                    matches!(status, 200..=499) && !matches!(status, 206 | 304 | 412 | 416);
                if let (true, Some(entry)) = (replaced, visit.selected()) {
                    self.store.remove(&visit.key, entry);
                }
                if let Some(flight) = flight {
                    flight.alone((about_the_origin(why) && status < 500).then_some(now));
                }
                Verdict::Pass(Some(why))
            }
        }
    }

    /// The origin gave no answer: an entry to send in its place, if there is one.
    pub fn on_failure(&self, visit: &Visit, flight: Option<Flight>) -> Option<Arc<Entry>> {
        if let Some(flight) = flight {
            flight.failed();
        }
        visit.in_case_of_error()
    }

    fn confirmed(&self, x: &Response<'_>, flight: Option<Flight>) -> Verdict {
        let one = |confirmed: &&Arc<Entry>| confirms(x.fields, &confirmed.fields);
        let old = match x.visit.asked.as_slice() {
            // Only one was asked about: that one it is.
            [only] => Some(only),
            several => several.iter().find(one),
        };
        let Some(old) = old else { return Verdict::Again };
        let (entry, kept) = self.freshened(x, old);
        if let Some(flight) = flight {
            match kept && entry.meta.is_of_use(x.now) {
                true => flight.ready(),
                false => flight.alone(Some(x.now)),
            }
        }
        Verdict::Confirmed(entry)
    }

    /// Takes over new fields into a kept answer; tells whether it is kept on.
    fn freshened(&self, x: &Response<'_>, old: &Arc<Entry>) -> (Arc<Entry>, bool) {
        let mut fields = old.fields.clone();
        update(&mut fields, x.fields, x.now);
        let exchange = Exchange {
            method: "GET",
            request: x.request.fields,
            status: old.status,
            response: &fields,
            located_here: false,
            requested: x.requested,
            received: x.now,
        };
        let decision = store(&exchange, &self.rules);
        let variant = Variant::of(x.request.fields, &fields, self.rules.vary_max);
        let tags = self.tags(&fields);
        let kept = decision.is_ok() && variant.is_some() && tags.is_some() && !x.personal;
        let stale =
            policy::cache::Meta { lifetime: 0, initial_age: 0, received: x.now, ..old.meta };
        // Purges since then cover it still: the body is as old as it was.
        let subject = Subject {
            confirmed: x.visit.clock,
            tag_hashes: tags.unwrap_or_default(),
            ..old.subject.clone()
        };
        let meta = decision.unwrap_or(stale);
        strip_unkept(&mut fields);
        let entry = Entry::new(
            old.status,
            fields,
            old.body.clone(),
            meta,
            variant.unwrap_or_default(),
            subject,
        );
        let entry = Arc::new(entry);
        let kept = kept && self.store.insert(&x.visit.key, &entry, x.request.fields);
        if !kept {
            self.store.remove(&x.visit.key, old);
        }
        (entry, kept)
    }

    fn after_head(&self, x: &Response<'_>) {
        let Some(entry) = x.visit.selected() else { return };
        if x.status != 200 || entry.status != 200 {
            return;
        }
        if head_agrees(x.fields, &entry.fields) {
            self.freshened(x, entry);
        } else {
            self.store.remove(&x.visit.key, entry);
        }
    }

    fn draft(&self, x: &Response<'_>, born: u64) -> Result<Draft, NotKept> {
        if !x.visit.keeps {
            return Err(NotKept::Method);
        }
        let exchange = Exchange {
            method: x.request.method,
            request: x.request.fields,
            status: x.status,
            response: x.fields,
            located_here: x.located_here,
            requested: x.requested,
            received: x.now,
        };
        let meta = store(&exchange, &self.rules)?;
        let variant = Variant::of(x.request.fields, x.fields, self.rules.vary_max);
        let (Some(variant), Some(tag_hashes), false) = (variant, self.tags(x.fields), x.personal)
        else {
            return Err(NotKept::Vary);
        };
        let mut fields = x.fields.clone();
        strip_unkept(&mut fields);
        if !may_have_body(x.status) {
            fields.remove(Name::ContentLength);
        }
        let origin = format!("{}://{}:{}", x.request.scheme, x.request.host, x.request.port);
        let subject = Subject {
            path_at: origin.len(),
            url: (origin + &x.request.target()).into(),
            url_hash: self.store.hash(x.visit.key.url()),
            tag_hashes,
            is_exact: x.visit.key.is_url(),
            born,
            confirmed: born,
        };
        Ok(Draft {
            key: x.visit.key.clone(),
            request: x.request.fields.clone(),
            status: x.status,
            fields,
            meta,
            variant,
            subject,
        })
    }

    /// Hashes of the tags; `None` when there are too many.
    fn tags(&self, fields: &Fields) -> Option<Box<[u64]>> {
        let mut hashes = Vec::new();
        for line in fields.all_named(&self.tag_header) {
            let tags = line.split(|byte| *byte == b',' || byte.is_ascii_whitespace());
            for tag in tags.filter(|tag| !tag.is_empty()) {
                if hashes.len() == TAGS_MAX {
                    return None;
                }
                hashes.push(self.store.hash(tag));
            }
        }
        Some(hashes.into())
    }

    fn invalidate_locations(&self, request: &CacheRequest<'_>, fields: &Fields) {
        let target = request.target();
        let (scheme, host, port) = (request.scheme, request.host, request.port);
        // The request's own URL has been purged already.
        let named = locations(fields, scheme, host, port, &target).filter(|named| *named != target);
        for location in named {
            self.purge_target(scheme, host, port, &location, Purge::Hard);
        }
    }

    fn purge_target(&self, scheme: &str, host: &str, port: u16, target: &str, purge: Purge) {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let mut normal = String::new();
        // What cannot be normalised was never a request's path.
        if wire::target::normalise_path(path, &mut normal).is_ok() {
            let url = url_bytes(scheme, host, port, &normal, query, &self.key.query);
            self.store.purge_url(&url, purge);
        }
    }

    /// Purges one URL in all its variants; false when it is none.
    ///
    /// * `url`: with scheme and host
    pub fn purge_url(&self, url: &str, purge: Purge) -> bool {
        let Some((scheme, rest)) = url.split_once("://") else { return false };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let Ok((host, port)) = wire::target::host_of(authority) else { return false };
        let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
        let port = port.unwrap_or_else(|| default_port(&scheme));
        let target = target.split('#').next().unwrap_or_default();
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        self.purge_target(&scheme, host.trim_end_matches('.'), port, &target, purge);
        true
    }

    /// What is sent for an entry: all of it, a part, or that the client has it already.
    ///
    /// * `now`: unix seconds
    pub fn answer(&self, entry: &Entry, request: &CacheRequest<'_>, now: i64) -> CachedAnswer {
        let (age, asked) = (entry.age(now), request.fields);
        let made = |status, fields, body| CachedAnswer { status, fields: Some(fields), age, body };
        let head = request.method == "HEAD";
        if entry.status == 200 && client_has_it(asked, &entry.fields, entry.meta.received) {
            let mut fields = entry.fields.clone();
            let has_tag = fields.has(Name::ETag);
            fields.retain(|field| !left_out_of_304(field.known, has_tag));
            return made(304, fields, Bytes::new());
        }
        let whole = CachedAnswer {
            status: entry.status,
            fields: None,
            age,
            body: if head { Bytes::new() } else { entry.body.clone() },
        };
        let range = asked.get(Name::Range).filter(|_| entry.status == 200 && !head);
        let Some(range) = range.filter(|_| if_range_holds(asked, &entry.fields)) else {
            return whole;
        };
        let length = entry.body.len() as u64;
        match wanted(range, length) {
            Wanted::Whole => whole,
            Wanted::Outside => {
                let mut fields = Fields::new();
                for name in [Name::Date, Name::ETag, Name::Vary, Name::CacheControl] {
                    for value in entry.fields.all(name) {
                        fields.push_known(name, value);
                    }
                }
                fields.set(Name::ContentRange, format!("bytes */{length}").as_bytes());
                fields.set(Name::ContentLength, b"0");
                made(416, fields, Bytes::new())
            }
            Wanted::Part { start, end } => {
                let mut fields = entry.fields.clone();
                let range = format!("bytes {start}-{}/{length}", end - 1);
                fields.set(Name::ContentRange, range.as_bytes());
                fields.set(Name::ContentLength, (end - start).to_string().as_bytes());
                // Both are within the body, whose length is a usize.
                made(206, fields, entry.body.slice(start as usize..end as usize))
            }
        }
    }
}

/// An answer being judged.
struct Response<'a> {
    visit: &'a Visit,
    request: &'a CacheRequest<'a>,
    status: u16,
    fields: &'a Fields,
    requested: i64,
    now: i64,
    located_here: bool,
    personal: bool,
}

impl Visit {
    /// Puts the cache's condition in the place of the client's, if there is one.
    pub fn prepare(&self, fields: &mut Fields) {
        let Some(conditions) = self.conditions().filter(|made| !made.is_empty()) else { return };
        fields.remove(Name::IfNoneMatch);
        fields.remove(Name::IfModifiedSince);
        for field in conditions.iter() {
            fields.push(field.name, field.value);
        }
    }

    fn conditions(&self) -> Option<&Fields> {
        match &self.found {
            Found::Stale { conditions, .. } | Found::Miss { conditions, .. } => Some(conditions),
            _ => None,
        }
    }

    /// Whether a 304 answers the cache's condition, and not the client's.
    fn made_condition(&self) -> bool {
        self.conditions().is_some_and(|made| !made.is_empty())
    }

    /// The entry that is stale.
    fn selected(&self) -> Option<&Arc<Entry>> {
        match &self.found {
            Found::Stale { entry, .. } => Some(entry),
            _ => None,
        }
    }

    /// The stale entry, if it may be sent when the origin fails.
    pub fn in_case_of_error(&self) -> Option<Arc<Entry>> {
        match &self.found {
            Found::Stale { entry, if_error: true, .. } => Some(Arc::clone(entry)),
            _ => None,
        }
    }
}

/// Whether the next answer to anybody will most likely not be kept either.
fn about_the_origin(why: NotKept) -> bool {
    matches!(
        why,
        NotKept::NoStore
            | NotKept::Private
            | NotKept::NotUnderstood
            | NotKept::Vary
            | NotKept::SetCookie
            | NotKept::NoUse
    )
}
