//! `[experiment.NAME]`.

use experiment::analysis::Plan;
use experiment::model::{
    Experiment, LayerSlot, Override, Phase, Prerequisite, Salts, Schedule, Share, Status, Sticky,
};
use toml::de::DeValue;

use super::places::Places;
use super::shared::read_hash;
use super::value::{moment, share, strings_of};
use super::{matches, policy, unit, variant};
use crate::errors::{Code, Problem};
use crate::gateway::value::{check_name, feature, flag, whole};
use crate::read::{Node, Table};

/// Keys whose places are remembered for what is found later.
const PLACED: [&str; 14] = [
    "unit",
    "match",
    "variant",
    "coverage",
    "layers",
    "prerequisites",
    "schedule",
    "sticky",
    "overrides",
    "primary",
    "metrics",
    "guardrails",
    "policy",
    "salts",
];

/// Reads one, with its plan. `upstreams` are those there are, when that is known.
pub(super) fn read<'a>(
    node: &Node<'a>,
    place: &str,
    upstreams: Option<&[&str]>,
    places: &mut Places,
) -> Option<(Experiment, Plan)> {
    check_name(node);
    let key = node.key.text.to_owned();
    node.table("an experiment", |table| {
        for name in PLACED {
            let at = table.get(name).map(|node| node.at());
            places.add(format!("{place}.{name}"), at);
        }
        let variants = table.get("variant").map(|node| node.key.at);
        places.add(format!("{place}.phases"), variants.flatten());
        let targeting = table.get("match");
        places.add(format!("{place}.targeting"), targeting.map(|node| node.at()));
        let variants = read_variants(table, place, upstreams, places);
        let statuses = [
            ("draft", Status::Draft),
            ("running", Status::Running),
            ("paused", Status::Paused),
            ("stopped", Status::Stopped),
        ];
        let status = table.get("status").and_then(|node| node.choice(&statuses));
        let unit = table.required("unit").and_then(|node| unit::read(&node));
        let decided = match table.get("policy") {
            None => Some(Default::default()),
            Some(node) => policy::read(&node),
        };
        let targeting = match targeting {
            None => Some(None),
            Some(node) => matches::read(&node).map(Some),
        };
        let text = |table: &mut Table<'a>, key| table.get(key).and_then(|node| node.owned_text());
        let mut experiment = Experiment {
            key,
            description: text(table, "description").unwrap_or_default(),
            status: status.unwrap_or(Status::Running),
            unit: unit.clone().unwrap_or(experiment::model::UnitSource {
                device: None,
                user: None,
                identity: Default::default(),
                create: false,
            }),
            hash: read_hash(table),
            salts: read_salts(table),
            variants: Vec::new(),
            phases: Vec::new(),
            coverage: table.get("coverage").and_then(|node| share(&node)).unwrap_or(Share::ALL),
            layers: read_layers(table),
            targeting: None,
            prerequisites: read_prerequisites(table),
            schedule: read_schedule(table),
            sticky: table.get("sticky").and_then(|node| feature(&node, "`sticky`", read_sticky)),
            overrides: read_overrides(table),
            primary: text(table, "primary"),
            metrics: strings_of(table, "metrics"),
            guardrails: strings_of(table, "guardrails"),
            policy: Default::default(),
        };
        let (_, targeting, (policy, plan), variants) = (unit?, targeting?, decided?, variants?);
        experiment.targeting = targeting;
        experiment.policy = policy;
        experiment.phases = vec![phase(&variants, text(table, "salt"))];
        experiment.variants = variants.into_iter().map(|each| each.variant).collect();
        Some((experiment, plan))
    })
}

fn read_variants(
    table: &mut Table<'_>,
    place: &str,
    upstreams: Option<&[&str]>,
    places: &mut Places,
) -> Option<Vec<variant::Read>> {
    let nodes = table.required("variant")?.entries()?;
    let mut variants = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        places.add(format!("{place}.variants[{index}]"), node.key.at);
        variants.push(variant::read(node, upstreams));
    }
    variants.into_iter().collect()
}

