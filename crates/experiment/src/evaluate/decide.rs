//! The order of a decision, top to bottom.

use super::decision::{Context, Decision, Reason, StickyRecord, StickyView, Uncounted};
use super::set::{Ready, Set};
use super::unit::Unit;
use crate::model::{Status, Sticky, UnixMillis};
use policy::assign::bucket;

impl Set {
    /// Decides the experiment at an index.
    ///
    /// 1. Overrides come first, so that drafts can be looked at.
    /// 2. Status, schedule, unit, holdouts.
    /// 3. A kept assignment makes layers, coverage and weights irrelevant.
    /// 4. Layers, targeting, prerequisites.
    /// 5. Coverage and variant.
    #[must_use]
    pub fn decide_at<'a>(
        &'a self,
        index: usize,
        unit: &Unit<'a>,
        context: &Context<'_>,
        sticky: Option<&dyn StickyView>,
        now: UnixMillis,
    ) -> Option<Decision<'a>> {
        let ready = self.ready.get(index)?;
        let experiment = &ready.experiment;
        let mut decision = Decision {
            experiment,
            variant: None,
            reason: Reason::Split,
            unit: unit.id(experiment.unit.identity),
            bucket: None,
            phase: experiment.phase_at(now),
            uncounted: uncounted(context),
            keep: None,
        };
        if let Some(variant) = ready.overridden(decision.unit, context) {
            decision.variant = Some(variant);
            decision.reason = Reason::Override;
            decision.uncounted = Some(Uncounted::Override);
            return Some(decision);
        }
        decision.reason = match self.assign(ready, &mut decision, unit, context, sticky, now) {
            Ok(reason) | Err(reason) => reason,
        };
        Some(decision)
    }

    /// Fills in variant, bucket and record; why there is a variant, or why not.
    fn assign<'a>(
        &'a self,
        ready: &'a Ready,
        decision: &mut Decision<'a>,
        unit: &Unit<'a>,
        context: &Context<'_>,
        sticky: Option<&dyn StickyView>,
        now: UnixMillis,
    ) -> Result<Reason, Reason> {
        ready.runs(now)?;
        let id = decision.unit.ok_or(Reason::NoUnit)?;
        if ready.holdouts.iter().any(|&(seed, share)| bucket(seed, id) < share) {
            return Err(Reason::Holdout);
        }
        let kept = ready.kept(sticky)?;
        if kept.is_none() && !ready.layers.iter().all(|slot| slot.has(id)) {
            return Err(Reason::Layer);
        }
        let settings = ready.experiment.sticky.unwrap_or_default();
        if kept.is_none() || !settings.ignore_targeting {
            if ready.targeting.as_ref().is_some_and(|matcher| !matcher.matches(context.facts)) {
                return Err(Reason::Targeting);
            }
            let met = |(other, variants): &(usize, Vec<u16>)| {
                let other = self.decide_at(*other, unit, context, sticky, now);
                let variant = other.and_then(|decision| decision.variant);
                variant.is_some_and(|variant| variants.contains(&variant))
            };
            if !ready.prerequisites.iter().all(met) {
                return Err(Reason::Prerequisite);
            }
        }
        let assigner = ready.assigners.get(decision.phase).ok_or(Reason::NotStarted)?;
        let assignment = assigner.assign(id);
        decision.bucket = assignment.bucket;
        if let Some((variant, phase)) = kept {
            decision.variant = Some(variant);
            decision.phase = phase;
            return Ok(Reason::Sticky);
        }
        decision.bucket.ok_or(Reason::BadUnit)?;
        decision.variant = Some(assignment.variant.ok_or(Reason::Coverage)?);
        // What is not counted is not kept either.
        if ready.experiment.sticky.is_some() && decision.uncounted.is_none() {
            decision.keep = decision.served().map(|variant| StickyRecord {
                version: settings.version,
                variant: variant.key.clone(),
                phase: decision.phase,
            });
        }
        Ok(Reason::Split)
    }
}

fn uncounted(context: &Context<'_>) -> Option<Uncounted> {
    if context.bot {
        Some(Uncounted::Bot)
    } else if context.prefetch {
        Some(Uncounted::Prefetch)
    } else {
        None
    }
}

impl Ready {
    fn overridden(&self, unit: Option<&str>, context: &Context<'_>) -> Option<u16> {
        let asked = context.overrides.iter().find(|(key, _)| *key == self.experiment.key);
        let asked = asked.and_then(|(_, variant)| self.experiment.variant_index(variant));
        // Most experiments have none; their units need not be hashed once more.
        let fixed = || unit.filter(|_| !self.overrides.is_empty());
        asked.or_else(|| fixed().and_then(|unit| self.overrides.get(unit).copied()))
    }

    fn runs(&self, now: UnixMillis) -> Result<(), Reason> {
        let schedule = self.experiment.schedule;
        match self.experiment.status {
            Status::Draft => return Err(Reason::Draft),
            Status::Paused => return Err(Reason::Paused),
            Status::Stopped => return Err(Reason::Stopped),
            Status::Running => {}
        }
        let first = self.experiment.phases.first().map_or(UnixMillis::MAX, |phase| phase.since);
        if now < schedule.start.unwrap_or(0).max(first) {
            return Err(Reason::NotStarted);
        }
        if schedule.end.is_some_and(|end| end <= now) {
            return Err(Reason::Ended);
        }
        Ok(())
    }

    /// Variant and phase of a kept assignment that still counts.
    fn kept(&self, sticky: Option<&dyn StickyView>) -> Result<Option<(u16, usize)>, Reason> {
        let Some(Sticky { version, min_version, .. }) = self.experiment.sticky else {
            return Ok(None);
        };
        let Some(record) = sticky.and_then(|view| view.get(&self.experiment.key)) else {
            return Ok(None);
        };
        if record.version < min_version {
            return Err(Reason::Blocked);
        }
        let current = (record.version == version).then_some(record);
        let variant = current.and_then(|record| self.experiment.variant_index(&record.variant));
        Ok(variant.map(|variant| (variant, record.phase)))
    }
}
