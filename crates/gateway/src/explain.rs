//! What would happen to a request, and why, without sending it.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use traffic::{Fields, Name};
use wire::{HeadError, RequestHead};

use crate::params::{
    Action, GatewayParams, LimitKey, LimitUnit, Match, PathMatch, QueryKey, Rewrite, Route,
    UpstreamKind,
};
use crate::request::{Origin, Request};
use crate::router::{Matched, Router};
use crate::treatment::{Asked, Treatment};
use crate::{acl, outgoing};

/// A request to be explained.
#[derive(Debug, Clone)]
pub struct Question {
    /// The method.
    pub method: String,
    /// `https://shop.example/path?query`, or only the path.
    pub url: String,
    /// Request fields.
    pub fields: Vec<(String, String)>,
    /// The client's address.
    pub client: IpAddr,
}

/// An explanation: lines of a heading and a text.
pub type Explanation = Vec<(&'static str, String)>;

/// Explains what would happen to a request. `experiments` explains what they would do with one that
/// is forwarded, and does it.
///
/// # Errors
/// What is wrong with the request itself.
pub fn explain(
    params: &GatewayParams,
    question: &Question,
    experiments: impl FnOnce(&Asked<'_>) -> (Explanation, Treatment),
) -> Result<Explanation, HeadError> {
    let (scheme, rest) = match question.url.split_once("://") {
        Some(("https", rest)) => ("https", rest),
        Some((_, rest)) => ("http", rest),
        None => ("http", ""),
    };
    let (authority, target) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None if rest.is_empty() => ("", question.url.as_str()),
        None => (rest, "/"),
    };
    let mut request = Request::new();
    request.head = head_of(question, authority, target);
    let listener = params.listeners.first();
    let origin = Origin {
        listener: Rc::from(listener.map_or("", |listener| listener.name.as_str())),
        peer: SocketAddr::new(question.client, 0),
        local: SocketAddr::from(([0, 0, 0, 0], 0)),
        trusted: outgoing::is_trusted(params, question.client),
        tls: (scheme == "https").then_some("TLSv1.3"),
        redirect_https: None,
    };
    request.understand(&origin)?;
    let mut lines: Explanation = Vec::new();
    lines.push(("path", request.path.clone()));
    let matched = Matched {
        host: &request.host,
        path: &request.path,
        query: request.query(),
        method: &request.head.method,
        fields: &request.head.fields,
        listener: &origin.listener,
    };
    let Some(route) = Router::new(&params.routes).find(&matched) else {
        lines.push(("route", "none takes it: 404 no-route".to_owned()));
        return Ok(lines);
    };
    let route = &params.routes[route];
    lines.push((
        "route",
        format!("`{}`, the most specific match: {}", route.name, rule(&route.matches)),
    ));
    let access =
        if acl::allowed(&route.access, request.client) { "allowed" } else { "403 forbidden" };
    lines.push(("client", format!("{}, {access}", request.client)));
    if let Some(basic) = &route.access.basic {
        lines.push(("authentication", format!("basic, realm \"{}\"", basic.realm)));
    }
    if route.cors.is_some() {
        lines.push(("cors", "the route's rules replace those of the server".to_owned()));
    }
    limits(route, &mut lines);
    cache(route, &request, &mut lines);
    let mut treatment = Treatment::default();
    if matches!(route.action, Action::Forward(_)) {
        let (told, treated) = experiments(&request.asked(&params.upstreams));
        lines.extend(told);
        treatment = treated;
    }
    action(params, route, &mut request, &treatment, &mut lines);
    Ok(lines)
}

fn head_of(question: &Question, authority: &str, target: &str) -> RequestHead {
    let mut fields = Fields::new();
    if !authority.is_empty() {
        fields.push_known(Name::Host, authority.as_bytes());
    }
    for (name, value) in &question.fields {
        fields.push(name.as_bytes(), value.as_bytes());
    }
    let (method, target) = (question.method.to_ascii_uppercase(), target.to_owned());
    RequestHead { method, target, fields, keep_alive: true, ..RequestHead::default() }
}

fn rule(matches: &Match) -> String {
    let mut parts = Vec::new();
    if !matches.hosts.is_empty() {
        parts.push(format!("host {}", matches.hosts.join(" or ")));
    }
    match &matches.path {
        PathMatch::Any => parts.push("every path".to_owned()),
        PathMatch::Exact(path) => parts.push(format!("path {path}")),
        PathMatch::Prefix(prefix) => parts.push(format!("path prefix {prefix}")),
    }
    if !matches.methods.is_empty() {
        parts.push(format!("method {}", matches.methods.join(" or ")));
    }
    let pairs = matches.headers.iter().map(|pair| ("header", pair));
    for (what, (name, value)) in pairs.chain(matches.query.iter().map(|pair| ("query", pair))) {
        let value = value.as_ref().map_or_else(String::new, |value| format!(" = {value}"));
        parts.push(format!("{what} {name}{value}"));
    }
    parts.join(", ")
}

fn limits(route: &Route, lines: &mut Explanation) {
    for limit in &route.rate_limits {
        let key: Vec<String> = limit
            .key
            .iter()
            .map(|part| match part {
                LimitKey::ClientIp => "client address".to_owned(),
                LimitKey::Header(name) => format!("header {name}"),
                LimitKey::Cookie(name) => format!("cookie {name}"),
                LimitKey::Route => "the whole route".to_owned(),
            })
            .collect();
        let (rate, burst) = (limit.rate.as_per_s(), limit.burst);
        let text = match limit.unit {
            LimitUnit::Requests => format!("{rate} requests/s, {burst} at once"),
            LimitUnit::Bytes => format!("{rate} response bytes/s, {burst} at once"),
            LimitUnit::Concurrency => format!("{burst} requests under way"),
        };
        lines.push(("limit", format!("{text}, by {}", key.join(" and "))));
    }
    if let Some(max) = route.concurrency {
        lines.push(("limit", format!("{max} requests of the route under way")));
    }
}

fn cache(route: &Route, request: &Request, lines: &mut Explanation) {
    let Some(cache) = &route.cache else {
        lines.push(("cache", "off".to_owned()));
        return;
    };
    if !matches!(request.head.method.as_str(), "GET" | "HEAD") {
        lines.push(("cache", "not for this method; a success invalidates the URL".to_owned()));
        return;
    }
    let query = match &cache.key.query {
        QueryKey::All => request.query().map_or_else(String::new, |query| format!("?{query}")),
        QueryKey::None => String::new(),
        QueryKey::Only(names) => format!("? only {}", names.join(", ")),
        QueryKey::Except(names) => format!("? all but {}", names.join(", ")),
    };
    let (scheme, host, path) = (request.scheme, &request.host, &request.path);
    let mut key = format!("{scheme}://{host}{path}{query}");
    for name in &cache.key.headers {
        key.push_str(&format!(" + header {name}"));
    }
    for name in &cache.key.cookies {
        key.push_str(&format!(" + cookie {name}"));
    }
    lines.push(("cache", format!("store `{}`, key {key}, and what `Vary` names", cache.store)));
}

fn action(
    params: &GatewayParams,
    route: &Route,
    request: &mut Request,
    treatment: &Treatment,
    lines: &mut Explanation,
) {
    if let Some((status, location)) = &treatment.redirect {
        lines.push(("answer", format!("{status}, Location: {location}, by the experiment")));
        return;
    }
    match &route.action {
        Action::Redirect { status, to } => {
            let location = crate::redirect::location(to, request.parts());
            lines.push(("answer", format!("{status}, Location: {location}")));
        }
        Action::Respond(page) => lines.push(("answer", format!("{}, a fixed page", page.status))),
        Action::Forward(split) => {
            if let Some((prefix, with)) = treatment.rewrite.clone() {
                request.rewrite(&Rewrite { prefix, with });
            } else if let Some(rewrite) = &route.rewrite {
                request.rewrite(rewrite);
            }
            let named = |name: &String| params.upstreams.iter().position(|it| it.name == *name);
            let chosen = treatment.upstream.as_ref().and_then(named).map(|index| [(index, 1)]);
            let split = chosen.as_ref().map_or(split.as_slice(), |chosen| &chosen[..]);
            let total: u64 = split.iter().map(|(_, weight)| u64::from(*weight)).sum();
            for (index, weight) in split {
                let Some(upstream) = params.upstreams.get(*index) else { continue };
                let share = match split.len() {
                    1 => String::new(),
                    _ => format!(" for {weight} of {total}"),
                };
                let kind = match &upstream.kind {
                    UpstreamKind::Files(files) => format!("files of {}", files.root.display()),
                    UpstreamKind::Servers(servers) => {
                        format!("{} servers, {:?}", servers.servers.len(), servers.balance)
                    }
                };
                lines.push(("upstream", format!("`{}`{share}: {kind}", upstream.name)));
            }
            lines.push(("sends", format!("{} {}", request.head.method, request.target)));
        }
    }
}
