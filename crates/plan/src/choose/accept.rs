//! The cheapest policy that the queue, too, accepts on the past.

use super::policy::Policy;
use super::search::{Scored, TRAIN_MARGIN};
use super::verdict::QueueVerdict;
use super::{Case, QUEUE_TRAIN};

/// Policies that the queue is asked about.
const ASKED_MAX: usize = 12;
/// How much more than the first that the queue refused the next one must cost, as a share: its neighbours
/// would be refused as well. Twice that for the next, and so on.
const DEARER: f64 = 0.02;

/// The policy that is taken for the best.
pub(super) struct Accepted<'a> {
    pub(super) policy: &'a Policy,
    /// Whether fluid model and queue accept it on the past; else none was accepted, and this one has
    /// the fewest late requests in the queue of all that it was asked about.
    pub(super) meets: bool,
}

/// The best of `ranked`, which come by rising cost where the fluid model accepts them.
pub(super) fn accepted<'a>(case: &Case<'_>, ranked: &'a [Scored]) -> Option<Accepted<'a>> {
    let limit = TRAIN_MARGIN * case.params.late_share;
    let fit: Vec<&Scored> = ranked.iter().filter(|scored| scored.late_ratio <= limit).collect();
    let costs: Vec<f64> = fit.iter().map(|scored| scored.instance_s).collect();
    let mut asked: Vec<(usize, QueueVerdict)> = Vec::new();
    let found = cheapest(&costs, |index| {
        let verdict = case.queue(&case.past, &fit[index].policy, QUEUE_TRAIN);
        let meets = verdict.meets(case.params.late_share);
        asked.push((index, verdict));
        meets
    });
    let late = |(_, verdict): &&(usize, QueueVerdict)| verdict.late_ratio;
    let most_punctual = asked.iter().min_by(|a, b| late(a).total_cmp(&late(b)));
    let policy = match (found, most_punctual) {
        (Some(index), _) | (None, Some(&(index, _))) => &fit[index].policy,
        (None, None) => &ranked.first()?.policy,
    };
    Some(Accepted { policy, meets: found.is_some() })
}

/// Index of the cheapest that `passes`, with at most [`ASKED_MAX`] questions: in growing steps up the
/// rising `costs` to the dearest, then by bisection back to the last that was refused.
fn cheapest(costs: &[f64], mut passes: impl FnMut(usize) -> bool) -> Option<usize> {
    let last = costs.len().checked_sub(1)?;
    let (mut at, mut refused, mut step, mut asked) = (0, None, DEARER, 1);
    while !passes(at) {
        if at == last || asked == ASKED_MAX {
            return None;
        }
        let least = costs[at] * (1.0 + step);
        refused = Some(at);
        at = costs.partition_point(|cost| *cost < least).clamp(at + 1, last);
        (step, asked) = (2.0 * step, asked + 1);
    }
    let Some(mut refused) = refused else { return Some(at) };
    while asked < ASKED_MAX && at - refused > 1 && costs[at] > costs[refused] * (1.0 + DEARER) {
        let halfway = (costs[at] * costs[refused]).sqrt();
        let middle = costs.partition_point(|cost| *cost < halfway).clamp(refused + 1, at - 1);
        *(if passes(middle) { &mut at } else { &mut refused }) = middle;
        asked += 1;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Costs of 1 to 4; whatever is needed is found to within the least step.
    #[test]
    fn few_questions_span_all_costs() {
        let costs: Vec<f64> = (0..=300).map(|k| 1.0 + f64::from(k) / 100.0).collect();
        for needed in 0..costs.len() {
            let mut asked = 0;
            let found = cheapest(&costs, |index| {
                asked += 1;
                index >= needed
            });
            let found = found.unwrap_or_else(|| panic!("{needed}"));
            assert!(found >= needed && asked <= ASKED_MAX, "{needed}: {asked}");
            assert!(costs[found] <= costs[needed] * 1.05, "{needed}: {found}");
        }
    }

    #[test]
    fn none_passes_and_there_is_none() {
        let mut asked = Vec::new();
        let refuse = |index| {
            asked.push(index);
            false
        };
        assert_eq!(cheapest(&[1.0, 1.001, 1.5, 9.0], refuse), None);
        assert_eq!(asked, [0, 2, 3]);
        assert_eq!(cheapest(&[], |_| true), None);
        assert_eq!(cheapest(&[1.0, 1.0], |_| true), Some(0));
    }
}
