//! What tidegate changes in a message on its way: fields of the connection, of the way it took,
//! and of the route.

use std::net::IpAddr;

use rand::{Rng, RngExt};
use traffic::{Fields, Name};
use wire::{HeadError, Version};

use crate::core::{Core, View};
use crate::edit::{self, Values};
use crate::failure::FailureKind;
use crate::params::{FieldEdits, GatewayParams, Rewrite, Route};
use crate::redirect::{self, Parts};
use crate::request::{Origin, Request, canonical, failure_of};
use crate::router::is_below;

/// Finds the client behind trusted proxies, and the scheme it used.
pub(crate) fn believe_proxies(view: &View, origin: &Origin, request: &mut Request) {
    if !origin.trusted {
        return;
    }
    let params = &view.params;
    let fields = &request.head.fields;
    let trusted = |ip: IpAddr| is_trusted(params, ip);
    if let Some(client) = wire::forwarded::client(fields, trusted) {
        request.client = canonical(client);
    }
    match fields.get(Name::XForwardedProto) {
        Some(proto) if proto.eq_ignore_ascii_case(b"https") => request.scheme = "https",
        Some(proto) if proto.eq_ignore_ascii_case(b"http") => request.scheme = "http",
        _ => {}
    }
}

/// Whether an address is one of a trusted proxy.
pub(crate) fn is_trusted(params: &GatewayParams, ip: IpAddr) -> bool {
    let ip = canonical(ip);
    params.trusted_proxies.iter().any(|net| net.contains(&ip))
}

/// Longest request id that is taken over.
const ID_MAX: usize = 128;

/// Gives the request its id: that of a trusted proxy, or a new one.
pub(crate) fn identify(core: &Core, view: &View, origin: &Origin, request: &mut Request) {
    let Some(name) = &view.params.forwarding.request_id else { return };
    let known = request.head.fields.get_named(name).filter(|_| origin.trusted);
    let known =
        known.filter(|id| (1..=ID_MAX).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic));
    match known {
        Some(id) => request.id.push_str(&String::from_utf8_lossy(id)),
        None => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            let mut bits: u128 = core.rng().random();
            for _ in 0..32 {
                request.id.push(char::from(HEX[(bits & 15) as usize]));
                bits >>= 4;
            }
        }
    }
}

/// Draws an upstream by weight.
pub(crate) fn choose_upstream(split: &[(usize, u32)], rng: &mut impl Rng) -> usize {
    let [(only, _)] = split else {
        let total: u64 = split.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut left = rng.random_range(0..total.max(1));
        for (upstream, weight) in split {
            if left < u64::from(*weight) {
                return *upstream;
            }
            left -= u64::from(*weight);
        }
        return split.first().map_or(usize::MAX, |(upstream, _)| *upstream);
    };
    *only
}

/// Turns the fields of a request into those that servers get.
pub(crate) fn prepare(
    view: &View,
    origin: &Origin,
    route: &Route,
    request: &mut Request,
) -> Result<(), FailureKind> {
    let forwarding = &view.params.forwarding;
    let fields = &mut request.head.fields;
    request.wants_trailers = wire::hop::accepts_trailers(fields);
    // HTTP/1.0 has no upgrades (RFC 9110 section 7.8).
    if !request.http2 && request.head.version == Version::Http11 {
        request.upgrade = wire::hop::upgrade_of(fields)
            .map(|protocol| String::from_utf8_lossy(protocol).into_owned());
    }
    if request.upgrade.is_some() && !route.upgrades {
        return Err(FailureKind::UpgradeRefused);
    }
    wire::hop::strip_hop_by_hop(fields).map_err(failure_of)?;
    for name in [Name::Host, Name::ContentLength, Name::TransferEncoding, Name::Expect] {
        fields.remove(name);
    }
    if !origin.trusted {
        // Nobody but a trusted proxy may say where a request comes from.
        fields.retain(|field| !wire::hop::is_forwarding(field.name));
    }
    let peer = canonical(origin.peer.ip());
    if forwarding.x_forwarded {
        wire::forwarded::append_x_forwarded_for(fields, peer);
        if !fields.has(Name::XForwardedProto) {
            fields.push_known(Name::XForwardedProto, request.scheme.as_bytes());
        }
        if !fields.has(Name::XForwardedHost) && !request.authority.is_empty() {
            fields.push_known(Name::XForwardedHost, request.authority.as_bytes());
        }
    }
    if forwarding.forwarded {
        wire::forwarded::append_forwarded(fields, peer, &request.authority, request.scheme);
    }
    if let Some(via) = &forwarding.via {
        push_via(fields, via, request.http2);
    }
    if let Some(name) = &forwarding.request_id {
        fields.set_named(name, request.id.as_bytes());
    }
    if route.request_fields != FieldEdits::default() {
        let mut fields = std::mem::take(&mut request.head.fields);
        edit::apply(&route.request_fields, request.values(), &mut fields);
        request.head.fields = fields;
    }
    Ok(())
}

