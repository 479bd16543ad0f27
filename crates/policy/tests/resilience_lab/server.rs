//! A server and the link to it.

use std::time::Duration;

use rand::{Rng, RngExt};

use crate::scenario::{Phase, Server};

/// How long it takes to fail.
const FAILURE: Duration = Duration::from_millis(1);

/// What a server does with requests.
pub(crate) struct Model<'a> {
    server: &'a Server,
    /// When each place will be free.
    places: Vec<Duration>,
}

impl<'a> Model<'a> {
    pub(crate) fn new(server: &'a Server) -> Model<'a> {
        Model { server, places: vec![Duration::ZERO; server.places] }
    }

    fn phase(&self, now: Duration) -> Option<&'a Phase> {
        let now = now.as_secs_f64();
        self.server.phase.iter().find(|phase| match phase.every_s {
            Some(every) if now >= phase.from_s => {
                (now - phase.from_s) % every < phase.to_s - phase.from_s
            }
            _ => (phase.from_s..phase.to_s).contains(&now),
        })
    }

    /// Whether a request that comes now fails.
    pub(crate) fn fails(&self, now: Duration, rng: &mut impl Rng) -> bool {
        let failing = self.phase(now).map_or(0.0, |phase| phase.failing);
        failing > 0.0 && rng.random::<f64>() < failing
    }

    /// When the answer to a request that is sent now comes back, and whether it is a good one. What
    /// nobody waits for any more is served all the same.
    pub(crate) fn serve(&mut self, now: Duration, rng: &mut impl Rng) -> (Duration, bool) {
        if self.fails(now, rng) {
            return (now + FAILURE, false);
        }
        let phase = self.phase(now);
        let server = self.server;
        let open = phase.and_then(|phase| phase.places).unwrap_or(server.places);
        let Some(place) = self.places.iter_mut().take(open).min() else {
            return (now + FAILURE, false);
        };
        let heavy = server.heavy > 0.0 && rng.random::<f64>() < server.heavy;
        let spread = 1.0 - server.jitter + server.jitter * exponential(rng);
        let service_ms = server.mean_ms
            * spread
            * phase.map_or(1.0, |phase| phase.slower)
            * if heavy { server.heavy_factor } else { 1.0 };
        *place = now.max(*place) + Duration::from_secs_f64(service_ms / 1e3);
        (*place + Duration::from_secs_f64(server.link_ms / 1e3), true)
    }
}

/// A draw from the exponential distribution of mean 1.
pub(crate) fn exponential(rng: &mut impl Rng) -> f64 {
    -(1.0 - rng.random::<f64>()).ln()
}
