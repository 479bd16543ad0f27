//! How a server is chosen: `balance` and `sticky`.

use std::path::Path;

use gateway::params::{Balance, HashKey, Sticky};
use toml::de::DeValue;

use crate::errors::{Code, Problem, Sink};
use crate::gateway::value::{cookie_name, field_name, positive, secret};
use crate::read::{Node, Table};

/// Reads `"round-robin"` and the like, `{ hash = … }` or `{ maglev = … }`.
pub(crate) fn read_balance(node: &Node<'_>) -> Option<Balance> {
    if matches!(node.value(), DeValue::Table(_)) {
        return node.table("`balance`", |table| {
            let Some(kind) = table.one_of(&["hash", "maglev"]) else {
                missing(table, "`balance` does not say how", "add `hash = ...` or `maglev = ...`");
                return None;
            };
            let key = read_hash_key(&kind)?;
            Some(if kind.key.text == "hash" { Balance::Hash(key) } else { Balance::Maglev(key) })
        });
    }
    let text = node.text()?.text;
    Some(match text {
        "peak-ewma" => Balance::PeakEwma,
        "round-robin" => Balance::RoundRobin,
        "least-requests" => Balance::LeastRequests,
        "random" => Balance::Random,
        _ => {
            let words = ["peak-ewma", "round-robin", "least-requests", "random"];
            let message = format!("`{}` is no way to balance", text.escape_debug());
            let problem = node.problem(Code::BadChoice, message, "");
            node.sink.add(match text {
                "hash" | "maglev" => {
                    problem.help(format!("say what is hashed: `{{ {text} = \"client-ip\" }}`"))
                }
                _ => problem.help_nearest(text, words.into_iter()),
            });
            return None;
        }
    })
}

fn read_hash_key(node: &Node<'_>) -> Option<HashKey> {
    if matches!(node.value(), DeValue::Table(_)) {
        return node.table("what is hashed", |table| match table.one_of(&["cookie", "header"]) {
            Some(key) if key.key.text == "cookie" => cookie_name(&key).map(HashKey::Cookie),
            Some(key) => field_name(key.sink, key.text()?).map(HashKey::Header),
            None => {
                missing(table, "this names nothing", "add `cookie = ...` or `header = ...`");
                None
            }
        });
    }
    match node.text()?.text {
        "client-ip" => Some(HashKey::ClientIp),
        "uri" => Some(HashKey::Uri),
        other => {
            let words = ["client-ip", "uri"].into_iter();
            let message = format!("`{}` cannot be hashed", other.escape_debug());
            let problem = node.problem(Code::BadChoice, message, "");
            node.sink.add(problem.help_nearest(other, words));
            None
        }
    }
}

/// Reports a table that lacks one of several keys.
pub(crate) fn missing(table: &Table<'_>, message: &str, help: &str) {
    let sink: &Sink = table.sink;
    sink.add(Problem::new(Code::MissingKey, message).at(Some(table.at), "").help(help));
}

/// Reads `sticky`.
pub(crate) fn read_sticky(node: &Node<'_>, folder: &Path) -> Option<Sticky> {
    node.table("`sticky`", |table| {
        let cookie = table.required("cookie").and_then(|node| cookie_name(&node));
        let max_age = positive(table, "max-age");
        let secret = secret(table, ["secret", "secret-file", "secret-env"], folder);
        Some(Sticky { cookie: cookie?, max_age, secret: secret.map(|(_, text)| text.into_bytes()) })
    })
}
