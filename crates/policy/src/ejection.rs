//! Passive ejection: a server whose answers are errors is left alone for a while, unless too many
//! are out already (the outlier detection of Envoy, by consecutive errors only: success rates need
//! more servers and more requests than most upstreams have to tell a bad server from bad luck).
//!
//! It knows nothing of active health checks: a server that is down counts as one that is in.

use std::time::Duration;

/// When servers are ejected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EjectionParams {
    /// Errors in a row that eject a server.
    pub consecutive_errors: u32,
    /// Share of the servers that may be out at once, 0 to 1. One of two or more always may; the
    /// last one that is in never is.
    pub max_ejected: f64,
    /// Length of the first ejection; the n-th is n times as long. Each period of this length
    /// without an ejection takes one off n.
    pub base: Duration,
    /// Longest ejection.
    pub max: Duration,
}

/// How a server answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Ok,
    /// With an error, or not at all.
    Error,
}

/// A server that was ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejected {
    /// Its index.
    pub server: usize,
    /// Until when.
    pub until: Duration,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    errors: u32,
    /// How many times it was ejected, less those that are forgiven.
    times: u32,
    /// End of the last ejection.
    until: Duration,
}

/// Ejection of the servers of one upstream.
#[derive(Debug, Clone)]
pub struct Ejector {
    params: EjectionParams,
    servers: Vec<State>,
}

impl Ejector {
    /// None is ejected.
    pub fn new(params: EjectionParams, servers: usize) -> Ejector {
        Ejector { params, servers: vec![State::default(); servers] }
    }

    /// Takes note of an answer; tells when the server is ejected for it.
    pub fn on_result(&mut self, server: usize, outcome: Outcome, now: Duration) -> Option<Ejected> {
        let EjectionParams { consecutive_errors, base, max, .. } = self.params;
        let state = self.servers.get_mut(server)?;
        if outcome == Outcome::Ok {
            state.errors = 0;
            return None;
        }
        // Answers to requests that were sent before it was ejected say nothing new.
        if state.is_out(now) {
            return None;
        }
        state.errors = state.errors.saturating_add(1);
        if state.errors < consecutive_errors.max(1) || self.out(now) >= self.allowed() {
            return None;
        }
        let state = self.servers.get_mut(server)?;
        state.errors = 0;
        let quiet = now.saturating_sub(state.until).as_nanos() / base.as_nanos().max(1);
        let forgiven = u32::try_from(quiet).unwrap_or(u32::MAX);
        state.times = state.times.saturating_sub(forgiven).saturating_add(1);
        state.until = now.saturating_add(base.saturating_mul(state.times).min(max.max(base)));
        Some(Ejected { server, until: state.until })
    }

    /// Whether a server is ejected.
    pub fn is_ejected(&self, server: usize, now: Duration) -> bool {
        self.servers.get(server).is_some_and(|state| state.is_out(now))
    }

    fn out(&self, now: Duration) -> usize {
        self.servers.iter().filter(|state| state.is_out(now)).count()
    }

    /// How many may be out at once.
    fn allowed(&self) -> usize {
        let count = self.servers.len();
        if count < 2 {
            return 0;
        }
        // 29 % of 100 are 29, whatever 0.29 × 100 is in binary.
        ((self.params.max_ejected * count as f64 + 1e-9) as usize).clamp(1, count - 1)
    }
}

impl State {
    fn is_out(&self, now: Duration) -> bool {
        now < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMS: EjectionParams = EjectionParams {
        consecutive_errors: 3,
        max_ejected: 0.5,
        base: Duration::from_secs(10),
        max: Duration::from_secs(25),
    };

    fn fail(ejector: &mut Ejector, server: usize, now: u64) -> Option<u64> {
        let now = Duration::from_secs(now);
        (0..3)
            .filter_map(|_| ejector.on_result(server, Outcome::Error, now))
            .map(|ejected| ejected.until.as_secs())
            .last()
    }

    #[test]
    fn ejections_grow_and_are_forgotten() {
        let mut ejector = Ejector::new(PARAMS, 2);
        assert_eq!(fail(&mut ejector, 0, 0), Some(10));
        assert!(ejector.is_ejected(0, Duration::from_secs(9)));
        assert!(!ejector.is_ejected(0, Duration::from_secs(10)));
        assert_eq!(fail(&mut ejector, 0, 10), Some(30));
        assert_eq!(fail(&mut ejector, 0, 30), Some(55));
        // Three ejections in a row; a quiet time of two lengths takes two off.
        assert_eq!(fail(&mut ejector, 0, 75), Some(95));
        assert_eq!(fail(&mut ejector, 0, 1_000), Some(1_010));
    }

    #[test]
    fn one_success_clears_the_errors() {
        let mut ejector = Ejector::new(PARAMS, 2);
        for _ in 0..10 {
            for outcome in [Outcome::Error, Outcome::Error, Outcome::Ok] {
                assert_eq!(ejector.on_result(0, outcome, Duration::ZERO), None);
            }
        }
    }

    #[test]
    fn never_too_many_and_never_the_last() {
        let cases = [(1, 1.0, 0), (2, 1.0, 1), (5, 0.5, 2), (4, 0.0, 1), (100, 0.29, 29)];
        for (servers, share, expected) in cases {
            let params = EjectionParams { max_ejected: share, ..PARAMS };
            let mut ejector = Ejector::new(params, servers);
            let out = (0..servers).filter(|server| fail(&mut ejector, *server, 1).is_some());
            assert_eq!(out.count(), expected, "{servers} servers, {share}");
        }
    }
}
