//! Question and answer.

use crate::model::{Experiment, Variant};
use crate::targeting::Facts;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// What is known besides the unit.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// What conditions ask for.
    pub facts: &'a dyn Facts,
    /// The user agent is a program's ([`crate::targeting::is_bot`]).
    pub bot: bool,
    /// Fetched ahead of a visit ([`crate::targeting::is_prefetch`]), or only its head.
    pub prefetch: bool,
    /// Variants by experiment that somebody who may has asked for: the caller has checked the
    /// signature of the link.
    pub overrides: &'a [(&'a str, &'a str)],
}

impl Default for Context<'_> {
    fn default() -> Self {
        Context { facts: &(), bot: false, prefetch: false, overrides: &[] }
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Context")
            .field("bot", &self.bot)
            .field("prefetch", &self.prefetch)
            .field("overrides", &self.overrides)
            .finish_non_exhaustive()
    }
}

/// A kept assignment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StickyRecord {
    /// The version of the stickiness that it was made under.
    pub version: u32,
    /// Key of the variant.
    pub variant: String,
    /// The phase in which the unit was assigned, which is the stratum that it counts in.
    pub phase: usize,
}

/// The kept assignments of one unit.
pub trait StickyView {
    /// The assignment in an experiment.
    fn get(&self, experiment: &str) -> Option<&StickyRecord>;
}

impl StickyView for HashMap<String, StickyRecord> {
    fn get(&self, experiment: &str) -> Option<&StickyRecord> {
        HashMap::get(self, experiment)
    }
}

impl StickyView for BTreeMap<String, StickyRecord> {
    fn get(&self, experiment: &str) -> Option<&StickyRecord> {
        BTreeMap::get(self, experiment)
    }
}

/// Why a decision is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Somebody asked for the variant, or the unit has a fixed one.
    Override,
    /// The unit has it from before.
    Sticky,
    /// The hash says so.
    Split,
    /// The experiment is a draft.
    Draft,
    /// The experiment is paused.
    Paused,
    /// The experiment is stopped.
    Stopped,
    /// Its schedule, or its first phase, begins later.
    NotStarted,
    /// Its schedule is over.
    Ended,
    /// There is no id of the kind that it hashes.
    NoUnit,
    /// The id cannot be hashed: the hash wants digits.
    BadUnit,
    /// The unit is held out.
    Holdout,
    /// The unit was assigned under a version that is excluded.
    Blocked,
    /// Another experiment of the layer has the unit.
    Layer,
    /// The condition does not hold.
    Targeting,
    /// The unit is not where the experiment needs it in another experiment.
    Prerequisite,
    /// The unit is not among those that take part.
    Coverage,
}

impl Reason {
    /// The word in APIs and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Reason::Override => "override",
            Reason::Sticky => "sticky",
            Reason::Split => "split",
            Reason::Draft => "draft",
            Reason::Paused => "paused",
            Reason::Stopped => "stopped",
            Reason::NotStarted => "not-started",
            Reason::Ended => "ended",
            Reason::NoUnit => "no-unit",
            Reason::BadUnit => "bad-unit",
            Reason::Holdout => "holdout",
            Reason::Blocked => "blocked",
            Reason::Layer => "layer",
            Reason::Targeting => "targeting",
            Reason::Prerequisite => "prerequisite",
            Reason::Coverage => "coverage",
        }
    }
}

/// Why somebody who has a variant is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Uncounted {
    /// An override: quality assurance.
    Override,
    /// A program.
    Bot,
    /// A visit that may never come.
    Prefetch,
}

/// What was decided for one unit and one experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision<'a> {
    /// The experiment.
    pub experiment: &'a Experiment,
    /// Index of the variant. `None` when the unit does not take part: it gets the site as it is.
    pub variant: Option<u16>,
    /// Why.
    pub reason: Reason,
    /// The id that was hashed: what exposures and events are recorded for.
    pub unit: Option<&'a str>,
    /// Where the hash of the variants fell, in millionths.
    pub bucket: Option<u32>,
    /// The phase that the unit counts in.
    pub phase: usize,
    /// Why it is not counted though it has a variant.
    pub uncounted: Option<Uncounted>,
    /// The record to keep for this unit and experiment unless there is one; the first writer wins.
    /// Serve what [`Decision::settle`] makes of the winner.
    pub keep: Option<StickyRecord>,
}

impl<'a> Decision<'a> {
    /// Whether the unit has a variant.
    #[must_use]
    pub fn in_experiment(&self) -> bool {
        self.variant.is_some()
    }

    /// Whether serving it is an exposure.
    #[must_use]
    pub fn counted(&self) -> bool {
        self.in_experiment() && self.uncounted.is_none()
    }

    /// The variant.
    #[must_use]
    pub fn served(&self) -> Option<&'a Variant> {
        self.experiment.variants.get(usize::from(self.variant?))
    }

    /// The decision after the record of this unit and experiment was written: another decision,
    /// made at the same time elsewhere, may have been first.
    #[must_use]
    pub fn settle(mut self, winner: &StickyRecord) -> Decision<'a> {
        let mine = self.keep.take();
        if mine.as_ref().is_none_or(|mine| mine == winner || mine.version != winner.version) {
            return self;
        }
        let index = self.experiment.variant_index(&winner.variant);
        if let Some(index) = index {
            self.variant = Some(index);
            self.phase = winner.phase;
            self.reason = Reason::Sticky;
        }
        self
    }
}
