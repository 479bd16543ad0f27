//! A set of experiments, made ready.

use super::StickyView;
use super::decision::{Context, Decision};
use super::unit::Unit;
use crate::model::{
    Experiment, ExperimentSet, Layer, LayerSlot, Problem, Share, UnixMillis, spec_of, validate,
};
use crate::targeting::Matcher;
use policy::assign::{Assigner, HashVersion, Purpose, Seed, bucket, place};
use std::collections::HashMap;

/// Experiments that can be decided, immutable: a change is a new set.
#[derive(Debug, Clone)]
pub struct Set {
    pub(super) ready: Vec<Ready>,
    by_key: HashMap<String, usize>,
}

/// One experiment with all that does not depend on the unit.
#[derive(Debug, Clone)]
pub(super) struct Ready {
    pub(super) experiment: Experiment,
    /// One assigner per phase.
    pub(super) assigners: Vec<Assigner>,
    pub(super) layers: Vec<Slot>,
    /// Seed and share in parts per million of each holdout.
    pub(super) holdouts: Vec<(Seed, u32)>,
    pub(super) targeting: Option<Matcher>,
    /// Index of another experiment and indices of its variants.
    pub(super) prerequisites: Vec<(usize, Vec<u16>)>,
    /// Variant by unit.
    pub(super) overrides: HashMap<String, u16>,
}

/// Ranges of a layer.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    hash: HashVersion,
    salt: String,
    seed: Seed,
    ranges: Vec<[u32; 2]>,
}

impl Slot {
    fn new(slot: &LayerSlot, layer: &Layer) -> Slot {
        let salt = layer.salt.as_ref().unwrap_or(&layer.key).clone();
        let seed = Seed::new(Purpose::Layer, &salt);
        let ranges = slot.ranges.iter().map(|range| range.map(Share::ppm)).collect();
        Slot { hash: layer.hash, salt, seed, ranges }
    }

    /// Whether a unit falls into one of the ranges.
    pub(super) fn has(&self, unit: &str) -> bool {
        let at = match self.hash {
            HashVersion::Native1 => Some(bucket(self.seed, unit)),
            hash => place(hash, &self.salt, unit),
        };
        at.is_some_and(|at| self.ranges.iter().any(|[start, end]| (*start..*end).contains(&at)))
    }
}

impl Set {
    /// Makes a set ready.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn new(set: &ExperimentSet) -> Result<Set, Vec<Problem>> {
        let problems = validate(set);
        if !problems.is_empty() {
            return Err(problems);
        }
        let indices = set.experiments.iter().enumerate();
        let by_key: HashMap<_, _> = indices.map(|(at, each)| (each.key.clone(), at)).collect();
        let ready: Result<Vec<Ready>, Problem> =
            (0..set.experiments.len()).map(|index| Ready::new(set, index, &by_key)).collect();
        Ok(Set { ready: ready.map_err(|problem| vec![problem])?, by_key })
    }

    /// The experiments, in their order.
    pub fn experiments(&self) -> impl Iterator<Item = &Experiment> {
        self.ready.iter().map(|ready| &ready.experiment)
    }

    /// An experiment by key.
    #[must_use]
    pub fn experiment(&self, key: &str) -> Option<&Experiment> {
        self.index(key).and_then(|index| self.ready.get(index)).map(|ready| &ready.experiment)
    }

    /// The index of an experiment, for [`Set::decide_at`].
    #[must_use]
    pub fn index(&self, key: &str) -> Option<usize> {
        self.by_key.get(key).copied()
    }

    /// Whether a unit has a fixed variant in the experiment at an index, which is never counted.
    #[must_use]
    pub fn is_fixed(&self, index: usize, unit: &str) -> bool {
        self.ready.get(index).is_some_and(|ready| ready.overrides.contains_key(unit))
    }

    /// Decides one experiment. `None` when there is none of this key.
    ///
    /// * `sticky`: the kept assignments of the unit whose id the decision's experiment hashes; none
    ///   when nothing is kept
    #[must_use]
    pub fn decide<'a>(
        &'a self,
        key: &str,
        unit: &Unit<'a>,
        context: &Context<'_>,
        sticky: Option<&dyn StickyView>,
        now: UnixMillis,
    ) -> Option<Decision<'a>> {
        self.decide_at(self.index(key)?, unit, context, sticky, now)
    }

    /// Decides every experiment, in their order.
    pub fn decide_all<'a>(
        &'a self,
        unit: &'a Unit<'a>,
        context: &'a Context<'a>,
        sticky: Option<&'a dyn StickyView>,
        now: UnixMillis,
    ) -> impl Iterator<Item = Decision<'a>> {
        (0..self.ready.len())
            .filter_map(move |index| self.decide_at(index, unit, context, sticky, now))
    }
}

impl Ready {
    /// The set has been validated: what is not found here is left out, not expected.
    fn new(
        set: &ExperimentSet,
        index: usize,
        by_key: &HashMap<String, usize>,
    ) -> Result<Ready, Problem> {
        let experiment = set.experiments[index].clone();
        let problem = |message: String| Problem { place: format!("experiments[{index}]"), message };
        let assigners = experiment.phases.iter().map(|phase| {
            let assigner = Assigner::new(&spec_of(&experiment, phase));
            assigner.map_err(|error| problem(error.to_string()))
        });
        let assigners = assigners.collect::<Result<_, _>>()?;
        let layers = experiment.layers.iter().filter_map(|slot| {
            let layer = set.layers.iter().find(|layer| layer.key == slot.layer)?;
            Some(Slot::new(slot, layer))
        });
        let layers = layers.collect();
        let holdouts = set.holdouts.iter().filter(|holdout| {
            holdout.experiments.is_empty() || holdout.experiments.contains(&experiment.key)
        });
        let holdouts = holdouts.map(|holdout| {
            let salt = holdout.salt.as_ref().unwrap_or(&holdout.key);
            (Seed::new(Purpose::Holdout, salt), holdout.share.ppm())
        });
        let holdouts = holdouts.collect();
        let targeting = experiment.targeting.as_ref().map(Matcher::new).transpose();
        let targeting = targeting.map_err(|errors| problem(errors.join("; ")))?;
        let prerequisites = experiment.prerequisites.iter().filter_map(|each| {
            let other = *by_key.get(&each.experiment)?;
            let variants = each.variants.iter();
            Some((
                other,
                variants.filter_map(|key| set.experiments[other].variant_index(key)).collect(),
            ))
        });
        let prerequisites = prerequisites.collect();
        let overrides = experiment
            .overrides
            .iter()
            .filter_map(|each| Some((each.unit.clone(), experiment.variant_index(&each.variant)?)));
        let overrides = overrides.collect();
        Ok(Ready { experiment, assigners, layers, holdouts, targeting, prerequisites, overrides })
    }
}
