//! Which route takes a request: the most specific match, then the first in the file.

use std::collections::HashMap;

use traffic::Fields;

use crate::params::{Match, PathMatch, Route};

/// What a match looks at.
#[derive(Debug, Clone, Copy)]
pub struct Matched<'a> {
    /// Lower-case host without port.
    pub host: &'a str,
    /// Normalised path.
    pub path: &'a str,
    /// Query without `?`.
    pub query: Option<&'a str>,
    /// Method.
    pub method: &'a str,
    /// Request fields.
    pub fields: &'a Fields,
    /// Name of the listener.
    pub listener: &'a str,
}

/// Routes, in the order in which they are tried.
#[derive(Debug, Default)]
pub struct Router {
    /// By exact host.
    exact: HashMap<String, Vec<Entry>>,
    /// By what follows the `*.`, longest first.
    wildcard: Vec<(String, Vec<Entry>)>,
    /// For every host.
    any: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    route: usize,
    matches: Match,
}

/// How specific a match is, apart from its host: exact paths before prefixes, long before short,
/// more conditions before fewer.
fn rank(matches: &Match) -> (usize, usize, usize) {
    let (exact, len) = match &matches.path {
        PathMatch::Exact(path) => (1, path.len()),
        PathMatch::Prefix(prefix) => (0, prefix.len()),
        PathMatch::Any => (0, 0),
    };
    let lists = [!matches.methods.is_empty(), !matches.listeners.is_empty()];
    let conditions =
        lists.iter().filter(|given| **given).count() + matches.headers.len() + matches.query.len();
    (exact, len, conditions)
}

impl Router {
    /// Sorts the routes.
    pub fn new(routes: &[Route]) -> Router {
        let mut router = Router::default();
        let mut wildcard: HashMap<String, Vec<Entry>> = HashMap::new();
        for (index, route) in routes.iter().enumerate() {
            let entry = Entry { route: index, matches: route.matches.clone() };
            if route.matches.hosts.is_empty() {
                router.any.push(entry);
                continue;
            }
            for host in &route.matches.hosts {
                let list = match host.strip_prefix("*.") {
                    Some(suffix) => wildcard.entry(format!(".{suffix}")).or_default(),
                    None => router.exact.entry(host.clone()).or_default(),
                };
                list.push(entry.clone());
            }
        }
        router.wildcard = wildcard.into_iter().collect();
        router.wildcard.sort_by(|(one, _), (other, _)| {
            other.len().cmp(&one.len()).then_with(|| one.cmp(other))
        });
        let lists =
            router.exact.values_mut().chain(router.wildcard.iter_mut().map(|(_, list)| list));
        for list in lists.chain([&mut router.any]) {
            list.sort_by_key(|entry| std::cmp::Reverse(rank(&entry.matches)));
        }
        router
    }

    /// The index of the route that takes a request.
    pub fn find(&self, request: &Matched<'_>) -> Option<usize> {
        let first = |list: &[Entry]| {
            list.iter().find(|entry| entry.takes(request)).map(|entry| entry.route)
        };
        let exact = if self.exact.is_empty() { None } else { self.exact.get(request.host) };
        exact
            .and_then(|list| first(list))
            .or_else(|| {
                let below = self.wildcard.iter().filter(|(suffix, _)| {
                    request.host.len() > suffix.len() && request.host.ends_with(suffix.as_str())
                });
                below.map(|(_, list)| first(list)).find(Option::is_some).flatten()
            })
            .or_else(|| first(&self.any))
    }
}

impl Entry {
    fn takes(&self, request: &Matched<'_>) -> bool {
        let matches = &self.matches;
        let path = match &matches.path {
            PathMatch::Any => true,
            PathMatch::Exact(path) => path == request.path,
            PathMatch::Prefix(prefix) => is_below(request.path, prefix),
        };
        path && (matches.methods.is_empty()
            || matches.methods.iter().any(|method| method == request.method))
            && (matches.listeners.is_empty()
                || matches.listeners.iter().any(|listener| listener == request.listener))
            && matches
                .headers
                .iter()
                .all(|(name, wanted)| has_value(request.fields.all_named(name), wanted.as_deref()))
            && matches.query.iter().all(|(name, wanted)| {
                let found =
                    request.query.and_then(|query| wire::target::query_parameter(query, name));
                has_value(found.iter().map(|value| value.as_bytes()), wanted.as_deref())
            })
    }
}

fn has_value<'a>(mut values: impl Iterator<Item = &'a [u8]>, wanted: Option<&str>) -> bool {
    match wanted {
        Some(wanted) => values.any(|value| value == wanted.as_bytes()),
        None => values.next().is_some(),
    }
}

/// Whether a path is `prefix` or below it: `/api` covers `/api` and `/api/x`, not `/apix`.
pub fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_at_segments() {
        for (path, prefix, below) in [
            ("/api", "/api", true),
            ("/api/x", "/api", true),
            ("/apix", "/api", false),
            ("/api/", "/api/", true),
            ("/api", "/api/", false),
            ("/anything", "/", true),
        ] {
            assert_eq!(is_below(path, prefix), below, "{path} {prefix}");
        }
    }
}
