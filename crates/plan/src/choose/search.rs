//! Looking for the cheapest policy that meets the objective on the past.
//!
//! Successive halving (Jamieson & Talwalkar, 2016): many policies on a few days, the better ones on
//! more, the best on all. Then hill climbing from the best few.

use crate::Series;
use crate::simulate::{Plant, fluid};

use super::demand::{folds, some_days};
use super::params::{Kind, Params};
use super::policy::Policy;
use super::weekly::{FloorSpec, WeekDemand};

/// Share of the allowed late requests that a policy may use up on the past; the rest is for what
/// the past did not have.
pub(super) const TRAIN_MARGIN: f64 = 0.5;

/// Policies that are kept, and the share of the days that they are then tried on.
const RUNGS: [(usize, f64); 2] = [(20, 1.0 / 3.0), (8, 1.0)];
/// Share of the days that all are tried on.
const FIRST_SHARE: f64 = 1.0 / 9.0;
/// Policies that hill climbing starts from.
const CLIMBERS: usize = 3;
/// Most steps of one climb.
const CLIMB_STEPS_MAX: usize = 4;

/// What makes a policy.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Genes {
    kind: Kind,
    target: f64,
    min: u32,
    scale_down_s: u32,
    floor: Option<FloorSpec>,
    /// Requests that an instance takes at a time, where the controller counts those.
    concurrency: Option<u32>,
}

/// A policy and what it came to on the past.
#[derive(Debug, Clone)]
pub(super) struct Scored {
    pub(super) policy: Policy,
    pub(super) late_ratio: f64,
    pub(super) instance_s: f64,
    genes: Genes,
}

/// Where and how policies are tried.
pub(super) struct Search<'a> {
    pub(super) past: &'a Series,
    /// The past that floors are made from.
    pub(super) ordinary: &'a Series,
    pub(super) plant: &'a Plant,
    pub(super) params: &'a Params,
    pub(super) max: u32,
}

