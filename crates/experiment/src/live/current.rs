//! The experiments that are decided now, and what follows from them.

use super::growthbook;
use crate::evaluate::Set;
use crate::model::{Action, Experiment, ExperimentSet, Problem, Source, Status, UnixMillis};
use crate::targeting::{Facts, Field, Matcher};
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use xxhash_rust::xxh3::xxh3_128;

/// An immutable set with everything that does not depend on a request. A change is a new one.
#[derive(Debug)]
pub struct Current {
    set: Set,
    source: ExperimentSet,
    version: String,
    since: UnixMillis,
    gateway: Vec<GatewayExperiment>,
    /// Moments at which something begins or ends, in order.
    boundaries: Vec<UnixMillis>,
    /// The payload for GrowthBook's clients and the number of boundaries that it was made after.
    payload: Mutex<Option<(usize, Arc<str>)>>,
}

/// An experiment that the gateway serves.
#[derive(Debug)]
pub struct GatewayExperiment {
    /// Its index in the set.
    pub index: usize,
    targeting: Option<Matcher>,
    /// Request fields that answers depend on (`Vary`): where units are, and what is asked of them.
    pub vary: Vec<&'static str>,
    /// The same, for fields that the configuration names.
    pub vary_headers: Vec<String>,
    /// Whether answers depend on the country, for `Vary` of the header that tells it.
    pub vary_country: bool,
}

/// Why an exposure cannot count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncountable {
    /// The experiment did not run at that time.
    Unknown,
    /// The unit has a fixed variant.
    Fixed,
}

impl Uncountable {
    /// The word in APIs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Uncountable::Unknown => "unknown",
            Uncountable::Fixed => "fixed",
        }
    }
}

/// What an experiment has to do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// Nothing.
    None,
    /// It is not for this request, but for others of the same URL: what is answered depends on it.
    Url,
    /// It is for this request.
    Request,
}

impl Current {
    /// Makes a set ready.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn new(source: ExperimentSet, now: UnixMillis) -> Result<Current, Vec<Problem>> {
        let set = Set::new(&source)?;
        // A set that can be read can be written.
        let text = serde_json::to_vec(&source).unwrap_or_default();
        let gateway = source.experiments.iter().enumerate();
        let gateway = gateway.filter(|(_, each)| is_served_by_gateway(each));
        let make = |(index, _)| GatewayExperiment::new(index, &source.experiments);
        let mut gateway: Vec<GatewayExperiment> = gateway.filter_map(make).collect();
        // Of several that want the same, the first by name has its way.
        gateway.sort_by_key(|each| source.experiments.get(each.index).map(|it| &it.key));
        Ok(Current {
            version: format!("{:032x}", xxh3_128(&text)),
            boundaries: boundaries(&source),
            payload: Mutex::new(None),
            since: now,
            set,
            source,
            gateway,
        })
    }

    /// The experiments, ready to be decided.
    #[must_use]
    pub fn set(&self) -> &Set {
        &self.set
    }

    /// The experiments as they were given.
    #[must_use]
    pub fn source(&self) -> &ExperimentSet {
        &self.source
    }

    /// An experiment by index.
    #[must_use]
    pub fn experiment(&self, index: usize) -> Option<&Experiment> {
        self.source.experiments.get(index)
    }

    /// Names the content: the same experiments have the same version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// When it was taken.
    #[must_use]
    pub fn since(&self) -> UnixMillis {
        self.since
    }

    /// The experiments that the gateway serves.
    #[must_use]
    pub fn gateway(&self) -> &[GatewayExperiment] {
        &self.gateway
    }

    /// How many beginnings and ends are over: with the version, it names what is decided now.
    #[must_use]
    pub fn boundaries_before(&self, now: UnixMillis) -> usize {
        self.boundaries.partition_point(|&at| at <= now)
    }

    /// When what is decided changed last: this set was taken, or something of it began or ended.
    #[must_use]
    pub fn changed(&self, now: UnixMillis) -> UnixMillis {
        let last = self.boundaries_before(now).checked_sub(1);
        let last = last.and_then(|at| self.boundaries.get(at)).copied().unwrap_or(0);
        self.since.max(last)
    }

    /// When something begins or ends next.
    #[must_use]
    pub fn next_boundary(&self, now: UnixMillis) -> Option<UnixMillis> {
        self.boundaries.get(self.boundaries_before(now)).copied()
    }

    /// Why somebody else's word that a unit was exposed cannot count, if so.
    #[must_use]
    pub fn uncountable(&self, index: usize, unit: &str, at: UnixMillis) -> Option<Uncountable> {
        let experiment = self.experiment(index)?;
        let schedule = experiment.schedule;
        let first = experiment.phases.first().map_or(UnixMillis::MAX, |phase| phase.since);
        let ran = experiment.status != Status::Draft
            && schedule.start.unwrap_or(0).max(first) <= at
            && schedule.end.is_none_or(|end| at < end);
        match ran {
            false => Some(Uncountable::Unknown),
            true => self.set.is_fixed(index, unit).then_some(Uncountable::Fixed),
        }
    }

    /// The payload of GrowthBook's SDK API, as JSON.
    #[must_use]
    pub fn growthbook_payload(&self, now: UnixMillis) -> Arc<str> {
        let before = self.boundaries_before(now);
        let mut held = self.payload.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, text)) = held.as_ref().filter(|(made, _)| *made == before) {
            return Arc::clone(text);
        }
        let payload: Value = growthbook::payload(&self.source, self.since, now);
        let text: Arc<str> = payload.to_string().into();
        *held = Some((before, Arc::clone(&text)));
        text
    }
}