/// Turns the fields of a server's answer into those that clients get.
pub(crate) fn clean_response(view: &View, fields: &mut Fields, http2: bool) {
    // Nominations of a server are its own fault: what cannot be removed is left.
    let _: Result<(), HeadError> = wire::hop::strip_hop_by_hop(fields);
    fields.remove(Name::TransferEncoding);
    if let Some(via) = &view.params.forwarding.via {
        push_via(fields, via, http2);
    }
}

fn push_via(fields: &mut Fields, via: &str, http2: bool) {
    let mut value = [0; 64];
    let version: &[u8] = if http2 { b"2.0 " } else { b"1.1 " };
    let via = &via.as_bytes()[..via.len().min(value.len() - version.len())];
    value[..4].copy_from_slice(version);
    value[4..4 + via.len()].copy_from_slice(via);
    fields.push_known(Name::Via, &value[..4 + via.len()]);
}

/// Takes back that shared caches may keep an answer which is one visitor's: `public` and `s-maxage`
/// (RFC 9111 section 5.2.2), and what is said to CDNs alone (RFC 9213).
pub(crate) fn unpublish(fields: &mut Fields) {
    fields.remove(Name::CdnCacheControl);
    fields.remove_named("Surrogate-Control");
    let is_public = |member: &[u8]| {
        let name = member.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        name.eq_ignore_ascii_case(b"public") || name.eq_ignore_ascii_case(b"s-maxage")
    };
    let members: Vec<&[u8]> = fields.members(Name::CacheControl).collect();
    if members.iter().any(|member| is_public(member)) {
        let kept: Vec<&[u8]> = members.into_iter().filter(|member| !is_public(member)).collect();
        let kept = kept.join(&b", "[..]);
        fields.remove(Name::CacheControl);
        if !kept.is_empty() {
            fields.push_known(Name::CacheControl, &kept);
        }
    }
}

/// The same request over https.
pub(crate) fn https_location(request: &Request, port: u16) -> String {
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    redirect::location(&format!("https://{{host}}{port}{{uri}}"), request.parts_of(&request.host))
}

impl Request {
    /// What edits may speak of.
    pub(crate) fn values(&self) -> Values<'_> {
        Values {
            client_ip: self.client,
            host: &self.host,
            request_id: &self.id,
            scheme: self.scheme,
        }
    }

    /// What redirects may speak of.
    pub(crate) fn parts(&self) -> Parts<'_> {
        self.parts_of(&self.authority)
    }

    fn parts_of<'a>(&'a self, host: &'a str) -> Parts<'a> {
        Parts { path: &self.path, query: self.query(), host }
    }

    /// Puts another beginning in front of the path, if it has the one that is to be changed.
    pub(crate) fn rewrite(&mut self, rewrite: &Rewrite) {
        if !is_below(&self.path, &rewrite.prefix) {
            return;
        }
        let rest = &self.path[rewrite.prefix.len()..];
        let joined = format!("{}{rest}", rewrite.with);
        let path = redirect::rooted(&joined).into_owned();
        self.set_forwarded_path(&path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_one_visitors_is_not_for_shared_caches() {
        for (control, expected) in [
            ("public, max-age=60", Some("max-age=60")),
            ("PUBLIC", None),
            ("max-age=1, S-MaxAge = 5 , must-revalidate", Some("max-age=1, must-revalidate")),
            ("no-store", Some("no-store")),
        ] {
            let mut fields = Fields::new();
            fields.push_known(Name::CacheControl, control.as_bytes());
            fields.push(b"cdn-cache-control", b"max-age=600");
            unpublish(&mut fields);
            let left = fields.get(Name::CacheControl).map(String::from_utf8_lossy);
            assert_eq!(left.as_deref(), expected, "{control}");
            assert!(!fields.has(Name::CdnCacheControl));
        }
    }
}
