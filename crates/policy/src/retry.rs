//! Whether, when and how often a request is sent again.

use std::time::Duration;

use rand::{Rng, RngExt};

/// Seconds over which a budget counts requests.
const WINDOW_S: u64 = 10;

/// A retry budget: retries may add at most a share to the requests of the last ten seconds,
/// besides a floor per second (Finagle's `RetryBudget`). Without it, retries multiply the load on
/// servers that fail because of load. Hedges have a budget of their own of the same kind.
///
/// After t seconds with n requests at most n × share + (t + 10) × floor retries were allowed, since
/// no request pays for retries of more than one window.
#[derive(Debug, Clone)]
pub struct Budget {
    share: f64,
    floor_per_s: f64,
    /// Requests and retries of the last seconds, by second modulo the window.
    seconds: [Second; WINDOW_S as usize],
}

#[derive(Debug, Clone, Copy, Default)]
struct Second {
    at: u64,
    requests: u32,
    retries: u32,
}

impl Budget {
    /// A budget of `share` (0.2 allows one retry for five requests) and `floor_per_s` retries.
    pub fn new(share: f64, floor_per_s: f64) -> Budget {
        Budget { share, floor_per_s, seconds: [Second::default(); WINDOW_S as usize] }
    }

    fn second(&mut self, now: Duration) -> &mut Second {
        let at = now.as_secs();
        let second = &mut self.seconds[(at % WINDOW_S) as usize];
        if second.at != at {
            *second = Second { at, ..Second::default() };
        }
        second
    }

    /// Counts a request.
    pub fn deposit(&mut self, now: Duration) {
        let second = self.second(now);
        second.requests = second.requests.saturating_add(1);
    }

    /// Takes a retry out of the budget, if there is one.
    pub fn try_withdraw(&mut self, now: Duration) -> bool {
        let at = now.as_secs();
        let recent = self.seconds.iter().filter(|second| second.at + WINDOW_S > at);
        let (requests, retries) = recent.fold((0.0, 0.0), |(requests, retries), second| {
            (requests + f64::from(second.requests), retries + f64::from(second.retries))
        });
        let allowed = requests * self.share + self.floor_per_s * WINDOW_S as f64;
        if retries + 1.0 > allowed {
            return false;
        }
        self.second(now).retries += 1;
        true
    }
}

/// How long to wait before an attempt: drawn evenly between zero and the mean pause × 2, doubled
/// with every attempt ("full jitter", AWS architecture blog, 2015).
///
/// * `attempt`: number of the attempt that failed, from 1
pub fn backoff(attempt: u32, mean: Duration, max: Duration, rng: &mut impl Rng) -> Duration {
    let doubled = mean.saturating_mul(1_u32.checked_shl(attempt.clamp(1, 31)).unwrap_or(u32::MAX));
    doubled.min(max).mul_f64(rng.random())
}

/// Whether sending a request twice means the same as once (RFC 9110 section 9.2.2).
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE" | "QUERY")
}

/// The pause that a `Retry-After` asks for (RFC 9110 section 10.2.3), in either of its forms.
///
/// * `now`: unix time in seconds
pub fn retry_after(value: &[u8], now: i64) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let at = crate::cache::parse_http_date(text.as_bytes(), now)?;
    Some(Duration::from_secs(u64::try_from(at.saturating_sub(now)).unwrap_or(0)))
}

/// What may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Attempts besides the first.
    pub attempts: u32,
    /// Whether methods that are not idempotent are tried again too.
    pub non_idempotent: bool,
    /// Mean of the first pause.
    pub backoff: Duration,
    /// Longest pause.
    pub backoff_max: Duration,
}

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptFailure {
    /// There was no connection: nothing was sent.
    Connect,
    /// The connection ended without an answer.
    Reset,
    /// There was no answer in time.
    Timeout,
    /// The answer has this status.
    Status(u16),
}

/// An attempt that failed.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// Its number, from 1.
    pub number: u32,
    /// How.
    pub failure: AttemptFailure,
    /// The request's method.
    pub method: &'a str,
    /// Whether the body can be sent again.
    pub body_replayable: bool,
    /// What the answer's `Retry-After` asks for.
    pub retry_after: Option<Duration>,
}

/// What to do after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Try another server.
    Again {
        /// After this pause.
        after: Duration,
    },
    /// The failure is the answer.
    Stop,
}

