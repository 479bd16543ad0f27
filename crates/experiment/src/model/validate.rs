//! Everything that can be wrong with a set, found at once.

use super::limits::{
    ACTIONS_MAX, DECISIONS_MAX, EXPERIMENTS_MAX, HOLDOUTS_MAX, LAYERS_MAX, METRICS_MAX,
    NAME_BYTES_MAX, OVERRIDES_MAX, PHASES_MAX, PREREQUISITES_MAX, RAMP_MAX, RANGES_MAX, SLOTS_MAX,
    TEXT_BYTES_MAX, UNIT_BYTES_MAX, VALUE_BYTES_MAX, VARIANTS_MAX,
};
use super::problem::Problems;
use super::{Action, Experiment, ExperimentSet, Identity, Problem, Status, spec_of};
use crate::targeting::Matcher;
use policy::assign::{Assigner, place};
use std::collections::{HashMap, HashSet};

/// All problems of a set; empty when it can be used.
#[must_use]
pub fn validate(set: &ExperimentSet) -> Vec<Problem> {
    let mut problems = Problems::default();
    let found = &mut problems;
    found.at_most("experiments", "experiments", set.experiments.len(), EXPERIMENTS_MAX);
    found.at_most("layers", "layers", set.layers.len(), LAYERS_MAX);
    found.at_most("holdouts", "holdouts", set.holdouts.len(), HOLDOUTS_MAX);
    if !found.0.is_empty() {
        return problems.0;
    }
    names(found, "experiments", set.experiments.iter().map(|each| each.key.as_str()));
    names(found, "layers", set.layers.iter().map(|each| each.key.as_str()));
    names(found, "holdouts", set.holdouts.iter().map(|each| each.key.as_str()));
    for (index, experiment) in set.experiments.iter().enumerate() {
        check_experiment(found, &format!("experiments[{index}]"), experiment, set);
    }
    check_layers(found, set);
    check_holdouts(found, set);
    check_prerequisites(found, set);
    problems.0
}

/// Whether a text can be a key: it ends up in cookies, headers, logs and file names.
fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

fn names<'a>(found: &mut Problems, place: &str, keys: impl Iterator<Item = &'a str>) {
    let mut seen = HashSet::new();
    for (index, key) in keys.enumerate() {
        let place = format!("{place}[{index}].key");
        if !is_name(key) {
            let message = format!(
                "\"{}\" is no key; use 1 to {NAME_BYTES_MAX} letters, digits, '-', '_' and '.'",
                key.chars().take(40).collect::<String>()
            );
            found.add(place, message);
        } else if !seen.insert(key) {
            found.add(place, format!("\"{key}\" is there twice; give one of them another key"));
        }
    }
}

