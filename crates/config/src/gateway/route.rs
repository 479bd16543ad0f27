//! `[route.NAME]`: which requests, and what happens to them.

use std::path::Path;
use std::time::Duration;

use gateway::params::{
    Action, Match, Mirror, PathMatch, ROUTES_MAX, Rewrite, Route, Timeouts, UpstreamKind,
};

use crate::errors::{Code, Problem};
use crate::gateway::cache::{ReadCache, read_cache, share_stores};
use crate::gateway::checks::check_same_matches;
use crate::gateway::guard::{
    bytes, read_access, read_concurrency, read_cors, read_rate_limits, read_upgrades,
};
use crate::gateway::matches::{normal_path, read_match};
use crate::gateway::pages::{
    is_on, read_compression, read_edits, read_error_pages, read_redirect, read_respond,
};
use crate::gateway::too_many;
use crate::gateway::upstream::Known;
use crate::gateway::value::{check_name, feature, no_effect, percent, positive, share, whole};
use crate::read::{Node, Table, Text};

/// Largest weight in a split.
pub const SPLIT_WEIGHT_MAX: u32 = 1_000_000;
/// Largest request body.
const BODY_MAX: u64 = 16 << 20;
/// How long the head of a response may take.
const RESPONSE: Duration = Duration::from_secs(60);
/// How long a body may stand still.
const IDLE: Duration = Duration::from_secs(60);
/// Most copies of requests under way, per worker.
const MIRRORED: usize = 100;

/// Keys that act only on the way to a server.
const SERVERS_ONLY: [&str; 4] = ["request-header", "cache", "mirror", "upgrades"];

/// What routes refer to.
pub(crate) struct Context<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) listeners: Vec<Text<'a>>,
    pub(crate) upstreams: Vec<Known<'a>>,
}

/// What answers the requests of a route.
#[derive(Clone, Copy, PartialEq)]
enum Answers {
    /// Servers, at least partly, or nobody knows.
    Servers,
    /// Files only.
    Files,
    /// tidegate.
    Itself,
}

struct ReadRoute<'a> {
    key: Text<'a>,
    route: Option<Route>,
    matches: Option<Match>,
    cache: Option<ReadCache<'a>>,
}

/// Reads all `[route.NAME]`.
pub(crate) fn read_routes<'a>(
    table: &mut Table<'a>,
    context: &mut Context<'a>,
    may_be_none: bool,
) -> Option<Vec<Route>> {
    let nodes = table.get("route").and_then(|node| node.entries()).unwrap_or_default();
    if nodes.is_empty() && !may_be_none {
        let problem = Problem::new(Code::MissingKey, "there is no route").at(Some(table.at), "");
        table.sink.add(problem.help("add one: `[route.site]` and `upstream = \"NAME\"`"));
    }
    too_many(table, "route", nodes.len(), ROUTES_MAX);
    let mut read: Vec<ReadRoute<'a>> = nodes.iter().map(|node| read_entry(node, context)).collect();

    let matches: Vec<(Text<'_>, &Match)> =
        read.iter().filter_map(|one| Some((one.key, one.matches.as_ref()?))).collect();
    check_same_matches(table, &matches);
    let mut caches: Vec<(Text<'_>, &mut ReadCache<'a>)> =
        read.iter_mut().filter_map(|one| Some((one.key, one.cache.as_mut()?))).collect();
    share_stores(table, &mut caches);
    let finish = |one: ReadRoute<'a>| {
        let route = one.route?;
        Some(Route { cache: one.cache.map(|read| read.cache), matches: one.matches?, ..route })
    };
    read.into_iter().map(finish).collect()
}

fn read_entry<'a>(node: &Node<'a>, context: &mut Context<'a>) -> ReadRoute<'a> {
    let (mut matches, mut cache) = (None, None);
    check_name(node);
    let name = node.key.text;
    let route = node.table("a route", |table| {
        matches = match table.get("match") {
            None => Some(Match::default()),
            Some(node) => node.table("`match`", |table| read_match(table, &context.listeners)),
        };
        cache = table
            .get("cache")
            .and_then(|node| feature(&node, "`cache`", |table| read_cache(table, name)));
        let path = matches.as_ref().map(|matches| &matches.path);
        read_route(table, name, path, context)
    });
    ReadRoute { key: node.key, route, matches, cache }
}

