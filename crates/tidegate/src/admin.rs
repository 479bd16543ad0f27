//! What an operator asks for on the admin address, done to a gateway.

use gateway::{Duty, Gateway, Purged};
use serde_json::{Value, json};
use web::{PurgeWhat, Refusal, Set};

/// Takes answers out of the caches, or marks them as no longer fresh.
///
/// # Errors
/// When the URL cannot be one that is cached.
pub(crate) fn purge(gateway: &Gateway, purge: &web::Purge) -> Result<Value, Refusal> {
    let what = match &purge.what {
        PurgeWhat::Url(url) => Purged::Url(url.clone()),
        PurgeWhat::Prefix(prefix) => Purged::Prefix(prefix.clone()),
        PurgeWhat::Tag(tag) => Purged::Tag(tag.clone()),
        PurgeWhat::All => Purged::All,
    };
    let how = if purge.soft { gateway::cache::Purge::Soft } else { gateway::cache::Purge::Hard };
    if gateway.purge(&what, how) {
        return Ok(json!({ "purged": true }));
    }
    Err(Refusal::Invalid("a URL has a scheme and a host: https://shop.example/path".to_owned()))
}

/// Sets what a server is used for, or its weight.
///
/// # Errors
/// When there is no such server.
pub(crate) fn set_server(
    gateway: &Gateway,
    upstream: &str,
    server: &str,
    set: Set,
) -> Result<Value, Refusal> {
    let found = match set {
        Set::Up => gateway.set_duty(upstream, server, Duty::Normal),
        Set::Drain => gateway.set_duty(upstream, server, Duty::Drain),
        Set::Down => gateway.set_duty(upstream, server, Duty::Down),
        Set::Weight(weight) => gateway.set_weight(upstream, server, weight),
    };
    if found {
        return Ok(json!({ "changed": true }));
    }
    Err(Refusal::NotFound(format!("upstream `{upstream}` has no server `{server}`")))
}