impl Search<'_> {
    /// All policies that were tried on the whole past, the best first: those that meet the
    /// objective with [`TRAIN_MARGIN`] by cost, then the others by lateness.
    pub(super) fn run(&self) -> Vec<Scored> {
        let folds = folds(self.past, self.ordinary);
        let mut ranked = self.score(&folds, &self.grid(), FIRST_SHARE);
        for (keep, share) in RUNGS {
            // Plain HPA goes all the way, and so does the best of each kind and of each target: the queue
            // may ask for more room than the fluid model.
            let (mut kinds, mut targets) = (Vec::new(), Vec::new());
            let mut genes = Vec::new();
            for (rank, Scored { genes: own, .. }) in ranked.iter().enumerate() {
                let first = !kinds.contains(&own.kind) || !targets.contains(&own.target);
                if rank < keep || first || *own == self.plain() {
                    kinds.push(own.kind);
                    targets.push(own.target);
                    genes.push(*own);
                }
            }
            ranked = self.score(&folds, &genes, share);
        }
        for start in 0..CLIMBERS.min(ranked.len()) {
            let mut best = ranked[start].clone();
            for _ in 0..CLIMB_STEPS_MAX {
                let mut neighbours = self.neighbours(&best.genes);
                neighbours.retain(|genes| !ranked.iter().any(|known| known.genes == *genes));
                let tried = self.score(&folds, &neighbours, 1.0);
                let next = tried.first().cloned();
                ranked.extend(tried);
                match next {
                    Some(next) if self.order(&next, &best).is_lt() => best = next,
                    _ => break,
                }
            }
        }
        ranked.sort_by(|a, b| self.order(a, b));
        ranked
    }

    /// The genes of [`Policy::hpa`] at 70 %.
    fn plain(&self) -> Genes {
        let min = self.params.min.max(1);
        Genes {
            kind: Kind::Hpa,
            target: 0.7,
            min,
            scale_down_s: 300,
            floor: None,
            concurrency: None,
        }
    }

    fn grid(&self) -> Vec<Genes> {
        let mut grid = vec![self.plain()];
        let floors = [0.5, 0.8, 0.95, 1.0].into_iter().flat_map(|quantile| {
            [false, true].map(|split| FloorSpec {
                quantile,
                headroom: 1.0,
                entries: self.params.cron_entries_max,
                split,
            })
        });
        let floors: Vec<FloorSpec> = floors.collect();
        for &kind in &self.params.kinds {
            let base = Genes { kind, ..self.plain() };
            for target in [0.5, 0.6, 0.7, 0.8, 0.9] {
                if matches!(kind, Kind::Keda | Kind::AwsScheduled) {
                    let with = |&floor| Genes { target, floor: Some(floor), ..base };
                    grid.extend(floors.iter().map(with));
                } else if kind == Kind::Knative {
                    let slots = self.plant.slots;
                    for concurrency in [None, Some(slots), Some(slots.saturating_mul(2))] {
                        let with =
                            |scale_down_s| Genes { target, scale_down_s, concurrency, ..base };
                        grid.extend([0, 120, 600].map(with));
                    }
                } else {
                    let with = |scale_down_s| Genes { target, scale_down_s, ..base };
                    grid.extend([60, 300, 900].map(with));
                }
            }
        }
        grid
    }

    fn neighbours(&self, at: &Genes) -> Vec<Genes> {
        let mut near = Vec::new();
        for step in [-0.05, -0.02, 0.02, 0.05] {
            let target = ((at.target + step) * 100.0).round() / 100.0;
            near.push(Genes { target: target.clamp(0.3, 0.95), ..*at });
        }
        let step = (at.min / 4).max(1);
        let lowest = self.params.min.max(1);
        for min in [at.min.saturating_sub(step).max(lowest), at.min + step] {
            near.push(Genes { min: min.min(self.max), ..*at });
        }
        for scale_down_s in [at.scale_down_s / 2, (at.scale_down_s * 2).clamp(30, 3600)] {
            near.push(Genes { scale_down_s, ..*at });
        }
        if let Some(floor) = at.floor {
            let headroom =
                |step: f64| ((floor.headroom + step).clamp(0.3, 2.0) * 10.0).round() / 10.0;
            let changed = [
                FloorSpec { headroom: headroom(-0.2), ..floor },
                FloorSpec { headroom: headroom(-0.1), ..floor },
                FloorSpec { headroom: headroom(0.1), ..floor },
                FloorSpec { entries: (floor.entries / 2).max(1), ..floor },
                FloorSpec { split: !floor.split, ..floor },
            ];
            near.extend(changed.map(|floor| Genes { floor: Some(floor), ..*at }));
        }
        if let Some(limit) = at.concurrency {
            let step = (limit / 4).max(1);
            let other = [limit.saturating_sub(step).max(1), limit.saturating_add(step)];
            near.extend(other.map(|limit| Genes { concurrency: Some(limit), ..*at }));
        }
        near.retain(|genes| genes != at);
        near.dedup();
        near
    }

    fn policy(&self, demand: &WeekDemand, genes: &Genes) -> Policy {
        let capacity = self.plant.capacity_per_s;
        let windows = genes
            .floor
            .map(|floor| demand.windows(&floor, capacity, (genes.min, self.max)))
            .unwrap_or_default();
        let policy = Policy {
            kind: Some(genes.kind),
            scale_down_s: genes.scale_down_s,
            windows,
            zone: self.past.zone.iana_name().unwrap_or_default().to_owned(),
            ..Policy::hpa(genes.target, capacity, (genes.min, self.max)).for_boots_of(self.plant)
        };
        match genes.concurrency {
            Some(limit) => policy.by_concurrency(limit, self.plant),
            None => policy,
        }
    }

    /// Tries policies on a share of the days of each fold, on all cores; the best first. Their
    /// floors are made from the other folds; those of the result from the whole past.
    fn score(&self, folds: &[(Series, WeekDemand)], genes: &[Genes], share: f64) -> Vec<Scored> {
        let whole = WeekDemand::new(self.ordinary);
        let some = |(fold, others): &(Series, WeekDemand)| (some_days(fold, share), others.clone());
        let folds: Vec<(Vec<Series>, WeekDemand)> = folds.iter().map(some).collect();
        let try_one = |genes: &Genes| {
            let (mut requests, mut late, mut instance_s) = (0.0, 0.0, 0.0);
            for (days, others) in &folds {
                let policy = self.policy(others, genes);
                let plant = policy.plant(self.plant);
                for day in days {
                    let mut controller = policy.build(&self.past.zone);
                    let seed = self.params.seed;
                    let outcome = fluid::run(day, &plant, &mut controller, seed, |_| ());
                    requests += outcome.requests;
                    late += outcome.late;
                    instance_s += outcome.instance_s;
                }
            }
            let late_ratio = if requests > 0.0 { late / requests } else { 0.0 };
            Scored { policy: self.policy(&whole, genes), late_ratio, instance_s, genes: *genes }
        };
        let mut scored: Vec<Scored> = parallel(genes, &try_one);
        scored.sort_by(|a, b| self.order(a, b));
        scored
    }

    fn order(&self, a: &Scored, b: &Scored) -> std::cmp::Ordering {
        let limit = TRAIN_MARGIN * self.params.late_share;
        match (a.late_ratio <= limit, b.late_ratio <= limit) {
            (true, true) => a.instance_s.total_cmp(&b.instance_s),
            (false, false) => a.late_ratio.total_cmp(&b.late_ratio),
            (a_meets, b_meets) => b_meets.cmp(&a_meets),
        }
    }
}

/// Applies `work` to all items on all cores, in order.
pub(super) fn parallel<T: Sync, R: Send>(items: &[T], work: &(impl Fn(&T) -> R + Sync)) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let chunk = items.len().div_ceil(cores).max(1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = items
            .chunks(chunk)
            .map(|chunk| scope.spawn(move || chunk.iter().map(work).collect::<Vec<R>>()))
            .collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, Vec<R>>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().flat_map(join).collect()
    })
}
