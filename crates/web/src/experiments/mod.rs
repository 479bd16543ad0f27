//! The API of experiments: our own (`/v1`), the OpenFeature Remote Evaluation Protocol (`/ofrep`),
//! and GrowthBook's SDK API (`/api`, `/sub`, `/track`).
//!
//! What is decided and recorded is behind [`experiment::live::Live`]; here are only formats, limits
//! and who may do what. Bodies, batches, requests under way and streams are bounded by
//! [`experiment::live::params::ServiceLimits`].

mod access;
mod answer;
mod body;
mod entries;
mod growthbook;
mod json;
mod key;
mod links;
mod native;
mod ofrep;
mod rate;
mod records;
mod server;
mod stream;
mod track;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use experiment::automation::Operator;
use experiment::live::Live;
use experiment::live::params::ServiceParams;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

pub use server::serve_experiments;

use access::Access;
use answer::failed;
use rate::{Peer, Rates};

use crate::experiments_admin;
use crate::guard::Guard;

/// What handlers work with.
#[derive(Clone)]
pub(super) struct Api {
    live: Arc<Live>,
    access: Arc<Access>,
    /// Requests under way.
    requests: Arc<Semaphore>,
    /// Of them, those without the token: a part is always left for its holder.
    clients: Arc<Semaphore>,
    /// Requests of each client.
    rates: Arc<Rates>,
    /// Open streams.
    streams: Arc<Semaphore>,
    /// Changes whenever the experiments do.
    changes: watch::Receiver<u64>,
    received: Arc<Received>,
}

/// What clients recorded since the start, repetitions included.
#[derive(Debug, Default)]
pub(super) struct Received {
    exposures: AtomicU64,
    events: AtomicU64,
}

impl Api {
    /// For an address; needs a tokio runtime.
    fn new(live: Arc<Live>, params: &ServiceParams, listens_at: std::net::IpAddr) -> Api {
        let (sender, changes) = watch::channel(0);
        live.watch(Box::new(move || sender.send_modify(|count| *count += 1)));
        let limits = params.limits;
        Api {
            live,
            access: Arc::new(Access::new(params, listens_at)),
            requests: Arc::new(Semaphore::new(limits.requests)),
            clients: Arc::new(Semaphore::new(places_of_clients(params))),
            rates: Arc::new(Rates::new(limits.client_rate)),
            streams: Arc::new(Semaphore::new(limits.streams)),
            changes,
            received: Arc::default(),
        }
    }
}

/// How many requests without the token may be under way: three in four, where there is a token. One
/// takes its place before its body has come, so that slow ones could take all.
fn places_of_clients(params: &ServiceParams) -> usize {
    let all = params.limits.requests;
    let reserved = if params.token.is_some() { all.div_ceil(4) } else { 0 };
    all.saturating_sub(reserved).max(1)
}

/// Takes the places of a request, which are given back when it is over.
fn places(api: &Api, request: &Request) -> Option<[Option<OwnedSemaphorePermit>; 2]> {
    let own = match api.access.has_token(request.headers()) {
        true => None,
        false => Some(Arc::clone(&api.clients).try_acquire_owned().ok()?),
    };
    Some([own, Some(Arc::clone(&api.requests).try_acquire_owned().ok()?)])
}

/// All routes.
fn router(api: Api, operator: Arc<Operator>, guard: Guard) -> Router {
    let ofrep = "/ofrep/v1/evaluate/flags";
    Router::new()
        .route("/v1/decide", post(native::decide))
        .route("/v1/exposures", post(records::exposures))
        .route("/v1/events", post(records::events))
        .route("/v1/links", post(links::create))
        .route("/v1/status", get(native::status))
        .route(ofrep, post(ofrep::bulk))
        .route("/ofrep/v1/evaluate/flags/", post(ofrep::bulk))
        .route("/ofrep/v1/evaluate/flags/{*key}", post(ofrep::single))
        .route("/ofrep/v1/stream", get(stream::ofrep))
        .route("/api/features/{key}", get(growthbook::features))
        .route("/api/eval/{key}", post(growthbook::evaluate))
        .route("/sub/{key}", get(stream::growthbook))
        .route("/track", post(track::track))
        .merge(experiments_admin::router(operator, guard))
        .fallback(|| async {
            failed(
                StatusCode::NOT_FOUND,
                "there are /v1/decide, /v1/exposures, /v1/events, /v1/links, /v1/status, \
                 /v1/experiments, /ofrep/v1/evaluate/flags, /api/features/KEY, /api/eval/KEY, /sub/KEY and /track",
            )
        })
        .method_not_allowed_fallback(|| async {
            failed(StatusCode::METHOD_NOT_ALLOWED, "this path has another method; see Allow")
        })
        .layer(middleware::from_fn_with_state(api.clone(), at_the_door))
        .with_state(api)
}

/// Whether the client may ask now, or how long it has to wait.
fn rate(api: &Api, request: &Request) -> Result<(), Duration> {
    let peer = request.extensions().get::<Peer>().copied();
    match peer.filter(|_| !api.access.has_token(request.headers())) {
        Some(peer) => api.rates.pass(peer),
        None => Ok(()),
    }
}

/// Whose pages may call, how many requests at once, and the answer to preflights.
async fn at_the_door(State(api): State<Api>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let allowed = match &origin {
        Some(origin) => match api.access.origin(origin, request.headers()) {
            Ok(allowed) => allowed,
            Err(why) => return failed(StatusCode::FORBIDDEN, why),
        },
        None => None,
    };
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else if let Err(wait) = rate(&api, &request) {
        answer::again_after("too many requests of this client: come again later", wait)
    } else {
        match places(&api, &request) {
            Some(_places) => next.run(request).await,
            None => answer::again("too many requests at once: come again in a second"),
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = allowed {
        let text = HeaderValue::from_static;
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, text("GET, POST"));
        let fields = "Authorization, Cache-Control, Content-Type, If-None-Match, Last-Event-ID, \
                      X-API-Key";
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, text(fields));
        let exposed = "ETag, Retry-After, X-SSE-Support";
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, text(exposed));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, text("600"));
    }
    response
}