fn check_experiment(found: &mut Problems, at: &str, experiment: &Experiment, set: &ExperimentSet) {
    let variants = experiment.variants.len();
    found.at_most(&format!("{at}.variants"), "variants", variants, VARIANTS_MAX);
    found.at_most(&format!("{at}.phases"), "phases", experiment.phases.len(), PHASES_MAX);
    found.at_most(&format!("{at}.layers"), "layers", experiment.layers.len(), SLOTS_MAX);
    found.at_most(
        &format!("{at}.overrides"),
        "overrides",
        experiment.overrides.len(),
        OVERRIDES_MAX,
    );
    found.at_most(&format!("{at}.metrics"), "metrics", experiment.metrics.len(), METRICS_MAX);
    found.at_most(
        &format!("{at}.guardrails"),
        "guardrails",
        experiment.guardrails.len(),
        METRICS_MAX,
    );
    let prerequisites = experiment.prerequisites.len();
    found.at_most(
        &format!("{at}.prerequisites"),
        "prerequisites",
        prerequisites,
        PREREQUISITES_MAX,
    );
    if experiment.description.len() > TEXT_BYTES_MAX {
        found.add(
            format!("{at}.description"),
            format!("a description may have {TEXT_BYTES_MAX} bytes at most"),
        );
    }
    let salts = [(&experiment.salts.coverage, "coverage"), (&experiment.salts.variant, "variant")];
    for (salt, name) in salts {
        check_salt(found, &format!("{at}.salts.{name}"), salt.as_deref());
    }
    if variants < 2 {
        found.add(format!("{at}.variants"), "an experiment compares two variants at least");
    }
    names(
        found,
        &format!("{at}.variants"),
        experiment.variants.iter().map(|each| each.key.as_str()),
    );
    check_unit(found, at, experiment);
    check_phases(found, at, experiment);
    check_actions(found, at, experiment);
    if let Some(Err(errors)) = experiment.targeting.as_ref().map(Matcher::new) {
        for error in errors {
            found.add(format!("{at}.targeting"), error);
        }
    }
    if let (Some(start), Some(end)) = (experiment.schedule.start, experiment.schedule.end)
        && end <= start
    {
        found.add(format!("{at}.schedule"), "the end must come after the start");
    }
    if experiment.sticky.is_some_and(|sticky| sticky.min_version > sticky.version) {
        found.add(format!("{at}.sticky"), "min-version must not be above version");
    }
    for (index, each) in experiment.overrides.iter().enumerate() {
        let at = format!("{at}.overrides[{index}]");
        if experiment.variant_index(&each.variant).is_none() {
            found.add(&at, no_variant(&each.variant, experiment));
        }
        if !(1..=UNIT_BYTES_MAX).contains(&each.unit.len()) {
            found.add(&at, format!("an id has 1 to {UNIT_BYTES_MAX} bytes"));
        }
    }
    check_metrics(found, at, experiment);
    for (index, slot) in experiment.layers.iter().enumerate() {
        let at = format!("{at}.layers[{index}]");
        found.at_most(&format!("{at}.ranges"), "ranges", slot.ranges.len(), RANGES_MAX);
        if !set.layers.iter().any(|layer| layer.key == slot.layer) {
            found.add(&at, format!("there is no layer \"{}\"", slot.layer));
        }
        if slot.ranges.is_empty() || slot.ranges.iter().any(|[start, end]| start >= end) {
            found.add(&at, "a layer needs ranges that end after they start");
        }
    }
}

fn check_salt(found: &mut Problems, place: &str, salt: Option<&str>) {
    if salt.is_some_and(|salt| salt.len() > NAME_BYTES_MAX) {
        found.add(place, format!("a salt may have {NAME_BYTES_MAX} bytes at most"));
    }
}

fn no_variant(key: &str, experiment: &Experiment) -> String {
    let keys: Vec<&str> = experiment.variants.iter().map(|each| each.key.as_str()).collect();
    format!("\"{}\" has no variant \"{key}\"; it has {}", experiment.key, keys.join(", "))
}

fn check_unit(found: &mut Problems, at: &str, experiment: &Experiment) {
    let unit = &experiment.unit;
    let at = format!("{at}.unit");
    let wanted = match unit.identity {
        Identity::Device => unit.device.is_none().then_some("device"),
        Identity::User => unit.user.is_none().then_some("user"),
        Identity::Linked if unit.device.is_none() => Some("device"),
        Identity::Linked => unit.user.is_none().then_some("user"),
    };
    if let Some(wanted) = wanted {
        found.add(&at, format!("this identity needs to know where the id of the {wanted} is"));
    }
    let sources = [&unit.device, &unit.user];
    for source in sources.into_iter().flatten() {
        if !(1..=NAME_BYTES_MAX).contains(&source.name().len()) {
            found.add(&at, format!("a name has 1 to {NAME_BYTES_MAX} bytes"));
        }
    }
    if unit.create && !matches!(unit.device, Some(super::Source::Cookie(_))) {
        found.add(&at, "only a cookie can be created for a device");
    }
}

fn check_phases(found: &mut Problems, at: &str, experiment: &Experiment) {
    if experiment.phases.is_empty() {
        found.add(format!("{at}.phases"), "an experiment needs a phase with weights");
    }
    if !experiment.phases.is_sorted_by(|one, next| one.since < next.since) {
        found.add(format!("{at}.phases"), "each phase must begin after the one before");
    }
    for (index, phase) in experiment.phases.iter().enumerate() {
        let at = format!("{at}.phases[{index}]");
        check_salt(found, &format!("{at}.salt"), phase.salt.as_deref());
        let variants = experiment.variants.len();
        let given = if phase.ranges.is_empty() { phase.weights.len() } else { phase.ranges.len() };
        if given != variants {
            found.add(&at, format!("{given} weights or ranges do not fit {variants} variants"));
        } else if !phase.ranges.is_empty() && !phase.weights.is_empty() {
            found.add(&at, "give either weights or ranges");
        } else if let Err(error) = Assigner::new(&spec_of(experiment, phase)) {
            found.add(&at, error.to_string());
        }
    }
}

