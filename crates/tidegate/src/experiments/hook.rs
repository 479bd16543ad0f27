//! What the gateway asks of experiments.

use std::any::Any;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use experiment::evaluate::Context;
use experiment::event::UnixMicros;
use experiment::live::params::{CookieParams, ServiceParams};
use experiment::live::{Concern, LINK_NAME, Live, Request as Seen, Served as Exposed};
use experiment::model::limits::{EXPERIMENTS_MAX, UNIT_BYTES_MAX};
use experiment::model::{Source, UnixMillis};
use experiment::targeting::is_bot;
use gateway::{Asked, Experiments, Served, Treatment};

use super::bearer::Verifier;
use super::request::{Request, browser};
use super::treat::{Hindrance, apply, hindrance};

/// Experiments whose hindrances were told.
const TOLD_MAX: usize = EXPERIMENTS_MAX;

/// Decides about requests with the live service.
pub(super) struct Hook {
    pub(super) live: Arc<Live>,
    cookie: CookieParams,
    country_header: Option<String>,
    bearer: Verifier,
    /// Experiments that were told of because they cannot be served.
    told: Mutex<HashSet<String>>,
}

/// What is remembered of a request until it was answered.
struct Note {
    browser: &'static str,
    country: String,
    served: Vec<Noted>,
}

struct Noted {
    experiment: String,
    unit: String,
    variant: u16,
    phase: u16,
}

/// The ids of one request.
struct Ids<'a> {
    request: Request<'a>,
    hook: &'a Hook,
    now: UnixMillis,
    bot: bool,
    /// Cookies of devices that were made for this request: name and id.
    new: Vec<(String, String)>,
}

impl Hook {
    /// # Errors
    /// When a key for bearer tokens cannot be read.
    pub(super) fn new(live: Arc<Live>, params: &ServiceParams) -> Result<Hook, String> {
        Ok(Hook {
            live,
            cookie: params.cookie,
            country_header: params.country_header.clone(),
            bearer: Verifier::new(&params.bearer_keys)?,
            told: Mutex::default(),
        })
    }

    /// Says once for each experiment what keeps it from being served and counted.
    fn tell(&self, experiment: &str, hindrance: Hindrance<'_>) {
        let why = match hindrance {
            Hindrance::Path | Hindrance::Method => return,
            Hindrance::Taken => "another experiment has its way with some requests".to_owned(),
            Hindrance::NoUpstream(name) => format!("the gateway has no upstream `{name}`"),
        };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < TOLD_MAX && !told.contains(experiment) {
            told.insert(experiment.to_owned());
            tracing::warn!(experiment, "{why}: these are not counted");
        }
    }

    fn set_cookie(&self, scheme: &str, name: &str, value: &str, max_age_s: u64) -> String {
        let secure = if scheme == "https" { "; Secure" } else { "" };
        let http_only = if self.cookie.http_only { "; HttpOnly" } else { "" };
        format!("{name}={value}; Path=/; Max-Age={max_age_s}; SameSite=Lax{secure}{http_only}")
    }
}

impl Experiments for Hook {
    fn treat(&self, asked: &Asked<'_>) -> Treatment {
        let mut treatment = Treatment::default();
        let current = self.live.current();
        // What may be done is asked without cookies, and served to nobody.
        if current.gateway().is_empty() || asked.method == "OPTIONS" {
            return treatment;
        }
        let request = Request::new(asked, self.country_header.as_deref());
        let now = UnixMillis::try_from(asked.unix_us / 1_000).unwrap_or(0);
        let link = request.parameter(LINK_NAME).unwrap_or_default();
        let linked = self.live.signer().choices(&link, now);
        let is_linked = !linked.variants.is_empty();
        let kept = request.cookie_text(LINK_NAME).filter(|_| !is_linked).unwrap_or_default();
        let choices = if is_linked { linked } else { self.live.signer().choices(kept, now) };
        let agent = request.text("user-agent");
        let prefetch = request.is_no_visit();
        let mut vary = Vary::default();
        let mut ids: Option<Ids<'_>> = None;
        let mut served = Vec::new();
        let (mut depends, mut redirected_by) = (false, None);
        for each in current.gateway() {
            let Some(experiment) = current.experiment(each.index) else { continue };
            let chosen = choices.variants.iter().any(|(key, _)| *key == experiment.key);
            let concern = if chosen && each.is_at(&request) {
                Concern::Request
            } else {
                each.concern(experiment, &request, now)
            };
            if concern == Concern::None {
                continue;
            }
            depends = true;
            vary.add(each.vary.iter().copied());
            vary.add(each.vary_headers.iter().map(String::as_str));
            vary.add(self.country_header.as_deref().filter(|_| each.vary_country).into_iter());
            if concern == Concern::Url {
                continue;
            }
            let ids = ids.get_or_insert_with(|| Ids {
                request,
                hook: self,
                now,
                bot: is_bot(agent),
                new: Vec::new(),
            });
            let device = experiment.unit.device.as_ref();
            let device = device.and_then(|from| ids.find(from, experiment.unit.create));
            let user = experiment.unit.user.as_ref().and_then(|from| ids.find(from, false));
            let overrides = &choices.variants;
            let context = Context { facts: &request, bot: ids.bot, prefetch, overrides };
            let pair = (device.as_deref(), user.as_deref());
            let Some(decided) = self.live.decide(&current, each.index, pair, &context, now) else {
                continue;
            };
            let Some(index) = decided.variant else { continue };
            let hindrance = hindrance(&treatment, experiment, asked);
            let redirects = treatment.redirect.is_some();
            apply(&mut treatment, experiment, index, asked);
            if treatment.redirect.is_some() != redirects {
                // What is redirected is not served what others have decided.
                redirected_by = Some(experiment.key.as_str());
            }
            if let Some(hindrance) = hindrance {
                self.tell(&experiment.key, hindrance);
            } else if let (true, Some(unit)) = (decided.counted(), decided.unit) {
                let (experiment, phase) = (experiment.key.clone(), decided.phase);
                served.push(Noted { experiment, unit, variant: index, phase });
            }
        }
        if let Some(key) = redirected_by {
            for other in served.extract_if(.., |noted| noted.experiment != key) {
                self.tell(&other.experiment, Hindrance::Taken);
            }
        }
        if !depends && !is_linked {
            return treatment;
        }
        let max_age = self.cookie.max_age.as_secs();
        let mut fields: Vec<(String, String)> = Vec::new();
        for (name, id) in ids.iter().flat_map(|ids| &ids.new) {
            let value = self.live.signer().seal(name, id);
            let cookie = self.set_cookie(asked.scheme, name, &value, max_age);
            fields.push(("Set-Cookie".to_owned(), cookie));
        }
        if let Some(until) = choices.until.filter(|_| is_linked) {
            let seconds = until.saturating_sub(now) / 1_000;
            let value = choices.links.join(",");
            let cookie = self.set_cookie(asked.scheme, LINK_NAME, &value, seconds);
            fields.push(("Set-Cookie".to_owned(), cookie));
        }
        // Caches behind us would give one visitor's variant, or cookie, to another.
        fields.push(("Cache-Control".to_owned(), "private".to_owned()));
        fields.extend(vary.0.into_iter().map(|name| ("Vary".to_owned(), name)));
        treatment.response_fields.extend(fields);
        let country = experiment::targeting::Facts::country(&request).unwrap_or_default();
        let note = Note { browser: browser(agent), country: country.to_owned(), served };
        treatment.note = Some(Box::new(note));
        treatment
    }

