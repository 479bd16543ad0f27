//! Experiments of a gateway file: `[experiments]`, `[experiment.*]`, `[metric.*]`, `[layer.*]` and
//! `[holdout.*]`.

mod definition;
pub mod import;
mod matches;
mod metric;
mod places;
mod policy;
mod service;
mod shared;
mod unit;
mod value;
mod variant;

use std::path::Path;

use experiment::automation::Declared;
use experiment::live::params::ServiceParams;
use experiment::{metric as metrics, model};

use self::places::Places;
use crate::errors::{Errors, Kind, Sink};
use crate::file::{parse_toml, read_text};
use crate::read::{Node, Table};

/// Top-level tables of a gateway file that are about experiments.
pub(crate) const TABLES: [&str; 5] = ["experiments", "experiment", "metric", "layer", "holdout"];
/// Where the service listens unless the file says.
pub const EXPERIMENTS_ADDRESS: &str = "127.0.0.1:9190";
/// The folder of what is recorded unless the file says.
pub const EXPERIMENTS_DATA: &str = "tidegate-data";

/// Reads what a gateway file says about experiments, and the files that it names. `None` when it
/// has none of the tables.
///
/// # Errors
/// Everything that is wrong with these tables. What is wrong elsewhere in the file is for
/// [`crate::read_gateway`] to say.
pub fn read_experiments(path: &Path) -> Result<Option<(ServiceParams, Declared)>, Errors> {
    let text = read_text(Kind::Gateway, path)?;
    parse_experiments(&path.display().to_string(), &text, path.parent().unwrap_or(Path::new("")))
}

/// The same for a file of experiments that are to join those of a gateway: `upstreams` are the
/// gateway's, or `None` when they are not known, so that any name is taken.
///
/// # Errors
/// As [`read_experiments`].
pub fn read_joining_experiments(
    path: &Path,
    upstreams: Option<&[String]>,
) -> Result<Option<(ServiceParams, Declared)>, Errors> {
    let text = read_text(Kind::Gateway, path)?;
    let upstreams = upstreams.map_or(Upstreams::Any, Upstreams::Known);
    let folder = path.parent().unwrap_or(Path::new(""));
    parse(&path.display().to_string(), &text, folder, upstreams)
}

/// Which upstreams variants may name.
#[derive(Debug, Clone, Copy)]
enum Upstreams<'a> {
    /// Those of the same file.
    OfFile,
    Known(&'a [String]),
    Any,
}

/// Reads the text of a gateway file. `name` is shown in errors; the names of other files are
/// relative to `folder`.
///
/// # Errors
/// As [`read_experiments`].
pub fn parse_experiments(
    name: &str,
    text: &str,
    folder: &Path,
) -> Result<Option<(ServiceParams, Declared)>, Errors> {
    parse(name, text, folder, Upstreams::OfFile)
}

fn parse(
    name: &str,
    text: &str,
    folder: &Path,
    upstreams: Upstreams<'_>,
) -> Result<Option<(ServiceParams, Declared)>, Errors> {
    let sink = Sink::of_text(Kind::Gateway, name, text);
    let Some(document) = parse_toml(&sink, text) else { return sink.finish(None) };
    let beginning = (0, 0).into();
    let found = Table::read(&sink, "a gateway file", beginning, document.get_ref(), |table| {
        if !TABLES.iter().any(|key| table.has(key)) {
            table.take_rest();
            return Some(None);
        }
        read_document(table, folder, upstreams).map(Some)
    });
    sink.finish(found)
}

fn read_document<'a>(
    table: &mut Table<'a>,
    folder: &'a Path,
    upstreams: Upstreams<'a>,
) -> Option<(ServiceParams, Declared)> {
    let service = service::read(table, folder);
    let upstreams: Option<Vec<&str>> = match upstreams {
        Upstreams::OfFile => Some(names(table, "upstream")),
        Upstreams::Known(names) => Some(names.iter().map(String::as_str).collect()),
        Upstreams::Any => None,
    };
    let mut places = Places::default();
    let mut declared = Declared::default();
    let mut whole = true;
    for (index, node) in each(table, "experiment").into_iter().enumerate() {
        places.add(format!("experiments[{index}]"), node.key.at);
        let place = format!("experiments[{index}]");
        match definition::read(&node, &place, upstreams.as_deref(), &mut places) {
            Some((experiment, plan)) => {
                places.add(format!("plan {}", experiment.key), node.key.at);
                declared.plans.push((experiment.key.clone(), plan));
                declared.set.experiments.push(experiment);
            }
            None => whole = false,
        }
    }
    for (index, node) in each(table, "layer").into_iter().enumerate() {
        places.add(format!("layers[{index}]"), node.key.at);
        match shared::layer(&node) {
            Some(layer) => declared.set.layers.push(layer),
            None => whole = false,
        }
    }
    for (index, node) in each(table, "holdout").into_iter().enumerate() {
        places.add(format!("holdouts[{index}]"), node.key.at);
        match shared::holdout(&node) {
            Some(holdout) => declared.set.holdouts.push(holdout),
            None => whole = false,
        }
    }
    for (index, node) in each(table, "metric").into_iter().enumerate() {
        places.add(format!("metrics[{index}]"), node.key.at);
        match metric::read(&node, &format!("metrics[{index}]"), &mut places) {
            Some(metric) => declared.metrics.push(metric),
            None => whole = false,
        }
    }
    // The rest of the file is the gateway's.
    table.take_rest();
    if whole {
        check(table.sink, &declared, &places);
    }
    Some((service?, declared))
}

/// What only the whole shows.
fn check(sink: &Sink, declared: &Declared, places: &Places) {
    let mut problems = metrics::validate(&declared.metrics);
    problems.extend(model::validate(&declared.set));
    for (index, experiment) in declared.set.experiments.iter().enumerate() {
        let place = format!("experiments[{index}]");
        let unknown = metrics::resolve(experiment, &declared.metrics).err().unwrap_or_default();
        let at = |message| model::Problem { place: format!("{place}.metrics"), message };
        problems.extend(unknown.into_iter().map(at));
        let plan = declared.plans.iter().find(|(key, _)| *key == experiment.key);
        let (variants, sticky) = (experiment.variants.len(), experiment.sticky.is_some());
        let found = plan.map(|(_, plan)| plan.problems(variants, sticky)).unwrap_or_default();
        let at = |(field, message): (&str, String)| model::Problem {
            place: format!("{place}.policy.{field}"),
            message,
        };
        problems.extend(found.into_iter().map(at));
    }
    problems.iter().for_each(|problem| places.report(sink, problem));
}

/// The entries of a top-level table of tables.
fn each<'a>(table: &mut Table<'a>, key: &'a str) -> Vec<Node<'a>> {
    table.get(key).and_then(|node| node.entries()).unwrap_or_default()
}

/// The names of such entries.
fn names<'a>(table: &mut Table<'a>, key: &'a str) -> Vec<&'a str> {
    each(table, key).into_iter().map(|node| node.key.text).collect()
}
