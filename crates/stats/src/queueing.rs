//! Queueing laws: Erlang's formulas, the M/M/c queue, Little's law, square-root staffing.
//!
//! Rates and times may be in any unit of time, as long as it is the same one.

/// Most servers that are computed with: Erlang's recursion takes one step for each.
pub const MAX_SERVERS: u32 = 1_000_000;

/// Erlang B: the share of arrivals lost when `servers` without a queue are offered `offered`
/// erlangs (arrival rate / service rate), by the recursion B(k) = aB(k−1) / (k + aB(k−1)).
///
/// `None` for more than [`MAX_SERVERS`] or a load that is negative or not finite.
#[must_use]
pub fn erlang_b(servers: u32, offered: f64) -> Option<f64> {
    if servers > MAX_SERVERS || offered < 0.0 || !offered.is_finite() {
        return None;
    }
    Some((1..=servers).fold(1.0, |blocking, k| {
        let blocked = offered * blocking;
        blocked / (f64::from(k) + blocked)
    }))
}

/// Erlang C: the share of arrivals that wait when `servers` with an endless queue are offered
/// `offered` erlangs, from Erlang B.
///
/// `None` as for [`erlang_b`], and when `offered ≥ servers`: the queue then grows without end.
#[must_use]
pub fn erlang_c(servers: u32, offered: f64) -> Option<f64> {
    let blocking = erlang_b(servers, offered)?;
    let utilisation = offered / f64::from(servers);
    (utilisation < 1.0).then(|| blocking / (1.0 - utilisation * (1.0 - blocking)))
}

/// A stable M/M/c queue in its steady state: Poisson arrivals, exponential service, first come
/// first served.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mmc {
    servers: u32,
    arrival_rate: f64,
    service_rate: f64,
    wait_probability: f64,
}

impl Mmc {
    /// The queue of `servers`, each of which completes `service_rate` per unit of time, under
    /// `arrival_rate` arrivals per unit of time.
    ///
    /// `None` when the arrivals reach the capacity, for no servers or more than [`MAX_SERVERS`], or
    /// when a rate is negative or not finite, or the service rate is 0 or next to it.
    #[must_use]
    pub fn new(servers: u32, arrival_rate: f64, service_rate: f64) -> Option<Self> {
        if !(service_rate > 0.0 && service_rate.is_finite()) {
            return None;
        }
        let wait_probability = erlang_c(servers, arrival_rate / service_rate)?;
        let queue = Self { servers, arrival_rate, service_rate, wait_probability };
        (queue.spare_rate() > 0.0 && queue.mean_response().is_finite()).then_some(queue)
    }

    /// Share of the arrivals that wait before they are served (Erlang C).
    #[must_use]
    pub fn wait_probability(&self) -> f64 {
        self.wait_probability
    }

    /// Share of its time that a server is busy, 0..1.
    #[must_use]
    pub fn utilisation(&self) -> f64 {
        self.arrival_rate / self.service_rate / f64::from(self.servers)
    }

    /// Mean time in the queue, service excluded.
    #[must_use]
    pub fn mean_wait(&self) -> f64 {
        self.wait_probability / self.spare_rate()
    }

    /// Mean time in the queue and in service.
    #[must_use]
    pub fn mean_response(&self) -> f64 {
        self.mean_wait() + 1.0 / self.service_rate
    }

    /// Probability that waiting and service together take longer than `time`.
    ///
    /// Those who wait (probability C) wait Exp(cμ−λ) and are served Exp(μ); the sum of two
    /// exponentials of rates a ≤ b exceeds t with probability e^(−at)·(1 + a(1−e^(−(b−a)t))/(b−a)).
    #[must_use]
    pub fn response_survival(&self, time: f64) -> f64 {
        if time <= 0.0 {
            return 1.0;
        }
        let slow = self.service_rate.min(self.spare_rate());
        let fast = self.service_rate.max(self.spare_rate());
        let (decay, gap) = ((-slow * time).exp(), (fast - slow) * time);
        if decay == 0.0 {
            return 0.0;
        }
        // (1−e^(−x))/x, which tends to 1.
        let ratio = if gap == 0.0 { 1.0 } else { -(-gap).exp_m1() / gap };
        let waited = decay * (1.0 + slow * time * ratio);
        let served_at_once = (-self.service_rate * time).exp();
        let c = self.wait_probability;
        (c * waited + (1.0 - c) * served_at_once).min(1.0)
    }

