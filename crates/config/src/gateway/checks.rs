//! What only all routes together show: two that take the same requests.

use std::collections::HashMap;

use gateway::params::{Match, PathMatch};

use crate::errors::{Code, Problem};
use crate::read::{Table, Text};

/// Conditions in an order that does not depend on how they are written.
type Conditions = (bool, String, Vec<String>, Pairs, Pairs, Vec<String>);
type Pairs = Vec<(String, Option<String>)>;

fn conditions(matches: &Match) -> Conditions {
    fn sorted<T: Ord + Clone>(list: &[T]) -> Vec<T> {
        let mut list = list.to_vec();
        list.sort();
        list.dedup();
        list
    }
    let (exact, path) = match &matches.path {
        PathMatch::Any => (false, "/".to_owned()),
        PathMatch::Prefix(prefix) => (false, prefix.clone()),
        PathMatch::Exact(path) => (true, path.clone()),
    };
    (
        exact,
        path,
        sorted(&matches.methods),
        sorted(&matches.headers),
        sorted(&matches.query),
        sorted(&matches.listeners),
    )
}

/// Reports routes whose conditions are those of an earlier one, for at least one host: the later
/// one would never be reached there.
pub(crate) fn check_same_matches(table: &Table<'_>, routes: &[(Text<'_>, &Match)]) {
    let mut known: HashMap<(Option<&str>, Conditions), Text<'_>> = HashMap::new();
    for (key, matches) in routes {
        let conditions = conditions(matches);
        let any = matches.hosts.is_empty().then_some(None);
        let mut hosts: Vec<Option<&str>> =
            any.into_iter().chain(matches.hosts.iter().map(|host| Some(&**host))).collect();
        hosts.sort_unstable();
        hosts.dedup();
        let mut reported = false;
        for host in hosts {
            let first = *known.entry((host, conditions.clone())).or_insert(*key);
            if first.text == key.text || reported {
                continue;
            }
            reported = true;
            let of_host = host.map_or_else(String::new, |host| format!(" for host `{host}`"));
            let message = format!(
                "routes `{}` and `{}` match the same requests{of_host}",
                first.text, key.text
            );
            let problem = Problem::new(Code::Duplicate, message).at(key.at, "is never reached");
            table.sink.add(problem.at(first.at, "takes all of them"));
        }
    }
}
