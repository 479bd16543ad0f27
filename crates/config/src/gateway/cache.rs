//! `cache` of a route.

use std::time::Duration;

use gateway::params::{Cache, CacheKey, QueryKey};
use policy::cache::{Negative, Rules};
use toml::de::DeValue;
use traffic::Bytes;

use crate::errors::{Code, Problem};
use crate::gateway::balance::missing;
use crate::gateway::value::{
    cookie_name, field_name, field_names, flag, not_empty, positive, texts,
};
use crate::read::{Node, Table, Text};

/// Bytes of a store unless the file says.
const STORE_BYTES: u64 = 64 << 20;
/// Largest body that is kept unless the file says.
const OBJECT_BYTES: u64 = 8 << 20;
/// How long a request waits for another one of the same key.
const COLLAPSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A size that may be said by any of the routes that share a store.
pub(crate) type Said<'a> = Option<(Text<'a>, u64)>;

/// The same without its key.
type Placed = Option<(Option<miette::SourceSpan>, u64)>;

/// A cache as one route describes it, before it is known what others say about the same store.
pub(crate) struct ReadCache<'a> {
    pub(crate) cache: Cache,
    pub(crate) max_bytes: Said<'a>,
    pub(crate) max_object: Said<'a>,
}

/// Reads `cache`.
pub(crate) fn read_cache<'a>(table: &mut Table<'a>, route: &str) -> Option<ReadCache<'a>> {
    let max_bytes = said(table, "max-bytes");
    let max_object = said(table, "max-object");
    let store = table.get("store").and_then(|node| node.owned_text());
    let d = Rules::default();
    let mut duration = |key: &'a str, default: Duration| {
        table.get(key).and_then(|node| node.duration()).unwrap_or(default)
    };
    let rules = Rules {
        default_ttl: duration("default-ttl", d.default_ttl),
        heuristic_max: duration("heuristic-max", d.heuristic_max),
        stale_while_revalidate: duration("stale-while-revalidate", d.stale_while_revalidate),
        stale_if_error: duration("stale-if-error", d.stale_if_error),
        max_ttl: positive(table, "max-ttl"),
        negative: table.get("negative").map_or_else(Vec::new, |node| read_negative(&node)),
        heuristic: flag(table, "heuristic").unwrap_or(d.heuristic),
        store_set_cookie: flag(table, "store-set-cookie").unwrap_or(d.store_set_cookie),
        obey_request: flag(table, "obey-request").unwrap_or(d.obey_request),
        vary_max: d.vary_max,
    };
    if let (false, Some(max)) = (rules.heuristic, table.get("heuristic-max")) {
        let cause = table.get("heuristic").map(|node| node.key);
        crate::gateway::value::no_effect(table.sink, max.key, cause, "the heuristic is off");
    }
    let key = table.get("key").and_then(|node| node.table("`key`", read_key));
    let tag_header = table.get("tag-header");
    let tag_header = tag_header.and_then(|node| field_name(node.sink, node.text()?));
    let cache = Cache {
        max_bytes: STORE_BYTES,
        store: store.unwrap_or_else(|| route.to_owned()),
        max_object: OBJECT_BYTES,
        rules,
        key: key.unwrap_or_default(),
        collapse_timeout: table
            .get("collapse-timeout")
            .and_then(|node| node.duration())
            .unwrap_or(COLLAPSE_TIMEOUT),
        tag_header: tag_header.unwrap_or_else(|| "surrogate-key".to_owned()),
        status_header: flag(table, "status-header").unwrap_or(true),
    };
    Some(ReadCache { cache, max_bytes, max_object })
}

fn said<'a>(table: &mut Table<'a>, key: &'a str) -> Said<'a> {
    let node = table.get(key)?;
    let bytes = node.bytes()?;
    if bytes == 0 {
        let problem = node.problem(Code::BadNumber, format!("`{key}` must be above zero"), "");
        node.sink.add(problem.help("without `cache` nothing is kept"));
    }
    Some((node.key, bytes))
}