    /// Quantile `q` of the response time, by bisection to full precision.
    ///
    /// `None` when `q` is not within 0..1 (1 excluded).
    #[must_use]
    pub fn response_quantile(&self, q: f64) -> Option<f64> {
        if !(0.0..1.0).contains(&q) {
            return None;
        }
        let mut high = self.mean_response();
        while self.response_survival(high) > 1.0 - q {
            high *= 2.0;
        }
        Some(bisect(0.0, high, |time| self.response_survival(time) > 1.0 - q))
    }

    /// Rate at which the busy servers outrun the arrivals, cμ−λ.
    fn spare_rate(&self) -> f64 {
        f64::from(self.servers) * self.service_rate - self.arrival_rate
    }
}

/// Capacity of an M/M/c queue: the highest arrival rate at which quantile `q` of the response time
/// is at most `limit`.
///
/// `None` when even a lone request misses the limit, or for input that [`Mmc`] refuses.
#[must_use]
pub fn mmc_capacity(servers: u32, service_rate: f64, q: f64, limit: f64) -> Option<f64> {
    let meets = |arrival_rate: f64| {
        Mmc::new(servers, arrival_rate, service_rate)
            .is_some_and(|queue| queue.response_survival(limit) <= 1.0 - q)
    };
    if !(0.0..1.0).contains(&q) || limit.is_nan() || limit <= 0.0 || !meets(0.0) {
        return None;
    }
    Some(bisect(0.0, f64::from(servers) * service_rate, meets))
}

/// The last value, to full precision, at which `holds` is true; it must hold at `low`, not at
/// `high`, and change once.
fn bisect(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            return low;
        }
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
}

/// Relative mismatch of Little's law L = λW (J. D. C. Little, 1961) between measured mean
/// concurrency, throughput and mean time inside: |L − λW| / max(L, λW), so 0 when it holds and at
/// most 1. A large one says that the three were not measured of the same steady system.
///
/// `None` when a value is negative or not finite.
#[must_use]
pub fn littles_law_mismatch(concurrency: f64, throughput: f64, mean_time: f64) -> Option<f64> {
    let product = throughput * mean_time;
    let valid = [concurrency, throughput, mean_time].iter().all(|&value| value >= 0.0);
    if !valid || !concurrency.is_finite() || !product.is_finite() {
        return None;
    }
    let larger = concurrency.max(product);
    Some(if larger == 0.0 { 0.0 } else { (concurrency - product).abs() / larger })
}

