//! What a plan that knows the future would cost at least.

use crate::Series;
use crate::simulate::{Plant, fluid};

/// Most slots × steps that one pass looks at; a longer or busier series is looked at in longer
/// steps.
pub const WORK_MAX: usize = 20_000_000;

/// Passes of the search for the price of a late request.
const PASSES: usize = 30;

/// Lower bound, in instance seconds, of the cost of any controller whose simulation by
/// [`fluid::run`] leaves at most `late_allowed` requests late, and that keeps at least `min` and at
/// most `max` instances. With a boot time that varies, its mean is used.
///
/// The k-th instance can only be of use for demand above what k−1 serve. With a price on late
/// requests, each instance is then planned for itself, exactly, by a dynamic program over on and
/// off in which switching on costs a boot. By weak duality the sum of these plans, less the price
/// of the requests that may be late, is below every plan's cost, whatever the price; the best price
/// is searched for. In longer steps (see [`WORK_MAX`]) demand is averaged, which lowers the bound.
#[must_use]
pub fn lower_bound_s(
    series: &Series,
    plant: &Plant,
    (min, max): (u32, u32),
    late_allowed: f64,
) -> f64 {
    let mut series = std::borrow::Cow::Borrowed(series);
    let tick_s = f64::from(fluid::tick_s(series.step_s));
    let free = fluid::initial(&series, plant);
    // In a tick, an instance serves what arrives, and leaves waiting what patience allows.
    let stretched = (tick_s + plant.patience_s()) / tick_s;
    let reach = |step_s: u32| plant.capacity_per_s * stretched * f64::from(step_s);
    let slots = |series: &Series| {
        let peak = series.counts.iter().copied().fold(0.0, f64::max);
        ((peak / reach(series.step_s)).ceil() as u32).min(max)
    };
    let work = slots(&series) as usize * series.len();
    if work > WORK_MAX {
        series = std::borrow::Cow::Owned(series.coarser(work.div_ceil(WORK_MAX)));
    }
    let (slots, reach) = (slots(&series), reach(series.step_s));
    let instance =
        Slot { step_s: f64::from(series.step_s), boot_s: plant.lifecycle.boot.mean(), reach };
    let known = series.counts.iter().filter(|count| count.is_finite()).count() as f64;
    let always_s = f64::from(min) * known * instance.step_s;

    let bound = |price: f64| {
        let (mut cost, mut late) = (always_s - price * late_allowed, 0.0);
        for slot in 0..slots {
            let (slot_cost, slot_late) = if slot < min {
                (0.0, 0.0)
            } else {
                instance.plan(&series, f64::from(slot), slot < free, price)
            };
            cost += slot_cost;
            late += slot_late;
        }
        // Demand that even the greatest fleet cannot serve.
        let ceiling = f64::from(slots.max(min)) * reach;
        let beyond = series.counts.iter().map(|count| (count - ceiling).max(0.0)).sum::<f64>();
        (cost + price * beyond, late + beyond)
    };
    // A price at which a fully used instance pays, and far around it.
    let fair = instance.step_s / reach;
    let (mut low, mut high) = ((fair * 1e-3).ln(), (fair * 1e6).ln());
    let mut best = always_s;
    for _ in 0..PASSES {
        let middle = f64::midpoint(low, high);
        let (cost, late) = bound(middle.exp());
        best = best.max(cost);
        if late > late_allowed { low = middle } else { high = middle }
    }
    best
}

/// One instance among many.
struct Slot {
    step_s: f64,
    boot_s: f64,
    /// Requests that an instance can keep from being late, in a step.
    reach: f64,
}

impl Slot {
    /// Least cost, late requests priced, of the instance above `below` others, and how many are
    /// late then. `free`: it is there from the begin on, if wanted.
    fn plan(&self, series: &Series, below: f64, free: bool, price: f64) -> (f64, f64) {
        let boot_s = self.boot_s;
        // (cost, late) of the best way to be off, and to be on.
        let mut off = (0.0, 0.0);
        let mut on = if free { (0.0, 0.0) } else { (f64::INFINITY, 0.0) };
        for count in &series.counts {
            if count.is_nan() {
                // Nothing is counted here, so neither is a boot.
                let best = if on.0 < off.0 { on } else { off };
                (on, off) = (best, best);
                continue;
            }
            let useful = (count - below * self.reach).clamp(0.0, self.reach);
            let stay_on = if on.0 <= off.0 + boot_s { on } else { (off.0 + boot_s, off.1) };
            let stay_off = if off.0 <= on.0 { off } else { on };
            on = (stay_on.0 + self.step_s, stay_on.1);
            off = (stay_off.0 + price * useful, stay_off.1 + useful);
        }
        if on.0 < off.0 { on } else { off }
    }
}