fn read_negative(node: &Node<'_>) -> Vec<Negative> {
    let read = |entry: &Node<'_>| {
        let status = entry.key.text.parse().ok().filter(|status| (400..=599).contains(status));
        if status.is_none() {
            let message = format!("`{}` is no error status", entry.key.text.escape_debug());
            let problem = Problem::new(Code::BadStatus, message).at(entry.key.at, "");
            entry.sink.add(problem.help("write `{ \"404\" = \"10s\" }`"));
        }
        let ttl = entry.duration()?;
        Some(Negative { status: status?, ttl })
    };
    node.entries().unwrap_or_default().iter().filter_map(read).collect()
}

fn read_key(table: &mut Table<'_>) -> Option<CacheKey> {
    let query = table.get("query").and_then(|node| read_query(&node)).unwrap_or_default();
    let headers = table.get("headers").map_or_else(Vec::new, |node| field_names(&node));
    let cookies = table
        .get("cookies")
        .map_or_else(Vec::new, |node| node.list_or_one().iter().filter_map(cookie_name).collect());
    Some(CacheKey { query, headers, cookies })
}

fn read_query(node: &Node<'_>) -> Option<QueryKey> {
    if matches!(node.value(), DeValue::Table(_)) {
        return node.table("`query`", |table| {
            let Some(kind) = table.one_of(&["only", "except"]) else {
                missing(table, "`query` names nothing", "add `only = [...]` or `except = [...]`");
                return None;
            };
            let names = texts(&kind);
            not_empty(&kind, &names);
            let names = names.into_iter().map(|name| name.text.to_owned()).collect();
            Some(match kind.key.text {
                "only" => QueryKey::Only(names),
                _ => QueryKey::Except(names),
            })
        });
    }
    match node.text()?.text {
        "all" => Some(QueryKey::All),
        "none" => Some(QueryKey::None),
        other => {
            let message = format!("`{}` is no choice for `query`", other.escape_debug());
            let problem = node.problem(Code::BadChoice, message, "");
            node.sink.add(problem.help_nearest(other, ["all", "none"].into_iter()));
            None
        }
    }
}

/// Gives the routes of each store the sizes that one of them says. Two may not say different ones.
pub(crate) fn share_stores(table: &Table<'_>, caches: &mut [(Text<'_>, &mut ReadCache<'_>)]) {
    for index in 0..caches.len() {
        let store = caches[index].1.cache.store.clone();
        let same = |cache: &&(Text<'_>, &mut ReadCache<'_>)| cache.1.cache.store == store;
        let find = |said: fn(&ReadCache<'_>) -> Placed| {
            caches.iter().filter(same).find_map(|(_, cache)| said(cache))
        };
        let bytes = find(|cache| cache.max_bytes.map(|(key, bytes)| (key.at, bytes)));
        let object = find(|cache| cache.max_object.map(|(key, bytes)| (key.at, bytes)));
        let read = &mut *caches[index].1;
        for (own, first) in [(&read.max_bytes, bytes), (&read.max_object, object)] {
            if let (Some((key, own)), Some((at, first))) = (own, first)
                && *own != first
            {
                let message = format!("the store `{store}` has two values of `{}`", key.text);
                let problem = Problem::new(Code::Conflict, message).at(key.at, "this");
                table.sink.add(problem.at(at, "and this").help("one of them is enough"));
            }
        }
        read.cache.max_bytes = bytes.map_or(STORE_BYTES, |(_, bytes)| bytes);
        let most = read.cache.max_bytes;
        read.cache.max_object = object.map_or(OBJECT_BYTES.min(most), |(_, bytes)| bytes);
        if let (Some((key, object)), true) = (read.max_object, read.cache.max_object > most) {
            let message = format!(
                "`max-object` ({}) is more than the store holds ({})",
                Bytes(object),
                Bytes(most)
            );
            table.sink.add(Problem::new(Code::BadRange, message).at(key.at, ""));
        }
    }
}
