//! The cache of a route: RFC 9111 by [`policy::cache`], a [`Store`] shared by all cores, requests
//! for the same thing collapsed into one.
//!
//! The request path, from top to bottom:
//!
//! ```text
//! let mut visit = cache.lookup(&request, now);
//! let mut turn = None;
//! loop {                                                   // goes round at most twice
//!     match &visit.found {
//!         Hit(entry) => return send(cache.answer(entry, &request, now)),
//!         OnlyIfCached => return send(504),
//!         Stale { entry, may_serve: true, .. } => {
//!             if let Some(flight) = cache.refresh(&visit, now) { in_background(visit, flight) }
//!             return send(cache.answer(entry, &request, now))
//!         }
//!         Bypass(_) => break,
//!         Stale { .. } | Miss { .. } if turn.is_some() => break,      // has waited once
//!         Stale { .. } | Miss { .. } => match cache.join(&visit, now) {
//!             Lead(flight) => { turn = Some(Some(flight)); break }
//!             Alone => break,
//!             Follow(follower) => match timeout(cache.collapse_timeout, follower.wait()).await {
//!                 Ok(After::Lead(flight)) => { turn = Some(Some(flight)); break }
//!                 Ok(After::Ready) => { turn = Some(None); visit = cache.lookup(&request, now) }
//!                 Ok(After::Failed) => if let Some(entry) = visit.in_case_of_error() {
//!                     return send(cache.answer(&entry, &request, now))
//!                 } else { break },
//!                 Ok(After::Alone) | Err(_) => break,
//!             },
//!         },
//!     }
//! }
//! let flight = turn.flatten();
//! visit.prepare(&mut forwarded);                           // conditions
//! match forward(&forwarded).await {
//!     Err(failure) => match cache.on_failure(&visit, flight) {
//!         Some(entry) => send(cache.answer(&entry, &request, now)),
//!         None => send(failure),
//!     },
//!     Ok(response) => match cache.on_response(&visit, &request, &answered, flight) {
//!         Pass(_) => send(response),
//!         Keep(fill) => send(response, pushing each chunk into fill; fill.finish() at the end),
//!         Confirmed(entry) | Stale(entry) => send(cache.answer(&entry, &request, now)),
//!         Again => forward once more without conditions, and pass the response on,
//!     },
//! }
//! ```
//!
//! `request.fields` are the fields as they came: edits for the server come later. `Age` and
//! `Cache-Status` are added when an answer is sent.

mod collapse;
mod entry;
mod fill;
mod key;
mod purge;
mod route;
mod store;

#[cfg(test)]
mod tests;

pub use collapse::{ALONE_S, After, FLIGHTS_MAX, FOLLOWERS_MAX, Flight, Follower, Turn};
pub use entry::Entry;
pub use fill::Fill;
pub use key::CacheRequest;
pub use purge::{PREFIXES_MAX, Purge};
pub use route::{Answered, CachedAnswer, Found, RouteCache, TAGS_MAX, Verdict, Visit};
pub use store::{Store, VARIANTS_MAX};