/// Decides whether an attempt is followed by another one. The budget is asked by the caller, last;
/// and it must not ask at all once the head of a response was passed on.
pub fn decide(rules: &Rules, attempt: &Attempt<'_>, rng: &mut impl Rng) -> Decision {
    let safe = attempt.failure == AttemptFailure::Connect
        || rules.non_idempotent
        || is_idempotent(attempt.method);
    if attempt.number > rules.attempts || !safe || !attempt.body_replayable {
        return Decision::Stop;
    }
    match attempt.retry_after {
        Some(asked) if asked > rules.backoff_max => Decision::Stop,
        Some(asked) => Decision::Again { after: asked },
        // Another server has nothing to do with why this one could not be reached.
        None if attempt.failure == AttemptFailure::Connect && attempt.number == 1 => {
            Decision::Again { after: Duration::ZERO }
        }
        None => {
            let after = backoff(attempt.number, rules.backoff, rules.backoff_max, rng);
            Decision::Again { after }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::Xoshiro256PlusPlus;

    use super::*;

    const RULES: Rules = Rules {
        attempts: 2,
        non_idempotent: false,
        backoff: Duration::from_millis(25),
        backoff_max: Duration::from_millis(250),
    };

    fn again(rules: &Rules, attempt: &Attempt<'_>) -> bool {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
        matches!(decide(rules, attempt, &mut rng), Decision::Again { .. })
    }

    #[test]
    fn only_what_is_safe_is_tried_again() {
        let attempt = Attempt {
            number: 1,
            failure: AttemptFailure::Reset,
            method: "GET",
            body_replayable: true,
            retry_after: None,
        };
        assert!(again(&RULES, &attempt));
        assert!(!again(&RULES, &Attempt { method: "POST", ..attempt }));
        let connect = AttemptFailure::Connect;
        assert!(again(&RULES, &Attempt { method: "POST", failure: connect, ..attempt }));
        assert!(again(
            &Rules { non_idempotent: true, ..RULES },
            &Attempt { method: "POST", ..attempt }
        ));
        assert!(!again(&RULES, &Attempt { body_replayable: false, ..attempt }));
        assert!(again(&RULES, &Attempt { number: 2, ..attempt }));
        assert!(!again(&RULES, &Attempt { number: 3, ..attempt }));
        let long = Some(Duration::from_secs(2));
        assert!(!again(&RULES, &Attempt { retry_after: long, ..attempt }));
    }

    #[test]
    fn a_budget_bounds_what_retries_add() {
        for per_s in [1_u32, 10, 1_000] {
            let mut budget = Budget::new(0.2, 1.0);
            let mut retries = 0;
            for ms in 0..60_000_u64 {
                let now = Duration::from_millis(ms);
                for _ in 0..(u64::from(per_s) * (ms + 1) / 1_000 - u64::from(per_s) * ms / 1_000) {
                    budget.deposit(now);
                }
                // Everything fails all the time.
                while budget.try_withdraw(now) {
                    retries += 1;
                }
            }
            let bound = f64::from(per_s) * 60.0 * 0.2 + 60.0 + 10.0;
            assert!(f64::from(retries) <= bound, "{per_s}/s: {retries} > {bound}");
            assert!(f64::from(retries) >= bound * 0.7, "{per_s}/s: {retries} of {bound}");
        }
    }

    #[test]
    fn pauses_grow_and_are_spread() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
        let (mean, max) = (Duration::from_millis(10), Duration::from_millis(100));
        for attempt in [1, 2, 3, 40] {
            let pauses: Vec<f64> =
                (0..2_000).map(|_| backoff(attempt, mean, max, &mut rng).as_secs_f64()).collect();
            let top = (0.01 * 2_f64.powi(attempt as i32)).min(0.1);
            let average = pauses.iter().sum::<f64>() / pauses.len() as f64;
            assert!(pauses.iter().all(|pause| *pause <= top));
            assert!((average / (top / 2.0) - 1.0).abs() < 0.1, "{attempt}: {average}");
        }
    }

    #[test]
    fn retry_after_has_two_forms() {
        let now = 784_111_777; // Sun, 06 Nov 1994 08:49:37 GMT
        assert_eq!(retry_after(b"120", now), Some(Duration::from_secs(120)));
        let later = b"Sun, 06 Nov 1994 08:49:47 GMT";
        assert_eq!(retry_after(later, now), Some(Duration::from_secs(10)));
        assert_eq!(retry_after(later, now + 60), Some(Duration::ZERO));
        assert_eq!(retry_after(b"soon", now), None);
        assert_eq!(retry_after(b"", now), None);
    }
}
