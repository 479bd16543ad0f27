//! A load level over time: piecewise linear, as a list of stages says it.

use std::time::Duration;

/// Most stages a curve may have.
pub const STAGES_MAX: usize = 10_000;

/// Move to `target` within `duration`, in a straight line from wherever the stage before ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage {
    /// Level at the end of the stage: users, or arrivals per second.
    pub target: f64,
    /// Length of the stage; zero jumps.
    pub duration: Duration,
}

/// Why stages do not make a curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CurveError {
    /// There is no stage.
    Empty,
    /// More than [`STAGES_MAX`] stages.
    TooMany,
    /// A target is negative, infinite or not a number.
    BadTarget,
}

/// A level y(t) ≥ 0 over the offset t since the start, in units per second or users.
///
/// ```text
///   y │        ┌────────
///     │      ╱            Curve::staged(0, [(100, 10s), (100, 20s)])
///     │    ╱
///     └──┴──────┴───────► t        after the last stage the level stays
///        0     10 s    30 s
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Corner points (t in seconds, y), t never decreasing; at least one.
    corners: Vec<Corner>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Corner {
    t: f64,
    y: f64,
    /// ∫ y dt from 0 to this corner.
    area: f64,
}

impl Curve {
    /// The same level for ever.
    ///
    /// # Errors
    /// [`CurveError::BadTarget`] unless the level is finite and not negative.
    pub fn constant(level: f64) -> Result<Curve, CurveError> {
        Curve::staged(level, &[Stage { target: level, duration: Duration::ZERO }])
    }

    /// From zero to `level` at `per_s` (Locust's spawn rate), then constant.
    ///
    /// # Errors
    /// [`CurveError::BadTarget`] unless both are finite, `level` ≥ 0 and `per_s` > 0.
    pub fn ramp(level: f64, per_s: f64) -> Result<Curve, CurveError> {
        if !(per_s.is_finite() && per_s > 0.0 && level.is_finite() && level >= 0.0) {
            return Err(CurveError::BadTarget);
        }
        let duration =
            Duration::try_from_secs_f64(level / per_s).map_err(|_| CurveError::BadTarget)?;
        Curve::staged(0.0, &[Stage { target: level, duration }])
    }

    /// Straight lines from `start` through the targets of the stages.
    ///
    /// # Errors
    /// [`CurveError`] when there is no stage, there are too many, or a level is not a number ≥ 0.
    pub fn staged(start: f64, stages: &[Stage]) -> Result<Curve, CurveError> {
        if stages.is_empty() {
            return Err(CurveError::Empty);
        }
        if stages.len() > STAGES_MAX {
            return Err(CurveError::TooMany);
        }
        let valid = |y: f64| y.is_finite() && y >= 0.0;
        if !valid(start) || !stages.iter().all(|stage| valid(stage.target)) {
            return Err(CurveError::BadTarget);
        }
        let mut last = Corner { t: 0.0, y: start, area: 0.0 };
        let mut corners = vec![last];
        for stage in stages {
            let dt = stage.duration.as_secs_f64();
            let area = last.area + dt * (last.y + stage.target) / 2.0;
            last = Corner { t: last.t + dt, y: stage.target, area };
            corners.push(last);
        }
        Ok(Curve { corners })
    }

    /// When the last stage ends; the level is constant from then on.
    pub fn end(&self) -> Duration {
        Duration::from_secs_f64(self.last().t)
    }

    /// The highest level the curve ever has.
    pub fn max(&self) -> f64 {
        self.corners.iter().map(|corner| corner.y).fold(0.0, f64::max)
    }

    /// Whether the level never changes.
    pub fn is_constant(&self) -> bool {
        self.corners.iter().all(|corner| corner.y == self.last().y)
    }

    /// The level at offset `t`.
    pub fn at(&self, t: Duration) -> f64 {
        let t = t.as_secs_f64();
        let next = self.corners.partition_point(|corner| corner.t <= t);
        match (next.checked_sub(1).map(|i| self.corners[i]), self.corners.get(next)) {
            (Some(a), Some(b)) => a.y + (b.y - a.y) * (t - a.t) / (b.t - a.t),
            (Some(a), None) => a.y,
            (None, _) => self.corners[0].y,
        }
    }