    fn served(&self, treatment: Treatment, served: &Served<'_>) {
        let Some(note) = treatment.note else { return };
        let note: Result<Box<Note>, Box<dyn Any + Send>> = note.downcast();
        let Ok(note) = note else { return };
        let Note { browser, country, served: all } = *note;
        for noted in all {
            let seen = Seen {
                duration_us: served.duration_us,
                bytes: served.bytes,
                failed: served.is_failed || served.status >= 500,
            };
            self.live.saw(&noted.experiment, noted.variant, noted.phase, seen);
            // Who got no answer was served nothing.
            if served.status != 0 {
                self.live.expose(&Exposed {
                    experiment: &noted.experiment,
                    unit: &noted.unit,
                    variant: noted.variant,
                    phase: noted.phase,
                    time_us: UnixMicros::max(served.start_us, 0),
                    browser,
                    country: &country,
                    route: served.route,
                    cache: served.cache.unwrap_or_default(),
                });
            }
        }
    }
}

impl Ids<'_> {
    /// The id at a place; a new one when there is none and one may be made.
    fn find(&mut self, from: &Source, create: bool) -> Option<String> {
        let request = &self.request;
        let found = match from {
            Source::Cookie(name) => return self.cookie(name, create),
            Source::Header(name) => request.text(name).map(str::to_owned),
            Source::Query(name) => request.parameter(name),
            Source::Claim(name) => {
                let now_s = i64::try_from(self.now / 1_000).unwrap_or(0);
                let token = request.text("authorization");
                token.and_then(|token| self.hook.bearer.claim(token, name, now_s))
            }
        };
        found.filter(|id| is_usable(id))
    }

    /// An id that is signed is read without its signature. Where ids are made, others are not
    /// believed.
    fn cookie(&mut self, name: &str, create: bool) -> Option<String> {
        let signer = self.hook.live.signer();
        // Other cookies of the name, of another path or domain, may come first.
        if let Some(id) = self.request.cookie_texts(name).find_map(|it| signer.open(name, it)) {
            return Some(id.to_owned());
        }
        if !create {
            let sent = self.request.cookie_text(name);
            return sent.filter(|id| is_usable(id)).map(str::to_owned);
        }
        if let Some((_, id)) = self.new.iter().find(|(made, _)| made == name) {
            return Some(id.clone());
        }
        // A program would get another one each time.
        if self.bot || !is_token(name) {
            return None;
        }
        let id = signer.new_id()?;
        self.new.push((name.to_owned(), id.clone()));
        Some(id)
    }
}

/// Ids end up in logs and tables.
fn is_usable(id: &str) -> bool {
    (1..=UNIT_BYTES_MAX).contains(&id.len()) && !id.chars().any(char::is_control)
}

/// Whether a text can be the name of a cookie (RFC 6265, section 4.1.1).
fn is_token(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(allowed)
}

/// Request fields that answers depend on.
#[derive(Default)]
struct Vary(Vec<String>);

impl Vary {
    fn add<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        for name in names {
            if !self.0.iter().any(|own| own.eq_ignore_ascii_case(name)) {
                self.0.push(name.to_owned());
            }
        }
    }
}
