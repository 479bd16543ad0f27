//! What the origin does with a request: the table of routes and its state while it runs.

use super::behaviour::{ANY_PATH, Behaviour, Fault, Response, Service};
use super::record::Recorded;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

/// What to do with one request.
#[derive(Debug, Clone)]
pub(super) enum Action {
    Reply(Reply),
    Fault(Fault),
}

/// An answer ready to be framed.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
    pub(super) chunked: bool,
    /// How long to wait before the first byte.
    pub(super) delay: Duration,
}

impl Reply {
    pub(super) fn new(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Self {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            status,
            headers: headers.iter().map(own).collect(),
            body: body.into(),
            chunked: false,
            delay: Duration::ZERO,
        }
    }

    pub(super) fn ok() -> Self {
        Self::new(200, &[], "ok")
    }

    /// Lets the delay pass. Even a sleep of no length lasts until the next tick of the timer.
    pub(super) async fn wait(&self) {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
    }
}

/// The table of routes while the origin runs.
#[derive(Debug, Default)]
pub(super) struct Routes {
    by_path: BTreeMap<String, Route>,
}

impl Routes {
    pub(super) fn set(&mut self, path: String, behaviour: Behaviour) {
        self.by_path.insert(path, Route::from(behaviour));
    }

    /// What to do with `request`, which was read at `request.at`.
    pub(super) fn decide(&mut self, request: &Recorded) -> Action {
        let path = request.path();
        let path = if self.by_path.contains_key(path) { path } else { ANY_PATH };
        match self.by_path.get_mut(path) {
            Some(route) => route.decide(request),
            None => Action::Reply(Reply::new(404, &[], "no such route")),
        }
    }
}

/// A [`Behaviour`] with its state.
#[derive(Debug)]
enum Route {
    Fixed(Action),
    Echo,
    BasicAuth { authorization: String },
    Sequence { next: usize, of: Vec<Route> },
    RateLimited { requests: u64, window: Duration, status: u16, began: Option<Instant>, seen: u64 },
    Queue(Station),
}

impl From<Behaviour> for Route {
    fn from(behaviour: Behaviour) -> Self {
        let fixed = |reply| Self::Fixed(Action::Reply(reply));
        match behaviour {
            Behaviour::Respond(Response { status, headers, body, delay, chunked }) => {
                fixed(Reply { status, headers, body: body.into(), chunked, delay })
            }
            Behaviour::Echo => Self::Echo,
            Behaviour::Json(value) => fixed(json(&value)),
            Behaviour::Redirect { status, to } => {
                fixed(Reply::new(status, &[("location", &to)], ""))
            }
            Behaviour::SetCookie(cookies) => {
                let headers: Vec<_> = cookies.iter().map(|c| ("set-cookie", c.as_str())).collect();
                fixed(Reply::new(200, &headers, "ok"))
            }
            Behaviour::Compressed { encoding, body } => fixed(Reply::new(
                200,
                &[("content-encoding", encoding.name())],
                encoding.encode(&body),
            )),
            Behaviour::BasicAuth { user, password } => {
                let credentials = BASE64.encode(format!("{user}:{password}"));
                Self::BasicAuth { authorization: format!("Basic {credentials}") }
            }
            Behaviour::Sequence(of) => {
                Self::Sequence { next: 0, of: of.into_iter().map(Self::from).collect() }
            }
            Behaviour::RateLimited { requests, window, status } => {
                Self::RateLimited { requests, window, status, began: None, seen: 0 }
            }
            Behaviour::Queue { servers, service } => Self::Queue(Station::new(servers, service)),
            Behaviour::Fault(fault) => Self::Fixed(Action::Fault(fault)),
        }
    }
}

