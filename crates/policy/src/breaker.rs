//! A circuit breaker with three states (Nygard, Release It!, 2007): closed, open, half-open.
//!
//! Every permit must come back by exactly one of [`Breaker::on_success`], [`Breaker::on_failure`]
//! and [`Breaker::on_cancel`]: a probe that is lost holds its place for ever.

use std::time::Duration;

/// When a breaker opens and closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerParams {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open.
    pub open_for: Duration,
    /// Requests let through to probe; all must succeed.
    pub half_open_requests: u32,
}

/// The state of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Requests pass.
    Closed,
    /// Requests are refused.
    Open,
    /// A few requests pass as probes.
    HalfOpen,
}

/// A request that may pass; handed back with its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Permit {
    /// Which period of the breaker it belongs to: verdicts of earlier ones are void.
    period: u64,
}

/// Why a request may not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// When it is worth asking again.
    pub retry_after: Duration,
}

/// A breaker.
#[derive(Debug, Clone)]
pub struct Breaker {
    params: BreakerParams,
    phase: Phase,
    /// Rises with every change of state.
    period: u64,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed { failures: u32 },
    Open { until: Duration },
    HalfOpen { started: u32, succeeded: u32 },
}

impl Breaker {
    /// A closed breaker.
    pub fn new(params: BreakerParams) -> Breaker {
        Breaker { params, phase: Phase::Closed { failures: 0 }, period: 0 }
    }

    /// Asks whether a request may pass.
    ///
    /// # Errors
    /// While the breaker is open, or has as many probes under way as it wants.
    pub fn try_acquire(&mut self, now: Duration) -> Result<Permit, Refused> {
        if let Phase::Open { until } = self.phase {
            if now < until {
                return Err(Refused { retry_after: until - now });
            }
            self.change(Phase::HalfOpen { started: 0, succeeded: 0 });
        }
        if let Phase::HalfOpen { started, .. } = &mut self.phase {
            if *started >= self.params.half_open_requests.max(1) {
                return Err(Refused { retry_after: self.params.open_for });
            }
            *started += 1;
        }
        Ok(Permit { period: self.period })
    }

    /// The request succeeded. True when this closes the breaker.
    pub fn on_success(&mut self, permit: Permit) -> bool {
        if permit.period != self.period {
            return false;
        }
        match &mut self.phase {
            Phase::Closed { failures } => *failures = 0,
            Phase::Open { .. } => {}
            Phase::HalfOpen { succeeded, .. } => {
                *succeeded += 1;
                if *succeeded >= self.params.half_open_requests.max(1) {
                    self.change(Phase::Closed { failures: 0 });
                    return true;
                }
            }
        }
        false
    }

    /// The request failed. True when this opens the breaker.
    pub fn on_failure(&mut self, permit: Permit, now: Duration) -> bool {
        if permit.period != self.period {
            return false;
        }
        let opens = match &mut self.phase {
            Phase::Closed { failures } => {
                *failures = failures.saturating_add(1);
                *failures >= self.params.failures.max(1)
            }
            Phase::Open { .. } => false,
            Phase::HalfOpen { .. } => true,
        };
        if opens {
            self.change(Phase::Open { until: now.saturating_add(self.params.open_for) });
        }
        opens
    }

    /// The request ended and says nothing: a probe gives its place back.
    pub fn on_cancel(&mut self, permit: Permit) {
        if permit.period == self.period
            && let Phase::HalfOpen { started, .. } = &mut self.phase
        {
            *started = started.saturating_sub(1);
        }
    }

    /// The state at this moment; an open breaker whose time is over counts as half-open.
    pub fn state(&self, now: Duration) -> State {
        match self.phase {
            Phase::Closed { .. } => State::Closed,
            Phase::Open { until } if now < until => State::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }

    /// Whether it is closed and remembers no failure, so that successes need not be told.
    pub fn is_quiet(&self) -> bool {
        matches!(self.phase, Phase::Closed { failures: 0 })
    }

    fn change(&mut self, phase: Phase) {
        self.phase = phase;
        self.period += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn breaker() -> Breaker {
        Breaker::new(BreakerParams { failures: 3, open_for: s(10), half_open_requests: 2 })
    }

    fn fail(breaker: &mut Breaker, now: u64) -> bool {
        let permit = breaker.try_acquire(s(now)).unwrap();
        breaker.on_failure(permit, s(now))
    }

    #[test]
    fn opens_probes_and_closes() {
        let mut breaker = breaker();
        assert!(!fail(&mut breaker, 0) && !fail(&mut breaker, 0) && fail(&mut breaker, 1));
        assert_eq!(breaker.try_acquire(s(4)), Err(Refused { retry_after: s(7) }));
        assert_eq!(breaker.state(s(4)), State::Open);
        let one = breaker.try_acquire(s(11)).unwrap();
        let two = breaker.try_acquire(s(11)).unwrap();
        assert!(breaker.try_acquire(s(11)).is_err());
        assert!(!breaker.on_success(one) && breaker.on_success(two));
        assert_eq!(breaker.state(s(11)), State::Closed);
        assert!(breaker.is_quiet());
    }

    #[test]
    fn a_failed_probe_opens_it_again() {
        let mut breaker = breaker();
        for _ in 0..3 {
            fail(&mut breaker, 0);
        }
        let one = breaker.try_acquire(s(10)).unwrap();
        let two = breaker.try_acquire(s(10)).unwrap();
        assert!(breaker.on_failure(one, s(12)));
        // The other probe comes too late to matter.
        assert!(!breaker.on_success(two));
        assert_eq!(breaker.try_acquire(s(13)), Err(Refused { retry_after: s(9) }));
    }

    #[test]
    fn late_results_and_cancelled_probes_do_not_disturb() {
        let mut breaker = breaker();
        let early = breaker.try_acquire(s(0)).unwrap();
        for _ in 0..3 {
            fail(&mut breaker, 0);
        }
        assert!(!breaker.on_failure(early, s(1)) && !breaker.on_success(early));
        let one = breaker.try_acquire(s(10)).unwrap();
        let _two = breaker.try_acquire(s(10)).unwrap();
        breaker.on_cancel(one);
        assert!(breaker.try_acquire(s(10)).is_ok());
        assert!(breaker.try_acquire(s(10)).is_err());
    }

    #[test]
    fn a_success_in_between_forgets_failures() {
        let mut breaker = breaker();
        for _ in 0..20 {
            fail(&mut breaker, 0);
            fail(&mut breaker, 0);
            let permit = breaker.try_acquire(s(0)).unwrap();
            breaker.on_success(permit);
        }
        assert_eq!(breaker.state(s(0)), State::Closed);
    }
}