/// The first phase: its time begins when the experiment does.
fn phase(variants: &[variant::Read], salt: Option<String>) -> Phase {
    let by_ranges = variants.iter().any(|variant| !variant.ranges.is_empty());
    // Weights beside ranges are a mistake that is found with the rest.
    let said = variants.iter().any(|variant| variant.weight.is_some());
    let weights = if by_ranges && !said {
        Vec::new()
    } else {
        variants.iter().map(|variant| variant.weight.unwrap_or(1)).collect()
    };
    let ranges = if by_ranges {
        variants.iter().map(|each| each.ranges.clone()).collect()
    } else {
        Vec::new()
    };
    Phase { since: 0, weights, ranges, salt }
}

fn read_salts(table: &mut Table<'_>) -> Salts {
    let read = |table: &mut Table<'_>| {
        let mut text = |key| table.get(key).and_then(|node| node.owned_text());
        Some(Salts { coverage: text("coverage"), variant: text("variant") })
    };
    table.get("salts").and_then(|node| node.table("`salts`", read)).unwrap_or_default()
}

fn read_layers(table: &mut Table<'_>) -> Vec<LayerSlot> {
    let nodes = table.get("layers").map(|node| node.list_or_one()).unwrap_or_default();
    let read = |node: &Node<'_>| {
        node.table("a layer of the experiment", |table| {
            let layer = table.required("layer").and_then(|node| node.owned_text());
            let ranges = table.required("ranges").and_then(|node| node.list()).unwrap_or_default();
            let range = |node: &Node<'_>| {
                let ends: Vec<Share> = node.list()?.iter().filter_map(share).collect();
                let pair: Option<[Share; 2]> = ends.try_into().ok();
                if pair.is_none() {
                    let problem = node.problem(Code::BadRange, "a range is two shares", "");
                    node.sink.add(problem.help("write `ranges = [[\"0%\", \"50%\"]]`"));
                }
                pair
            };
            let ranges = ranges.iter().filter_map(range).collect();
            Some(LayerSlot { layer: layer?, ranges })
        })
    };
    nodes.iter().filter_map(read).collect()
}

fn read_prerequisites(table: &mut Table<'_>) -> Vec<Prerequisite> {
    let Some(node) = table.get("prerequisites") else { return Vec::new() };
    let each = |node: &Node<'_>| Prerequisite {
        experiment: node.key.text.to_owned(),
        variants: super::value::strings(node),
    };
    node.entries().unwrap_or_default().iter().map(each).collect()
}

fn read_schedule(table: &mut Table<'_>) -> Schedule {
    let read = |table: &mut Table<'_>| {
        let mut at = |key| table.get(key).and_then(|node| moment(&node));
        Some(Schedule { start: at("start"), end: at("end") })
    };
    table.get("schedule").and_then(|node| node.table("`schedule`", read)).unwrap_or_default()
}

fn read_sticky(table: &mut Table<'_>) -> Option<Sticky> {
    Some(Sticky {
        version: whole(table, "version", 0..=u32::MAX).unwrap_or(0),
        min_version: whole(table, "min-version", 0..=u32::MAX).unwrap_or(0),
        ignore_targeting: flag(table, "ignore-targeting").unwrap_or(false),
    })
}

fn read_overrides(table: &mut Table<'_>) -> Vec<Override> {
    let Some(node) = table.get("overrides") else { return Vec::new() };
    let each = |node: &Node<'_>| match node.value() {
        DeValue::String(variant) => {
            Some(Override { unit: node.key.text.to_owned(), variant: variant.to_string() })
        }
        _ => {
            let message = "an override names a variant";
            node.sink.add(Problem::new(Code::WrongType, message).at(Some(node.at()), ""));
            None
        }
    };
    node.entries().unwrap_or_default().iter().filter_map(each).collect()
}