impl Route {
    fn decide(&mut self, request: &Recorded) -> Action {
        Action::Reply(match self {
            Self::Fixed(action) => return action.clone(),
            Self::Echo => echo(request),
            Self::BasicAuth { authorization } => {
                if request.header("authorization") == Some(authorization) {
                    Reply::ok()
                } else {
                    let challenge = [("www-authenticate", "Basic realm=\"testkit\"")];
                    Reply::new(401, &challenge, "")
                }
            }
            Self::Sequence { next, of } => {
                let turn = *next;
                *next = (turn + 1) % of.len().max(1);
                return match of.get_mut(turn) {
                    Some(route) => route.decide(request),
                    None => Action::Reply(Reply::new(404, &[], "empty sequence")),
                };
            }
            Self::RateLimited { requests, window, status, began, seen } => {
                let start = began.filter(|start| request.at < *start + *window);
                if start.is_none() {
                    *seen = 0;
                }
                let start = *began.insert(start.unwrap_or(request.at));
                *seen += 1;
                if *seen <= *requests {
                    Reply::ok()
                } else {
                    let left = (start + *window).saturating_duration_since(request.at);
                    let seconds = left.as_secs_f64().ceil().to_string();
                    Reply::new(*status, &[("retry-after", &seconds)], "")
                }
            }
            Self::Queue(station) => {
                Reply { delay: station.arrive(request.at) - request.at, ..Reply::ok() }
            }
        })
    }
}

fn json(value: &serde_json::Value) -> Reply {
    Reply::new(200, &[("content-type", "application/json")], value.to_string())
}

fn echo(request: &Recorded) -> Reply {
    json(&serde_json::json!({
        "method": request.method,
        "target": request.target,
        "version": format!("{:?}", request.version),
        "headers": request.headers,
        "body": String::from_utf8_lossy(&request.body),
    }))
}

/// Several servers with one first-come-first-served queue. The next request is served by the
/// server that is free first (Kiefer and Wolfowitz 1955).
#[derive(Debug)]
struct Station {
    /// When each server is done; fewer than `servers` until each had work.
    done: BinaryHeap<Reverse<Instant>>,
    servers: usize,
    service: Service,
    rng: Xoshiro256PlusPlus,
}

impl Station {
    fn new(servers: usize, service: Service) -> Self {
        let seed = match service {
            Service::Fixed(_) => 0,
            Service::Exponential { seed, .. } => seed,
        };
        let rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        Self { done: BinaryHeap::new(), servers: servers.max(1), service, rng }
    }

    /// When a request that arrives `now` is finished.
    fn arrive(&mut self, now: Instant) -> Instant {
        let free = if self.done.len() < self.servers { None } else { self.done.pop() };
        let start = free.map_or(now, |Reverse(free)| free.max(now));
        let end = start
            + match self.service {
                Service::Fixed(service) => service,
                Service::Exponential { mean, .. } => {
                    mean.mul_f64(-(1.0 - self.rng.random::<f64>()).ln())
                }
            };
        self.done.push(Reverse(end));
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: Duration = Duration::from_millis(10);

    #[test]
    fn the_first_free_server_takes_the_next_request() {
        let start = Instant::now();
        let mut station = Station::new(2, Service::Fixed(SERVICE));
        let mut finish =
            |ms| (station.arrive(start + Duration::from_millis(ms)) - start).as_millis();
        // Two at once, two that wait for them, one that comes when one is free, one when all are.
        assert_eq!([0, 4, 5, 5, 23, 90].map(&mut finish), [10, 14, 20, 24, 33, 100]);
    }

    #[test]
    fn exponential_service_has_its_mean_and_depends_on_the_seed() {
        const REQUESTS: u32 = 100_000;
        let start = Instant::now();
        let last = |seed| {
            let mut station = Station::new(1, Service::Exponential { mean: SERVICE, seed });
            (0..REQUESTS).map(|_| station.arrive(start)).last().unwrap() - start
        };
        // The standard error of the mean is 0.3 % of it.
        let mean = last(1).as_secs_f64() / f64::from(REQUESTS);
        assert!((mean / SERVICE.as_secs_f64() - 1.0).abs() < 0.015, "{mean}");
        assert_eq!(last(1), last(1));
        assert_ne!(last(1), last(2));
    }
}
