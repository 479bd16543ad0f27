//! Reading a scenario file: the document from its top-level keys to tasks and steps.

use std::path::Path;
use std::time::Duration;

use load::data::{DataFormat, DataSource, Per, Pick};
use load::scenario::{ENDPOINTS_MAX, Scenario, Step, Task};
use load::template::Symbols;
use policy::Wait;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::compile::Compiler;
use crate::errors::{Code, Errors, Kind, Problem, Sink};
use crate::expect::{check_name, saved_names};
use crate::load_tables;
use crate::read::{Node, Table, Text};
use crate::resolve;
use crate::settings::LoadSettings;
use crate::step::{
    Defaults, Naming, STEP_KEYS, add_auth, read_auth, read_headers, read_limited, read_step,
};

/// Largest scenario or gateway file, in bytes.
pub const SCENARIO_BYTES_MAX: u64 = 4 << 20;
/// Highest weight of a task.
pub const WEIGHT_MAX: u32 = 1_000_000;

/// A scenario and how it is to be run.
#[derive(Debug)]
pub struct ScenarioFile {
    /// The scenario's name, if it has one.
    pub name: Option<String>,
    /// What users do.
    pub scenario: Scenario,
    /// How it is run.
    pub settings: LoadSettings,
}

/// Reads a scenario file, and the data and body files that it names.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn read_scenario(path: &Path) -> Result<ScenarioFile, Errors> {
    let text = read_text(Kind::Scenario, path)?;
    parse_scenario(&path.display().to_string(), &text, path.parent().unwrap_or(Path::new("")))
}

/// The text of a file of at most [`SCENARIO_BYTES_MAX`].
pub(crate) fn read_text(kind: Kind, path: &Path) -> Result<String, Errors> {
    let text = read_limited(path, SCENARIO_BYTES_MAX).and_then(|bytes| {
        String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8 text", path.display()))
    });
    text.or_else(|message| {
        let sink = Sink::new(kind, None);
        sink.add(Problem::new(Code::UnreadableFile, message));
        sink.finish(None)
    })
}

/// Reads the text of a scenario. `name` is shown in errors; the names of other files are relative
/// to `folder`.
///
/// # Errors
/// Everything that is wrong with the text.
pub fn parse_scenario(name: &str, text: &str, folder: &Path) -> Result<ScenarioFile, Errors> {
    let sink = Sink::of_text(Kind::Scenario, name, text);
    let Some(document) = parse_toml(&sink, text) else { return sink.finish(None) };
    // Errors about the file as a whole point at its beginning.
    let beginning = (0, 0).into();
    let file = Table::read(&sink, "a scenario", beginning, document.get_ref(), |table| {
        read_document(table, document.get_ref(), folder)
    });
    sink.finish(file)
}

/// The TOML document of a text.
pub(crate) fn parse_toml<'a>(sink: &Sink, text: &'a str) -> Option<Spanned<DeTable<'a>>> {
    DeTable::parse(text)
        .map_err(|error| {
            let at = error.span().map(Into::into);
            let message = format!("not TOML: {}", error.message());
            sink.add(Problem::new(Code::Syntax, message).at(at, ""));
        })
        .ok()
}

fn read_document<'a>(
    table: &mut Table<'a>,
    document: &'a DeTable<'a>,
    folder: &Path,
) -> Option<ScenarioFile> {
    let name = table.get("name").and_then(|node| node.owned_text());
    let mut settings = load_tables::read(table, folder);
    let wait = table.get("wait").and_then(|node| read_wait(&node)).unwrap_or(Wait::None);
    let (data, broken) =
        table.get("data").map_or_else(Default::default, |node| read_data(&node, folder));

    let columns = data.iter().map(|source| (source.name.clone(), source.columns.clone())).collect();
    let symbols = Symbols { saved: saved_names(all_steps(document)), data: columns };
    let mut compiler = Compiler { sink: table.sink, symbols, broken, endpoints: Vec::new() };

    let headers = table.get("headers").and_then(|node| read_headers(&node, &compiler));
    let mut headers = headers.unwrap_or_default();
    if let Some(auth) = table.get("auth").and_then(|node| read_auth(&node, &compiler)) {
        add_auth(table, &mut headers, auth);
    }
    let origin = settings.host.as_ref().map(|host| host.origin.clone());
    let defaults = Defaults { folder, origin, headers };

    let steps_of = |table: &mut Table<'a>, key: &'static str, compiler: &mut Compiler<'_>| {
        let steps = table.get(key).and_then(|node| node.list()).unwrap_or_default();
        read_steps(&steps, key, compiler, &defaults)
    };
    let on_start = steps_of(table, "on-start", &mut compiler);
    let tasks = read_tasks(table, &mut compiler, &defaults);
    let on_stop = steps_of(table, "on-stop", &mut compiler);

    if compiler.endpoints.len() > ENDPOINTS_MAX {
        let message = format!(
            "the scenario has {} endpoints; at most {ENDPOINTS_MAX} can be told apart",
            compiler.endpoints.len()
        );
        let problem = Problem::new(Code::TooMany, message).at(Some(table.at), "");
        table.sink.add(problem.help("give steps that belong together the same `name`"));
    }
    let names =
        tasks.iter().map(|task| &task.name).chain(compiler.endpoints.iter().map(|row| &row.name));
    let names: Vec<&str> = names.map(String::as_str).collect();
    settings.slo = table.get("slo").map_or_else(Vec::new, |node| crate::slo::read(&node, &names));
    resolve::check_model(&settings, table.sink);

    let Compiler { symbols, endpoints, .. } = compiler;
    let data = data.into();
    let saved_names = symbols.saved;
    let scenario = Scenario { tasks, on_start, on_stop, wait, data, saved_names, endpoints };
    Some(ScenarioFile { name, scenario, settings })
}

