//! HTTP cache rules (RFC 9111) as decisions: fields and times in, what to do out. Times are unix
//! seconds.
//!
//! [`store`] says whether a response is kept and makes its [`Meta`]; [`reuse`] says how a kept one
//! may answer a request that selects its [`Variant`].

mod date;
mod directives;
mod freshness;
mod invalidate;
mod range;
mod reuse;
mod rules;
mod status;
mod store;
mod structured;
mod validate;
mod vary;

pub use date::{format_http_date, parse_http_date};
pub use directives::{LISTED_MAX, RequestDirectives, ResponseDirectives, SECONDS_MAX};
pub use freshness::{Source, heuristically_cacheable, initial_age, lifetime};
pub use invalidate::{default_port, invalidates, is_unsafe, locations, resolve};
pub use range::{Wanted, wanted};
pub use reuse::{Reuse, is_server_error, reuse};
pub use rules::{Negative, Rules};
pub use status::{CacheStatus, Forward};
pub use store::{Exchange, Meta, NotKept, store, strip_unkept};
pub use validate::{
    CONDITIONS, TAGS_MAX, client_has_it, conditions, confirms, head_agrees, if_range_holds,
    left_out_of_304, update,
};
pub use vary::{Variant, Vary, vary_of};