fn read_route<'a>(
    table: &mut Table<'a>,
    name: &str,
    path: Option<&PathMatch>,
    context: &mut Context<'a>,
) -> Option<Route> {
    let folder = context.folder;
    let action_node = table.one_of(&["upstream", "redirect", "respond"]);
    let action = match action_node {
        None => {
            let message = format!("route `{name}` does not say what answers");
            let help = "add one of `upstream`, `redirect` or `respond`";
            let problem = Problem::new(Code::MissingKey, message);
            table.sink.add(problem.at(Some(table.at), "").help(help));
            None
        }
        Some(node) => match node.key.text {
            "redirect" => read_redirect(&node),
            "respond" => read_respond(&node, folder),
            _ => read_split(&node, &context.upstreams).map(Action::Forward),
        },
    };
    let answers = match (&action, action_node) {
        (Some(Action::Forward(split)), _) => {
            let is_files = |index: usize| {
                let kind = context.upstreams.get(index).and_then(|known| known.kind.as_ref());
                matches!(kind, Some(UpstreamKind::Files(_)))
            };
            let files = !split.is_empty() && split.iter().all(|(index, _)| is_files(*index));
            if files { Answers::Files } else { Answers::Servers }
        }
        (None, None) => Answers::Servers,
        (None, Some(node)) if node.key.text == "upstream" => Answers::Servers,
        _ => Answers::Itself,
    };
    if let Some(cause) = action_node {
        check_effects(table, cause.key, answers);
    }
    let used: Vec<usize> = match &action {
        Some(Action::Forward(split)) => split.iter().map(|(index, _)| *index).collect(),
        _ => Vec::new(),
    };
    let mirrored = table.has("mirror");
    let timeouts = table.get("timeout");
    let timeouts = timeouts.and_then(|node| {
        node.table("`timeout`", |table| {
            let cause = action_node.map(|node| node.key);
            read_timeouts(table, cause, answers, &used, mirrored, context)
        })
    });
    let edits = |node: Option<Node<'a>>, of_request| {
        node.and_then(|node| read_edits(&node, of_request)).unwrap_or_default()
    };
    Some(Route {
        name: name.to_owned(),
        matches: Match::default(),
        access: read_access(table, folder),
        rate_limits: table.get("rate-limit").map_or_else(Vec::new, |node| read_rate_limits(&node)),
        concurrency: read_concurrency(table),
        cors: table.get("cors").and_then(|node| read_cors(&node)),
        rewrite: table.get("rewrite").and_then(|node| read_rewrite(&node, path)),
        request_fields: edits(table.get("request-header"), true),
        response_fields: edits(table.get("response-header"), false),
        cache: None,
        compression: table
            .get("compress")
            .and_then(|node| feature(&node, "`compress`", read_compression)),
        mirror: table.get("mirror").and_then(|node| read_mirror(&node, &context.upstreams)),
        timeouts: timeouts.unwrap_or(Timeouts { total: None, response: RESPONSE, idle: IDLE }),
        body_max: bytes(table, "body-max").unwrap_or(BODY_MAX),
        error_pages: table
            .get("error-pages")
            .map_or_else(Vec::new, |node| read_error_pages(&node, folder)),
        upgrades: read_upgrades(table),
        action: action?,
    })
}

/// Reports settings that would do nothing, given what answers.
fn check_effects(table: &mut Table<'_>, cause: Text<'_>, answers: Answers) {
    if answers == Answers::Servers {
        return;
    }
    let why = match answers {
        Answers::Files => "files are served, no server is asked",
        _ => "tidegate answers itself",
    };
    for key in SERVERS_ONLY {
        if let Some(node) = table.get(key).filter(is_on) {
            no_effect(table.sink, node.key, Some(cause), why);
        }
    }
    if answers == Answers::Itself {
        if let Some(node) = table.get("rewrite") {
            no_effect(table.sink, node.key, Some(cause), why);
        }
        if let (Some(node), "redirect") = (table.get("compress").filter(is_on), cause.text) {
            no_effect(table.sink, node.key, Some(cause), "a redirect has no body");
        }
    }
}