fn check_actions(found: &mut Problems, at: &str, experiment: &Experiment) {
    for (index, variant) in experiment.variants.iter().enumerate() {
        let at = format!("{at}.variants[{index}].actions");
        found.at_most(&at, "actions", variant.actions.len(), ACTIONS_MAX);
        for action in &variant.actions {
            if let Err(message) = check_action(action) {
                found.add(&at, message);
            }
        }
    }
}

fn check_action(action: &Action) -> Result<(), String> {
    let header = |name: &str, value: &str| {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(token) {
            return Err(format!("\"{name}\" is no name of a header"));
        }
        let visible = |byte: u8| byte == b'\t' || (b' '..=b'~').contains(&byte);
        if value.len() > TEXT_BYTES_MAX || !value.bytes().all(visible) {
            return Err(format!("the value of the header {name} must be visible ASCII"));
        }
        Ok(())
    };
    let visible = |text: &str| {
        !text.is_empty()
            && text.len() <= TEXT_BYTES_MAX
            && text.bytes().all(|b| b.is_ascii_graphic())
    };
    match action {
        Action::Upstream(name) if !is_name(name) => Err(format!("\"{name}\" is no upstream")),
        Action::Upstream(_) => Ok(()),
        Action::PathRewrite { prefix, replacement } => {
            let path = |text: &str| visible(text) && text.starts_with('/');
            let valid = path(prefix) && path(replacement);
            valid.then_some(()).ok_or_else(|| "paths begin with '/'".to_owned())
        }
        Action::RequestHeader { name, value } | Action::ResponseHeader { name, value } => {
            header(name, value)
        }
        Action::Redirect { location, status } => {
            if !visible(location) {
                return Err("the location must be visible ASCII without spaces".to_owned());
            }
            let valid = matches!(status, 302 | 303 | 307);
            valid.then_some(()).ok_or_else(|| format!("{status} is not 302, 303 or 307"))
        }
        Action::Value(value) => {
            let fits = value.to_string().len() <= VALUE_BYTES_MAX;
            fits.then_some(()).ok_or_else(|| format!("a value has {VALUE_BYTES_MAX} bytes at most"))
        }
    }
}

fn check_metrics(found: &mut Problems, at: &str, experiment: &Experiment) {
    let names = experiment.metrics.iter().chain(&experiment.guardrails).chain(&experiment.primary);
    for name in names.filter(|name| !is_name(name)) {
        found.add(format!("{at}.metrics"), format!("\"{name}\" is no name of a metric"));
    }
    let policy = &experiment.policy;
    let at = format!("{at}.policy");
    found.at_most(&at, "steps of the ramp", policy.ramp.len(), RAMP_MAX);
    if !policy.ramp.is_sorted_by(|one, next| one < next) {
        found.add(&at, "the steps of the ramp must rise");
    }
    if !policy.min_days.is_multiple_of(7) {
        found.add(&at, "min-days must be whole weeks: 7, 14, 21 …");
    }
    if !(policy.alpha > 0.0 && policy.alpha < 0.5) {
        found.add(&at, "alpha must be above 0 and below 0.5");
    }
}

