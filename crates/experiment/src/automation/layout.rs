//! New weights that move as few units as possible.
//!
//! Ranges say exactly whose buckets change hands, so that nobody else is moved. Hashes that take
//! weights only get weights, chosen so that the winner loses nobody.

use crate::model::{Experiment, Phase, Share, UnixMillis, spec_of};
use policy::assign::{Assigner, BUCKETS, Table};

/// Half-open ranges of buckets of each variant.
type Layout = Vec<Vec<(u32, u32)>>;

/// The part of all units that gets a variant now.
pub(super) fn share(experiment: &Experiment, variant: u16) -> f64 {
    let layout = layout(experiment);
    let own = layout.get(usize::from(variant)).map_or(0, |ranges| length(ranges));
    f64::from(own) / f64::from(BUCKETS) * experiment.coverage.fraction()
}

/// The winner's next share: a step of the ramp above what it has, at most what is not held back.
/// `None` when it has all of that.
pub(super) fn next_share(experiment: &Experiment, winner: &str, hold_back: Share) -> Option<Share> {
    let most = BUCKETS - hold_back.ppm();
    let index = experiment.variant_index(winner)?;
    let now = (share(experiment, index) * f64::from(BUCKETS)).round() as u32;
    let step = experiment.policy.ramp.iter().map(|step| step.ppm()).find(|&step| step > now);
    let next = step.unwrap_or(BUCKETS).min(most);
    (next > now).then(|| Share::from_ppm(next)).flatten()
}

/// Gives a variant so much of all units: first by coverage, which moves nobody, then by taking from
/// the other treatments and from the control. `None` when the hash cannot do it.
pub(super) fn grow(
    experiment: &mut Experiment,
    winner: u16,
    to: Share,
    now: UnixMillis,
) -> Option<()> {
    let index = usize::from(winner);
    let layout = layout(experiment);
    let own = layout.get(index).map_or(0, |ranges| length(ranges));
    if own > 0 && to.ppm() <= own {
        // Rounded up, in steps that every hash with coverage has.
        let coverage = u64::from(to.ppm()) * u64::from(BUCKETS) / u64::from(own);
        let whole = coverage.div_ceil(10_000) * 10_000;
        let coverage = Share::from_ppm(u32::try_from(whole).ok()?.min(BUCKETS))?;
        experiment.coverage = experiment.coverage.max(coverage);
        return Some(());
    }
    experiment.coverage = Share::ALL;
    let mut grown = layout.clone();
    let mut missing = to.ppm() - own;
    let mut gained = Vec::new();
    for other in (1..layout.len()).filter(|&other| other != index).chain([0]) {
        let part = take(grown.get_mut(other)?, missing);
        missing -= length(&part);
        gained.extend(part);
    }
    gained.extend(take(&mut free(&layout), missing));
    grown.get_mut(index)?.extend(gained);
    // What lost and is not taken is the control's.
    let lost = (1..layout.len()).filter(|&other| other != index);
    let rest: Vec<_> =
        lost.filter_map(|other| Some(std::mem::take(grown.get_mut(other)?))).collect();
    grown.first_mut()?.extend(rest.into_iter().flatten());
    let by_ranges = phase_of(experiment, &grown, now);
    let by_weights = grown_weights(experiment, index, to).map(|weights| Phase {
        since: now,
        weights,
        ranges: Vec::new(),
        salt: salt(experiment),
    });
    begin(experiment, [Some(by_ranges), by_weights])
}

/// Weights with the same sum, which some hashes divide by: the winner has everything from its first
/// bucket on, before it is the control. At most what was asked for, unless that would take somebody
/// from the winner. `None` when the weights are too coarse to give it more.
fn grown_weights(experiment: &Experiment, index: usize, to: Share) -> Option<Vec<u32>> {
    let old = &experiment.phases.last()?.weights;
    let total: u64 = old.iter().map(|&weight| u64::from(weight)).sum();
    let before: u64 = old.get(..index)?.iter().map(|&weight| u64::from(weight)).sum();
    let rest = u64::from(BUCKETS - to.ppm()) * total;
    let control = rest.div_ceil(u64::from(BUCKETS)).min(before);
    let mut weights = vec![0; old.len()];
    *weights.first_mut()? = u32::try_from(control).ok()?;
    *weights.get_mut(index)? = u32::try_from(total - control).ok()?;
    (weights.get(index) > old.get(index)).then_some(weights)
}