/// The tables of all steps, wherever they stand.
fn all_steps<'a>(document: &'a DeTable<'a>) -> impl Iterator<Item = &'a DeValue<'a>> {
    let list_of = |key: &str| document.get(key).and_then(|value| value.get_ref().as_array());
    let elements = |list: Option<&'a toml::de::DeArray<'a>>| {
        list.into_iter().flat_map(|list| list.iter().map(Spanned::get_ref))
    };
    let tasks = elements(list_of("task")).flat_map(move |task| {
        let steps = task.get("step").and_then(|steps| steps.get_ref().as_array());
        std::iter::once(task).chain(elements(steps))
    });
    elements(list_of("on-start")).chain(tasks).chain(elements(list_of("on-stop")))
}

fn read_steps<'a>(
    steps: &[Node<'a>],
    prefix: &str,
    compiler: &mut Compiler<'_>,
    defaults: &Defaults<'_>,
) -> Vec<Step> {
    let mut read = |node: &Node<'a>| {
        node.table("a step", |table| read_step(table, Naming::Prefix(prefix), compiler, defaults))
    };
    steps.iter().filter_map(|node| read(node).map(|read| read.step)).collect()
}

fn read_tasks<'a>(
    table: &mut Table<'a>,
    compiler: &mut Compiler<'_>,
    defaults: &Defaults<'_>,
) -> Vec<Task> {
    let Some(list) = table.get("task") else {
        let problem = Problem::new(Code::NoTask, "there is no task").at(Some(table.at), "");
        table.sink.add(problem.help("add one: `[[task]]` and below it `get = \"/\"`"));
        return Vec::new();
    };
    let Some(nodes) = list.list() else { return Vec::new() };
    let tasks: Vec<Option<Task>> = nodes
        .iter()
        .map(|node| node.table("a task", |table| read_task(table, compiler, defaults)))
        .collect();
    // A task that could not be read may be the one with the weight.
    if tasks.iter().all(|task| task.as_ref().is_some_and(|task| task.weight == 0)) {
        let at = nodes.first().map(Node::at).or(list.key.at);
        let problem = Problem::new(Code::NoTask, "no task has a weight above zero").at(at, "");
        table.sink.add(problem.help("set `weight = 1` in at least one task"));
    }
    tasks.into_iter().flatten().collect()
}

fn read_task(
    table: &mut Table<'_>,
    compiler: &mut Compiler<'_>,
    defaults: &Defaults<'_>,
) -> Option<Task> {
    let name: Option<Text<'_>> = table.get("name").and_then(|node| node.text());
    let weight = table.get("weight").map_or(Some(1), |node| node.integer(0..=WEIGHT_MAX));
    let inline = STEP_KEYS.iter().find(|key| table.has(key));
    let (steps, shown) = match (table.get("step"), inline) {
        (Some(steps), Some(inline)) => {
            let inline = table.get(inline)?;
            for key in STEP_KEYS {
                table.get(key);
            }
            table.conflict(
                inline.key,
                steps.key,
                "put the request into a `[[task.step]]` of its own",
            );
            return None;
        }
        (Some(steps), None) => {
            let nodes = steps.list()?;
            if nodes.is_empty() {
                steps.sink.add(steps.problem(Code::MissingKey, "the task has no step", ""));
            }
            // One step has its task's name; of several each has its own.
            let naming = match (name, nodes.len()) {
                (Some(name), 1) => Naming::Only(name),
                (Some(name), _) => Naming::Prefix(name.text),
                (None, _) => Naming::Prefix(""),
            };
            let mut read = |node: &Node<'_>| {
                node.table("a step", |table| read_step(table, naming, compiler, defaults))
            };
            let read: Vec<_> = nodes.iter().map(&mut read).collect();
            let read: Option<Vec<_>> = read.into_iter().collect();
            let read = read?;
            let shown = read.first().map_or_else(String::new, |first| first.shown.clone());
            (read.into_iter().map(|read| read.step).collect(), shown)
        }
        (None, _) => {
            let read = read_step(table, Naming::Inline(name), compiler, defaults)?;
            (vec![read.step], read.shown)
        }
    };
    let name = name.map_or(shown, |name| name.text.to_owned());
    Some(Task { name, weight: weight?, steps })
}