/// The index of an upstream.
fn find_upstream(node: &Node<'_>, name: Text<'_>, known: &[Known<'_>]) -> Option<usize> {
    let found = known.iter().position(|known| known.key.text == name.text);
    if found.is_none() {
        let message = format!("there is no upstream `{}`", name.text.escape_debug());
        let problem = Problem::new(Code::UnknownName, message).at(name.at, "");
        let names = known.iter().map(|known| known.key.text);
        node.sink.add(problem.help_nearest(name.text, names));
    }
    found
}

/// Reads the name of an upstream, or names and weights.
fn read_split(node: &Node<'_>, known: &[Known<'_>]) -> Option<Vec<(usize, u32)>> {
    if let Some(name) = node.as_text() {
        return find_upstream(node, name, known).map(|index| vec![(index, 1)]);
    }
    if !node.value().is_table() {
        node.wrong_type("the name of an upstream, or a table of names and weights");
        return None;
    }
    let entries = node.entries()?;
    let split: Vec<Option<(usize, u32)>> = entries
        .iter()
        .map(|entry| {
            let index = find_upstream(entry, entry.key, known);
            let weight = entry.integer(0..=SPLIT_WEIGHT_MAX);
            Some((index?, weight?))
        })
        .collect();
    let split: Vec<(usize, u32)> = split.into_iter().collect::<Option<_>>()?;
    if split.iter().all(|(_, weight)| *weight == 0) {
        let message = "no upstream has a weight above zero";
        node.sink.add(node.problem(Code::NoEffect, message, ""));
    }
    Some(split)
}

fn read_timeouts<'a>(
    table: &mut Table<'a>,
    cause: Option<Text<'a>>,
    answers: Answers,
    used: &[usize],
    mirrored: bool,
    context: &mut Context<'a>,
) -> Option<Timeouts> {
    let connect_node = table.get("connect");
    let connect = positive(table, "connect");
    if let (Some(node), Some(connect)) = (connect_node, connect) {
        for index in used {
            if let Some(known) = context.upstreams.get_mut(*index) {
                known.connect_within(table, node.key, connect);
            }
        }
    }
    if answers != Answers::Servers {
        for node in [connect_node, table.get("response")].into_iter().flatten() {
            no_effect(table.sink, node.key, cause, "no server is asked");
        }
    }
    let total = positive(table, "total");
    let response = positive(table, "response");
    let idle = positive(table, "idle");
    let total_key = table.get("total").map(|node| node.key);
    // Copies of a mirror have the response timeout alone.
    let bounded = [("response", response.filter(|_| !mirrored)), ("idle", idle)];
    for (key, timeout) in bounded {
        if let (Some(node), Some(timeout), Some(total)) = (table.get(key), timeout, total)
            && timeout >= total
        {
            no_effect(table.sink, node.key, total_key, "`total` ends first");
        }
    }
    Some(Timeouts { total, response: response.unwrap_or(RESPONSE), idle: idle.unwrap_or(IDLE) })
}

fn read_rewrite(node: &Node<'_>, path: Option<&PathMatch>) -> Option<Rewrite> {
    node.table("`rewrite`", |table| {
        let prefix_node = table.required("prefix");
        let prefix = prefix_node.and_then(|node| normal_path(&node));
        let with = table.required("with").and_then(|node| match node.text()?.text {
            "" => Some(String::new()),
            _ => normal_path(&node),
        });
        let matched = match path {
            Some(PathMatch::Exact(path) | PathMatch::Prefix(path)) => path.as_str(),
            _ => "/",
        };
        if let (Some(node), Some(prefix)) = (prefix_node, &prefix)
            && !matched.starts_with(prefix.as_str())
            && !prefix.starts_with(matched)
        {
            let message = format!("no path of this route begins with `{prefix}`");
            node.sink.add(node.problem(Code::NoEffect, message, "does nothing"));
        }
        Some(Rewrite { prefix: prefix?, with: with? })
    })
}

fn read_mirror(node: &Node<'_>, known: &[Known<'_>]) -> Option<Mirror> {
    node.table("`mirror`", |table| {
        let place = table.required("upstream");
        let upstream = place.and_then(|node| find_upstream(&node, node.text()?, known));
        if let (Some(place), Some(known)) = (place, upstream.and_then(|index| known.get(index)))
            && matches!(known.kind, Some(UpstreamKind::Files(_)))
        {
            let why = "files have no use for copies of requests";
            no_effect(table.sink, Text { at: Some(place.at()), ..node.key }, Some(known.key), why);
        }
        let share = share(table, "share").unwrap_or(percent(100));
        let in_flight_max = whole(table, "in-flight-max", 1..=100_000).unwrap_or(MIRRORED);
        Some(Mirror { upstream: upstream?, share, in_flight_max })
    })
}