impl GatewayExperiment {
    fn new(index: usize, all: &[Experiment]) -> Option<GatewayExperiment> {
        let experiment = all.get(index)?;
        // The set was checked: its conditions can be compiled.
        let targeting = experiment.targeting.as_ref().and_then(|each| Matcher::new(each).ok());
        let (mut vary, mut vary_headers, mut vary_country) = (Vec::new(), Vec::new(), false);
        for source in [&experiment.unit.device, &experiment.unit.user].into_iter().flatten() {
            match source {
                Source::Cookie(_) => vary.push("Cookie"),
                Source::Claim(_) => vary.push("Authorization"),
                Source::Header(name) => vary_headers.push(name.clone()),
                // Another query is another URL anyway.
                Source::Query(_) => {}
            }
        }
        for condition in with_prerequisites(experiment, all).filter_map(|it| it.targeting.as_ref())
        {
            condition.each_field(&mut |field| match field {
                Field::Cookie(_) => vary.push("Cookie"),
                Field::Header(name) => vary_headers.push(name.clone()),
                Field::Country => vary_country = true,
                Field::Path
                | Field::Host
                | Field::Query(_)
                | Field::Client
                | Field::Attribute(_) => {}
            });
        }
        Some(GatewayExperiment { index, targeting, vary, vary_headers, vary_country })
    }

    /// What it has to do with a request.
    #[must_use]
    pub fn concern(&self, experiment: &Experiment, facts: &dyn Facts, now: UnixMillis) -> Concern {
        let schedule = experiment.schedule;
        let first = experiment.phases.first().map_or(UnixMillis::MAX, |phase| phase.since);
        let runs = experiment.status == Status::Running
            && schedule.start.unwrap_or(0).max(first) <= now
            && schedule.end.is_none_or(|end| now < end);
        match &self.targeting {
            _ if !runs => Concern::None,
            Some(matcher) if !matcher.may_match(facts, is_of_url) => Concern::None,
            Some(matcher) if !matcher.matches(facts) => Concern::Url,
            _ => Concern::Request,
        }
    }

    /// Whether a request is for one of its pages, whoever asks and whether it runs.
    #[must_use]
    pub fn is_at(&self, facts: &dyn Facts) -> bool {
        let is_place = |field: &Field| matches!(field, Field::Path | Field::Host);
        self.targeting.as_ref().is_none_or(|matcher| matcher.may_match(facts, is_place))
    }
}

/// What all requests of one URL have in common; no request has attributes.
fn is_of_url(field: &Field) -> bool {
    matches!(field, Field::Path | Field::Host | Field::Query(_) | Field::Attribute(_))
}

/// An experiment and all that it depends on.
fn with_prerequisites<'a>(
    experiment: &'a Experiment,
    all: &'a [Experiment],
) -> impl Iterator<Item = &'a Experiment> {
    let mut found = vec![experiment];
    let mut done = 0;
    while let Some(each) = found.get(done) {
        for prerequisite in &each.prerequisites {
            let known = found.iter().any(|it| it.key == prerequisite.experiment);
            found.extend(all.iter().find(|it| !known && it.key == prerequisite.experiment));
        }
        done += 1;
    }
    found.into_iter()
}

/// Whether the gateway does something for an experiment, if only assigning: unless its variants are
/// values for applications alone.
fn is_served_by_gateway(experiment: &Experiment) -> bool {
    let mut actions = experiment.variants.iter().flat_map(|variant| &variant.actions).peekable();
    actions.peek().is_none() || actions.any(|action| !matches!(action, Action::Value(_)))
}

fn boundaries(set: &ExperimentSet) -> Vec<UnixMillis> {
    let mut all: Vec<UnixMillis> = set
        .experiments
        .iter()
        .flat_map(|each| {
            let phases = each.phases.iter().map(|phase| phase.since);
            phases.chain(each.schedule.start).chain(each.schedule.end)
        })
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_end_is_a_change() {
        let set = json!({ "experiments": [{
            "key": "e", "status": "running", "unit": {"device": {"cookie": "uid"}},
            "variants": [{"key": "a"}, {"key": "b"}],
            "phases": [{"since": 5, "weights": [1, 1]}], "schedule": {"end": 200},
        }] });
        let current = Current::new(serde_json::from_value(set).unwrap(), 100).unwrap();
        let changed = [99, 100, 199, 200, 300].map(|now| current.changed(now));
        assert_eq!(changed, [100, 100, 100, 200, 200]);
    }
}
