//! `unit`: who is randomised.

use experiment::model::{Identity, Source, UnitSource};

use crate::errors::{Code, Problem};
use crate::gateway::value::{cookie_name, field_name, flag};
use crate::read::{Node, Table};

const SOURCES: [&str; 4] = ["cookie", "header", "query", "claim"];

/// Reads `unit`.
pub(super) fn read(node: &Node<'_>) -> Option<UnitSource> {
    node.table("`unit`", |table| {
        let device = table.one_of(&SOURCES).and_then(|node| source(&node));
        let user = table.get("user");
        let user = user.and_then(|node| node.table("`user`", |table| named(table)));
        if device.is_none() && user.is_none() && table.rest().is_empty() {
            let problem = Problem::new(Code::MissingKey, "`unit` names no id");
            let problem = problem.at(Some(table.at), "");
            table.sink.add(problem.help("write `unit = { cookie = \"uid\", create = true }`"));
        }
        let choices =
            [("device", Identity::Device), ("user", Identity::User), ("linked", Identity::Linked)];
        let identity = table.get("identity").and_then(|node| node.choice(&choices));
        let by_default = if device.is_none() { Identity::User } else { Identity::Device };
        let create = flag(table, "create").unwrap_or(false);
        Some(UnitSource { device, user, identity: identity.unwrap_or(by_default), create })
    })
}

fn named(table: &mut Table<'_>) -> Option<Source> {
    let found = table.one_of(&SOURCES);
    if found.is_none() {
        let problem = Problem::new(Code::MissingKey, "`user` names no id");
        let problem = problem.at(Some(table.at), "");
        table.sink.add(problem.help("write `user = { claim = \"sub\" }`"));
    }
    source(&found?)
}

fn source(node: &Node<'_>) -> Option<Source> {
    Some(match node.key.text {
        "cookie" => Source::Cookie(cookie_name(node)?),
        "header" => Source::Header(field_name(node.sink, node.text()?)?),
        "query" => Source::Query(node.owned_text()?),
        _ => Source::Claim(node.owned_text()?),
    })
}