fn read_wait(node: &Node<'_>) -> Option<Wait> {
    node.table("`wait`", |table| {
        let kinds = ["constant", "between", "pacing", "throughput"];
        let Some(kind) = table.one_of(&kinds) else {
            let problem = Problem::new(Code::MissingKey, "`wait` does not say how to wait");
            let problem = problem.at(Some(table.at), "");
            table
                .sink
                .add(problem.help("add one of `constant`, `between`, `pacing` or `throughput`"));
            return None;
        };
        match kind.key.text {
            "constant" => kind.duration().map(Wait::Constant),
            "pacing" => kind.duration().map(Wait::Pacing),
            "throughput" => kind.rate().map(|rate| Wait::Throughput(rate.as_per_s())),
            _ => read_range(&kind).map(|(low, high)| Wait::Between(low, high)),
        }
    })
}

/// Reads `["1s", "4s"]`.
pub(crate) fn read_range(node: &Node<'_>) -> Option<(Duration, Duration)> {
    let ends = node.list()?;
    let [low, high] = ends.as_slice() else {
        node.wrong_type("two durations, such as [\"1s\", \"4s\"]");
        return None;
    };
    let (low, high) = (low.duration(), high.duration());
    let (low, high) = (low?, high?);
    if low > high {
        let message = format!("`{}` begins above its end", node.key.text);
        let problem = node.problem(Code::BadRange, message, "low end > high end");
        node.sink.add(problem.help("write the shorter duration first"));
        return None;
    }
    Some((low, high))
}

/// Reads `[data.NAME]` tables; also gives the names of those that failed.
fn read_data(node: &Node<'_>, folder: &Path) -> (Vec<DataSource>, Vec<String>) {
    let (mut sources, mut broken) = (Vec::new(), Vec::new());
    for entry in node.entries().unwrap_or_default() {
        check_name(&entry);
        match entry.table("a data source", |table| read_source(table, entry.key.text, folder)) {
            Some(source) => sources.push(source),
            None => broken.push(entry.key.text.to_owned()),
        }
    }
    (sources, broken)
}

fn read_source(table: &mut Table<'_>, name: &str, folder: &Path) -> Option<DataSource> {
    let picks =
        [("sequential", Pick::Sequential), ("random", Pick::Random), ("each-once", Pick::EachOnce)];
    let pers = [("iteration", Per::Iteration), ("user", Per::User)];
    let pick = table.get("pick").and_then(|node| node.choice(&picks));
    let per = table.get("per").and_then(|node| node.choice(&pers));
    let Some(file) = table.one_of(&["csv", "json-lines"]) else {
        let problem = Problem::new(Code::MissingKey, format!("data `{name}` has no file"));
        let problem = problem.at(Some(table.at), "");
        table.sink.add(problem.help("add `csv = \"FILE\"` or `json-lines = \"FILE\"`"));
        return None;
    };
    let format = if file.key.text == "csv" { DataFormat::Csv } else { DataFormat::JsonLines };
    let path = folder.join(file.text()?.text);
    // With a wrong `pick`, which is reported, the columns are still of use.
    DataSource::read(name, &path, format, pick.unwrap_or_default(), per.unwrap_or_default())
        .map_err(|error| {
            use load::data::DataError;
            let (code, message) = match &error {
                DataError::Read { source, .. } => {
                    (Code::UnreadableFile, format!("{error}: {source}"))
                }
                DataError::TooLarge { .. } => (Code::UnreadableFile, error.to_string()),
                DataError::Line { .. } | DataError::Empty { .. } => {
                    (Code::BadData, error.to_string())
                }
            };
            file.sink.add(file.problem(code, message, ""));
        })
        .ok()
}
