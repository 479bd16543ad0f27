//! The `[slo]` table.

use load::slo::{OBJECTIVES_MAX, Objective, SloTarget};
use toml::de::DeValue;

use crate::errors::{Code, Problem};
use crate::read::{Node, Table};

/// Figures that hints propose; any percentile such as `p99.9` is one too.
const FIGURES: [&str; 9] =
    ["p50", "p90", "p95", "p99", "p99.9", "mean", "max", "failures", "throughput"];

/// Reads `[slo]`; `names` are those of tasks and endpoints.
pub(crate) fn read(node: &Node<'_>, names: &[&str]) -> Vec<Objective> {
    let objectives = node.table("[slo]", |table| {
        let tasks = table.get("task");
        let mut objectives = read_figures(table, None);
        for task in tasks.and_then(|node| node.entries()).unwrap_or_default() {
            let name = task.key.text;
            if !names.contains(&name) {
                let message = format!("no task or endpoint is named `{}`", name.escape_debug());
                let problem = Problem::new(Code::UnknownTask, message).at(task.key.at, "");
                task.sink.add(problem.help_nearest(name, names.iter().copied()));
            }
            let scoped = task.table("[slo.task]", |table| Some(read_figures(table, Some(name))));
            objectives.extend(scoped.unwrap_or_default());
        }
        Some(objectives)
    });
    let objectives = objectives.unwrap_or_default();
    if objectives.len() > OBJECTIVES_MAX {
        let message = format!("[slo] may hold at most {OBJECTIVES_MAX} objectives");
        node.sink.add(node.problem(Code::TooMany, message, ""));
    }
    objectives
}

fn read_figures(table: &mut Table<'_>, scope: Option<&str>) -> Vec<Objective> {
    let abort = table.get("abort").and_then(|node| node.boolean()).unwrap_or(false);
    let figures = table.take_rest();
    figures
        .iter()
        .filter_map(read_target)
        .map(|target| Objective { scope: scope.map(str::to_owned), target, abort })
        .collect()
}

fn read_target(node: &Node<'_>) -> Option<SloTarget> {
    let key = node.key.text;
    let bound = match node.value() {
        DeValue::String(text) => text.to_string(),
        // A share such as 0.01 or a rate such as 100 may be a bare number.
        DeValue::Integer(number) if is_number(key) => number.to_string(),
        DeValue::Float(number) if is_number(key) => number.to_string(),
        // `p99.9 = "1s"` is a table to TOML.
        DeValue::Table(table) if key.starts_with('p') && table.len() == 1 => {
            let decimals = table.keys().next().map_or("", |decimals| decimals.get_ref());
            let message = format!("`{key}.{decimals}` without quotes is a table to TOML");
            let problem = Problem::new(Code::BadSlo, message).at(node.key.at, "");
            node.sink.add(problem.help(format!("write `\"{key}.{decimals}\" = \"...\"`")));
            return None;
        }
        _ => {
            node.wrong_type("text such as \"1s\" or \"1%\"");
            return None;
        }
    };
    SloTarget::from_key(key, &bound)
        .map_err(|message| {
            let problem = match message.starts_with("unknown figure") {
                true => Problem::new(Code::BadSlo, message)
                    .at(node.key.at, "")
                    .help_nearest(key, FIGURES.into_iter().chain(["abort", "task"])),
                false => node.problem(Code::BadSlo, message, ""),
            };
            node.sink.add(problem);
        })
        .ok()
}

fn is_number(key: &str) -> bool {
    matches!(key, "failures" | "errors" | "throughput" | "rps")
}