    /// When the area under the curve reaches `area`: the time of arrival number `area` when y is
    /// a rate. `None` if it never does. Seconds since the start.
    pub fn time_of_area(&self, area: f64) -> Option<f64> {
        let next = self.corners.partition_point(|corner| corner.area <= area);
        let a = self.corners[next.saturating_sub(1)];
        let rest = (area - a.area).max(0.0);
        match self.corners.get(next) {
            Some(b) => {
                // Solve y₀·x + slope·x²/2 = rest in the form that does not cancel for slope → 0.
                let slope = (b.y - a.y) / (b.t - a.t);
                let root = (a.y * a.y + 2.0 * slope * rest).max(0.0).sqrt();
                Some(if rest == 0.0 { a.t } else { a.t + 2.0 * rest / (a.y + root) })
            }
            None if a.y > 0.0 => Some(a.t + rest / a.y),
            None => None,
        }
    }

    /// The same curve with every level multiplied, for one of several workers or a higher speed.
    pub fn scaled(&self, factor: f64) -> Curve {
        let corners = self
            .corners
            .iter()
            .map(|corner| Corner { t: corner.t, y: corner.y * factor, area: corner.area * factor })
            .collect();
        Curve { corners }
    }

    fn last(&self) -> Corner {
        self.corners[self.corners.len() - 1]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stage(target: f64, seconds: u64) -> Stage {
        Stage { target, duration: Duration::from_secs(seconds) }
    }

    #[test]
    fn ramp_then_constant() {
        let curve = Curve::ramp(100.0, 10.0).unwrap();
        assert_eq!(curve.end(), Duration::from_secs(10));
        for (t, level) in [(0, 0.0), (5, 50.0), (10, 100.0), (99, 100.0)] {
            assert_eq!(curve.at(Duration::from_secs(t)), level);
        }
        // 500 = half of 10 s · 100; then 100 a second.
        assert_eq!(curve.time_of_area(500.0), Some(10.0));
        assert_eq!(curve.time_of_area(700.0), Some(12.0));
    }

    #[test]
    fn a_jump_is_a_stage_of_no_length() {
        let curve = Curve::staged(0.0, &[stage(50.0, 0), stage(50.0, 10), stage(0.0, 0)]).unwrap();
        assert_eq!(curve.at(Duration::from_secs(0)), 50.0);
        assert_eq!(curve.at(Duration::from_secs(10)), 0.0);
        assert_eq!(curve.time_of_area(500.5), None);
    }

    #[test]
    fn bad_stages_are_named() {
        assert_eq!(Curve::staged(0.0, &[]), Err(CurveError::Empty));
        assert_eq!(Curve::staged(f64::NAN, &[stage(1.0, 1)]), Err(CurveError::BadTarget));
        assert_eq!(Curve::staged(0.0, &[stage(-1.0, 1)]), Err(CurveError::BadTarget));
        assert_eq!(Curve::ramp(1.0, 0.0), Err(CurveError::BadTarget));
    }

    proptest! {
        #[test]
        fn area_and_time_are_inverse(
            start in 0.0..1000.0_f64,
            stages in prop::collection::vec((0.0..1000.0_f64, 1..100_u64), 1..8),
            share in 0.01..0.99_f64,
        ) {
            let stages: Vec<Stage> = stages.into_iter().map(|(y, s)| stage(y, s)).collect();
            let curve = Curve::staged(start, &stages).unwrap();
            let area = curve.last().area * share;
            let t = curve.time_of_area(area).unwrap();
            // Integrate numerically up to t with the trapezoid rule.
            let steps = 20_000;
            let dt = t / f64::from(steps);
            let sum: f64 = (0..steps)
                .map(|i| curve.at(Duration::from_secs_f64((f64::from(i) + 0.5) * dt)) * dt)
                .sum();
            prop_assert!((sum - area).abs() <= 1e-3 * area + 1e-3, "{sum} != {area}");
        }
    }
}