/// Square-root staffing (Halfin & Whitt, 1981): servers for `offered` erlangs, ⌈a + β√a⌉. Larger
/// `beta` waits less; 0 is the bare load.
///
/// `None` when a value is negative or not finite, or for more than [`MAX_SERVERS`].
#[must_use]
pub fn square_root_staffing(offered: f64, beta: f64) -> Option<u32> {
    let servers = (offered + beta * offered.sqrt()).ceil();
    let valid = offered >= 0.0 && beta >= 0.0 && servers <= f64::from(MAX_SERVERS);
    valid.then_some(servers as u32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * b.abs().max(1e-9)
    }

    #[test]
    fn degenerate_systems() {
        assert_eq!(erlang_b(0, 3.0), Some(1.0));
        assert_eq!(erlang_b(3, 0.0), Some(0.0));
        assert_eq!(erlang_c(0, 0.0), None);
        assert_eq!(erlang_c(3, 3.0), None);
        assert_eq!(erlang_b(MAX_SERVERS + 1, 1.0), None);
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(erlang_b(3, bad), None);
            assert_eq!(Mmc::new(2, bad, 1.0), None);
            assert_eq!(Mmc::new(2, 1.0, bad), None);
            assert_eq!(littles_law_mismatch(bad, 1.0, 1.0), None);
            assert_eq!(littles_law_mismatch(1.0, bad, 1.0), None);
            assert_eq!(square_root_staffing(bad, 1.0), None);
            assert_eq!(square_root_staffing(1.0, bad), None);
        }
        assert_eq!(Mmc::new(2, 1.0, 0.0), None);
    }

    #[test]
    fn many_servers_stay_finite() {
        let blocking = erlang_b(MAX_SERVERS, f64::from(MAX_SERVERS)).unwrap();
        // B(a, a) ≈ √(2/(πa)) for large a.
        assert!((blocking / (2.0 / (std::f64::consts::PI * 1e6)).sqrt() - 1.0).abs() < 1e-2);
    }

    #[test]
    fn one_server_is_mm1() {
        let queue = Mmc::new(1, 0.8, 1.0).unwrap();
        assert!(near(queue.wait_probability(), 0.8));
        assert!(near(queue.utilisation(), 0.8));
        assert!(near(queue.mean_response(), 5.0));
        assert!(near(queue.response_survival(7.0), f64::exp(-0.2 * 7.0)));
        assert!(near(queue.response_quantile(0.95).unwrap(), 20.0_f64.ln() / 0.2));
        // e^(−(1−λ)·10) = 0.05.
        assert!(near(mmc_capacity(1, 1.0, 0.95, 10.0).unwrap(), 1.0 - 20.0_f64.ln() / 10.0));
    }

    #[test]
    fn capacity_needs_a_limit_that_service_meets() {
        assert_eq!(mmc_capacity(4, 1.0, 0.95, 2.9), None);
        assert!(mmc_capacity(4, 1.0, 0.95, 3.1).unwrap() > 0.0);
        assert_eq!(mmc_capacity(4, 1.0, 1.0, 10.0), None);
        assert_eq!(mmc_capacity(4, 1.0, 0.95, f64::NAN), None);
    }

    #[test]
    fn littles_law() {
        assert_eq!(littles_law_mismatch(10.0, 100.0, 0.1), Some(0.0));
        assert_eq!(littles_law_mismatch(0.0, 0.0, 1.0), Some(0.0));
        assert_eq!(littles_law_mismatch(10.0, 100.0, 0.05), Some(0.5));
        assert_eq!(littles_law_mismatch(5.0, 100.0, 0.1), Some(0.5));
    }

    #[test]
    fn staffing() {
        assert_eq!(square_root_staffing(100.0, 1.0), Some(110));
        assert_eq!(square_root_staffing(0.0, 1.0), Some(0));
        assert_eq!(square_root_staffing(1e7, 1.0), None);
    }

    proptest! {
        #[test]
        fn erlang_b_obeys_its_bounds(servers in 1_u32..2000, offered in 0.001..3000.0_f64) {
            let blocking = erlang_b(servers, offered).unwrap();
            prop_assert!((0.0..=1.0).contains(&blocking));
            // Carried load cannot exceed the servers.
            prop_assert!(offered * (1.0 - blocking) <= f64::from(servers) + 1e-9);
            prop_assert!(erlang_b(servers + 1, offered).unwrap() <= blocking);
        }

        #[test]
        fn survival_falls_and_integrates_to_the_mean(
            servers in 1_u32..40, load in 0.01..0.95_f64, rate in 0.1..10.0_f64,
        ) {
            let queue = Mmc::new(servers, load * f64::from(servers) * rate, rate).unwrap();
            let mean = queue.mean_response();
            let step = queue.response_quantile(0.999_999).unwrap() / 20_000.0;
            let survivals: Vec<f64> =
                (0..=30_000).map(|i| queue.response_survival(f64::from(i) * step)).collect();
            prop_assert!(survivals.is_sorted_by(|a, b| a >= b));
            let integral = step * (survivals.iter().sum::<f64>() - 0.5);
            prop_assert!((integral / mean - 1.0).abs() < 1e-3, "{} {}", integral, mean);
        }

        #[test]
        fn quantile_and_capacity_invert_survival(
            servers in 1_u32..100, load in 0.001..0.999_f64, q in 0.01..0.999_f64,
        ) {
            let arrivals = load * f64::from(servers);
            let queue = Mmc::new(servers, arrivals, 1.0).unwrap();
            let time = queue.response_quantile(q).unwrap();
            prop_assert!((queue.response_survival(time) - (1.0 - q)).abs() < 1e-9);
            // Where waiting hardly matters the limit hardly tells the rate.
            if queue.wait_probability() > 0.05 {
                let capacity = mmc_capacity(servers, 1.0, q, time).unwrap();
                prop_assert!((capacity / arrivals - 1.0).abs() < 1e-6, "{capacity} {arrivals}");
            }
        }

        #[test]
        fn survival_is_finite_everywhere(
            servers in 1_u32..50, load in 0.0..1.0_f64, rate in 1e-6..1e6_f64, time in -1.0..1e9_f64,
        ) {
            if let Some(queue) = Mmc::new(servers, load * f64::from(servers) * rate, rate) {
                prop_assert!((0.0..=1.0).contains(&queue.response_survival(time)));
                prop_assert!(queue.mean_wait().is_finite());
            }
        }
    }
}
