//! The weight of a server that has just come up.

use std::time::Duration;

/// The factor at the start.
pub const LEAST: f64 = 0.1;

/// What the weight of a server is multiplied by, `up` after it came up: [`LEAST`] at first, 1 from
/// the end of `window` on.
///
/// The factor rises in a straight line from 10 % to 100 % (Envoy's curve `max(10 %, t / window)` of
/// aggression 1, without its flat beginning). A `window` of zero switches slow start off. Servers
/// that were up when the gateway started should not be given an `up` shorter than the window: none
/// of them is fresh.
#[must_use]
pub fn factor(up: Duration, window: Duration) -> f64 {
    if up >= window {
        return 1.0;
    }
    LEAST + (1.0 - LEAST) * up.as_secs_f64() / window.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_in_a_straight_line_from_a_tenth_to_all() {
        let at = |seconds| factor(Duration::from_secs(seconds), Duration::from_secs(30));
        assert_eq!(at(0), LEAST);
        assert!((at(10) - 0.4).abs() < 1e-12);
        assert!((at(20) - 0.7).abs() < 1e-12);
        assert_eq!(at(30), 1.0);
        assert_eq!(at(3000), 1.0);
    }

    #[test]
    fn no_window_means_full_weight_at_once() {
        assert_eq!(factor(Duration::ZERO, Duration::ZERO), 1.0);
    }
}
