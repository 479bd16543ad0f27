//! What a variant does with a request, for the gateway and for `tidegate config explain`.

use experiment::model::{Action, Experiment};
use gateway::router::is_below;
use gateway::{Asked, Treatment};

/// Why a variant of an experiment cannot be served to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hindrance<'a> {
    /// Another experiment has its way with the request.
    Taken,
    /// The gateway has no upstream of this name.
    NoUpstream(&'a str),
    /// The path is not below the prefix that is rewritten.
    Path,
    /// Only GET and HEAD are redirected: browsers repeat others as GET, without their body.
    Method,
}

/// Why some variant cannot be served to this request, if so. Then the experiment compares nothing
/// here: whoever was to have that variant sees something else, and nobody must be counted, whatever
/// variant they have, or one would miss those whom the other has.
pub(super) fn hindrance<'a>(
    treatment: &Treatment,
    experiment: &'a Experiment,
    asked: &Asked<'_>,
) -> Option<Hindrance<'a>> {
    let mut actions = experiment.variants.iter().flat_map(|variant| &variant.actions);
    actions.find_map(|action| hinders(treatment, action, asked))
}

fn hinders<'a>(
    treatment: &Treatment,
    action: &'a Action,
    asked: &Asked<'_>,
) -> Option<Hindrance<'a>> {
    let taken = |is_taken: bool| is_taken.then_some(Hindrance::Taken);
    match action {
        Action::Upstream(name) => {
            let is_there = asked.upstreams.iter().any(|upstream| upstream.name == *name);
            let missing = (!is_there).then_some(Hindrance::NoUpstream(name));
            missing.or_else(|| taken(treatment.upstream.is_some()))
        }
        Action::PathRewrite { prefix, .. } if !is_below(asked.path, prefix) => {
            Some(Hindrance::Path)
        }
        Action::PathRewrite { .. } => taken(treatment.rewrite.is_some()),
        Action::RequestHeader { name, .. } => {
            let mut others = treatment.request_fields.iter();
            taken(others.any(|(other, _)| other.eq_ignore_ascii_case(name)))
        }
        // Whoever has arrived must not be sent there again.
        Action::Redirect { location, .. } if is_at(asked, location) => None,
        Action::Redirect { .. } if !matches!(asked.method, "GET" | "HEAD") => {
            Some(Hindrance::Method)
        }
        Action::Redirect { .. } => taken(treatment.redirect.is_some()),
        // Answers may have several fields of a name; values are for applications that ask the API.
        Action::ResponseHeader { .. } | Action::Value(_) => None,
    }
}

/// Does all that a variant does, or nothing when something of it cannot be done.
pub(super) fn apply(
    treatment: &mut Treatment,
    experiment: &Experiment,
    index: u16,
    asked: &Asked<'_>,
) {
    let Some(variant) = experiment.variants.get(usize::from(index)) else { return };
    if variant.actions.iter().any(|action| hinders(treatment, action, asked).is_some()) {
        return;
    }
    if !treatment.variants.is_empty() {
        treatment.variants.push(',');
    }
    treatment.variants.push_str(&experiment.key);
    treatment.variants.push('=');
    treatment.variants.push_str(&variant.key);
    for action in &variant.actions {
        match action {
            Action::Upstream(name) => treatment.upstream = Some(name.clone()),
            Action::PathRewrite { prefix, replacement } => {
                treatment.rewrite = Some((prefix.clone(), replacement.clone()));
            }
            Action::RequestHeader { name, value } => {
                treatment.request_fields.push((name.clone(), value.clone()));
            }
            Action::ResponseHeader { name, value } => {
                treatment.response_fields.push((name.clone(), value.clone()));
            }
            Action::Redirect { location, .. } if is_at(asked, location) => {}
            Action::Redirect { location, status } => {
                treatment.redirect = Some((*status, location.clone()));
            }
            Action::Value(_) => {}
        }
    }
}

/// Whether a request is for the place of a redirect: its path, and its query if it has one.
fn is_at(asked: &Asked<'_>, location: &str) -> bool {
    let location = location.split('#').next().unwrap_or_default();
    let path = match location.split_once("://") {
        None => location,
        Some((_, rest)) => {
            let (authority, _) = rest.split_once(['/', '?']).unwrap_or((rest, ""));
            let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
            if !host.eq_ignore_ascii_case(asked.host) {
                return false;
            }
            &rest[authority.len()..]
        }
    };
    let (path, query) =
        path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let path = if path.is_empty() { "/" } else { path };
    path == asked.path && (query.is_none() || query == asked.query)
}

#[cfg(test)]
mod tests {
    use super::*;
    use traffic::Fields;

    #[test]
    fn whoever_has_arrived_stays() {
        let fields = Fields::new();
        let asked = Asked {
            method: "GET",
            scheme: "https",
            host: "shop.example",
            path: "/new",
            query: Some("a=1"),
            fields: &fields,
            client: [127, 0, 0, 1].into(),
            unix_us: 0,
            upstreams: &[],
        };
        for (location, expected) in [
            ("/new", true),
            ("/new#top", true),
            ("/new?a=1", true),
            ("/new?a=2", false),
            ("/other", false),
            ("https://shop.example/new", true),
            ("https://Shop.example:8443/new?a=1", true),
            ("https://other.example/new", false),
            ("https://shop.example", false),
        ] {
            assert_eq!(is_at(&asked, location), expected, "{location}");
        }
        let root = Asked { path: "/", query: None, ..asked };
        assert!(is_at(&root, "https://shop.example"));
        assert!(!is_at(&root, "/?a=1"));
    }
}