/// Layers hash, experiments in one hash the same ids, and their ranges do not overlap.
fn check_layers(found: &mut Problems, set: &ExperimentSet) {
    for (index, layer) in set.layers.iter().enumerate() {
        let at = format!("layers[{index}]");
        check_salt(found, &format!("{at}.salt"), layer.salt.as_deref());
        if place(layer.hash, &layer.key, "0").is_none() {
            found.add(&at, format!("the hash \"{}\" has no layers", layer.hash.name()));
        }
        // Stopped experiments give their part back.
        let live = set.experiments.iter().filter(|each| each.status != Status::Stopped);
        let slots = live.flat_map(|each| each.layers.iter().map(move |slot| (each, slot)));
        let slots: Vec<_> = slots.filter(|(_, slot)| slot.layer == layer.key).collect();
        let mut ranges: Vec<_> = slots
            .iter()
            .flat_map(|(each, slot)| {
                slot.ranges.iter().map(|[start, end]| (*start, *end, &each.key))
            })
            .collect();
        ranges.sort_unstable();
        for pair in ranges.windows(2) {
            let [(_, end, one), (start, _, other)] = pair else { continue };
            if start < end {
                found.add(
                    &at,
                    format!(
                        "the ranges of \"{one}\" and \"{other}\" overlap at {}",
                        start.fraction()
                    ),
                );
            }
        }
        if let Some((first, _)) = slots.first() {
            for (other, _) in slots.iter().filter(|(each, _)| each.unit != first.unit) {
                found.add(
                    &at,
                    format!(
                        "\"{}\" and \"{}\" hash different ids, so they would not exclude each other",
                        first.key, other.key
                    ),
                );
            }
        }
    }
}

fn check_holdouts(found: &mut Problems, set: &ExperimentSet) {
    let keys: HashSet<&str> = set.experiments.iter().map(|each| each.key.as_str()).collect();
    for (index, holdout) in set.holdouts.iter().enumerate() {
        let at = format!("holdouts[{index}]");
        check_salt(found, &format!("{at}.salt"), holdout.salt.as_deref());
        found.at_most(&at, "experiments", holdout.experiments.len(), EXPERIMENTS_MAX);
        for key in holdout.experiments.iter().filter(|key| !keys.contains(key.as_str())) {
            found.add(&at, format!("there is no experiment \"{key}\""));
        }
    }
}

/// Prerequisites exist, make no circle, and do not make a decision too dear.
fn check_prerequisites(found: &mut Problems, set: &ExperimentSet) {
    let keys = set.experiments.iter().enumerate();
    let by_key: HashMap<&str, usize> = keys.map(|(at, each)| (each.key.as_str(), at)).collect();
    for (index, experiment) in set.experiments.iter().enumerate() {
        for (position, prerequisite) in experiment.prerequisites.iter().enumerate() {
            let at = format!("experiments[{index}].prerequisites[{position}]");
            let Some(&other) = by_key.get(prerequisite.experiment.as_str()) else {
                found.add(at, format!("there is no experiment \"{}\"", prerequisite.experiment));
                continue;
            };
            let other = &set.experiments[other];
            if other.unit != experiment.unit {
                let why = "hash different ids, so that one would be decided for somebody else";
                found.add(&at, format!("\"{}\" and \"{}\" {why}", experiment.key, other.key));
            }
            found.at_most(&at, "variants", prerequisite.variants.len(), VARIANTS_MAX);
            if prerequisite.variants.is_empty() {
                found.add(&at, "name the variants that take part");
            }
            for key in &prerequisite.variants {
                if other.variant_index(key).is_none() {
                    found.add(&at, no_variant(key, other));
                }
            }
        }
    }
    let mut costs = vec![Cost::Unknown; set.experiments.len()];
    for (index, experiment) in set.experiments.iter().enumerate() {
        let at = format!("experiments[{index}].prerequisites");
        match cost(set, &by_key, index, &mut costs) {
            None => found.add(
                at,
                format!("the prerequisites of \"{}\" go round in a circle", experiment.key),
            ),
            Some(cost) if cost > DECISIONS_MAX => found.add(
                at,
                format!("deciding this needs more than {DECISIONS_MAX} decisions; depend on less"),
            ),
            Some(_) => {}
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Cost {
    Unknown,
    /// Being found out further up.
    Open,
    Known(Option<usize>),
}

/// How many decisions a decision takes: itself and those that it depends on. `None` for a circle.
fn cost(
    set: &ExperimentSet,
    by_key: &HashMap<&str, usize>,
    index: usize,
    costs: &mut [Cost],
) -> Option<usize> {
    match costs[index] {
        Cost::Known(cost) => return cost,
        Cost::Open => return None,
        Cost::Unknown => costs[index] = Cost::Open,
    }
    let others = set.experiments[index].prerequisites.iter();
    let mut others = others.filter_map(|each| by_key.get(each.experiment.as_str()).copied());
    let sum = others
        .try_fold(1_usize, |sum, other| Some(sum.saturating_add(cost(set, by_key, other, costs)?)));
    costs[index] = Cost::Known(sum);
    sum
}