/// Gives the units of a variant to the control.
pub(super) fn withdraw(experiment: &mut Experiment, variant: u16, now: UnixMillis) -> Option<()> {
    let index = usize::from(variant);
    if index == 0 {
        return None;
    }
    let mut layout = layout(experiment);
    let ranges = std::mem::take(layout.get_mut(index)?);
    layout.first_mut()?.extend(ranges);
    let by_ranges = phase_of(experiment, &layout, now);
    let mut weights: Vec<u32> = layout.iter().map(|ranges| length(ranges)).collect();
    if let Some(phase) = experiment.phases.last().filter(|phase| phase.ranges.is_empty()) {
        weights.clone_from(&phase.weights);
        let freed = std::mem::take(weights.get_mut(index)?);
        *weights.first_mut()? += freed;
    }
    let by_weights = Phase { since: now, weights, ranges: Vec::new(), salt: salt(experiment) };
    // The neighbour of the control can be taken back by weights without moving anybody else.
    let between = layout.get(1..index)?.iter().all(Vec::is_empty);
    let candidates = if between { [by_weights, by_ranges] } else { [by_ranges, by_weights] };
    begin(experiment, candidates.map(Some))
}

/// Begins the first phase that the experiment's hash can do.
fn begin(experiment: &mut Experiment, candidates: [Option<Phase>; 2]) -> Option<()> {
    let fits = |phase: &Phase| Assigner::new(&spec_of(experiment, phase)).is_ok();
    let phase = candidates.into_iter().flatten().find(fits)?;
    push(experiment, phase);
    Some(())
}

/// Adds a phase; one of the same moment takes the place of the one before.
pub(super) fn push(experiment: &mut Experiment, mut phase: Phase) {
    // Time has to go on from phase to phase.
    if let Some(last) = experiment.phases.last() {
        phase.since = phase.since.max(last.since + 1);
    }
    experiment.phases.push(phase);
}

/// The salt of the current phase, which goes on: another one would deal all units anew.
pub(super) fn salt(experiment: &Experiment) -> Option<String> {
    experiment.phases.last().and_then(|phase| phase.salt.clone())
}

fn phase_of(experiment: &Experiment, layout: &Layout, now: UnixMillis) -> Phase {
    let fraction = |bucket: u32| f64::from(bucket) / f64::from(BUCKETS);
    let ranges = layout.iter().map(|ranges| {
        joined(ranges).into_iter().map(|(start, end)| [fraction(start), fraction(end)]).collect()
    });
    Phase { since: now, weights: Vec::new(), ranges: ranges.collect(), salt: salt(experiment) }
}

fn layout(experiment: &Experiment) -> Layout {
    let mut layout = vec![Vec::new(); experiment.variants.len()];
    let Some(phase) = experiment.phases.last() else { return layout };
    let table = if phase.ranges.is_empty() {
        Some(Table::from_weights(BUCKETS, &phase.weights))
    } else {
        Table::from_ranges(BUCKETS, &phase.ranges)
    };
    for &(start, end, variant) in table.iter().flat_map(Table::ranges) {
        if let Some(own) = layout.get_mut(usize::from(variant)) {
            own.push((start, end));
        }
    }
    layout
}

/// Buckets that nobody has.
fn free(layout: &Layout) -> Vec<(u32, u32)> {
    let all = joined(&layout.concat());
    let starts = all.iter().map(|range| range.0).chain([BUCKETS]);
    let ends = std::iter::once(0).chain(all.iter().map(|range| range.1));
    ends.zip(starts).filter(|(end, start)| end < start).collect()
}

/// Takes so many buckets from the end of ranges.
fn take(ranges: &mut Vec<(u32, u32)>, mut missing: u32) -> Vec<(u32, u32)> {
    let mut taken = Vec::new();
    while missing > 0
        && let Some((start, end)) = ranges.pop()
    {
        let from = end.saturating_sub(missing).max(start);
        missing -= end - from;
        taken.push((from, end));
        if from > start {
            ranges.push((start, from));
        }
    }
    taken
}

fn length(ranges: &[(u32, u32)]) -> u32 {
    ranges.iter().map(|(start, end)| end - start).sum()
}

/// Ranges in order, neighbours joined.
fn joined(ranges: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    let mut joined: Vec<(u32, u32)> = Vec::with_capacity(sorted.len());
    for (start, end) in sorted {
        match joined.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => joined.push((start, end)),
        }
    }
    joined
}
