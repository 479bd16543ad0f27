//! The inside of a server, in its own time.

use super::{INSIDE_MAX, ServerModel, exponential, nanos};
use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// A server with the requests inside. What is remembered of each is a mark that the caller
/// chooses.
pub(super) enum Station {
    /// First come, first served.
    Queue(Queue),
    /// Processor sharing.
    Sharing(Sharing),
}

impl Station {
    /// An empty one.
    ///
    /// # Panics
    /// If the parameters make no sense.
    pub(super) fn new(model: &ServerModel) -> Self {
        match *model {
            ServerModel::Mmc { servers, mean_service_s } => {
                Self::Queue(Queue::new(servers, mean_service_s, true))
            }
            ServerModel::FixedService { servers, service_s } => {
                Self::Queue(Queue::new(servers, service_s, false))
            }
            ServerModel::Usl { gamma, sigma, kappa } => {
                assert!(gamma > 0.0 && sigma >= 0.0 && kappa >= 0.0, "{model:?}");
                Self::Sharing(Sharing { gamma, sigma, kappa, inside: Vec::new(), next: u64::MAX })
            }
            ServerModel::Freezing { .. } => unreachable!("the caller takes freezes apart"),
        }
    }

    /// A request arrives; `false` if there is no room for it.
    pub(super) fn arrive(&mut self, now: u64, mark: u64, rng: &mut Xoshiro256PlusPlus) -> bool {
        match self {
            Self::Queue(queue) => queue.arrive(now, mark, rng),
            Self::Sharing(sharing) => sharing.arrive(now, mark, rng),
        }
    }

    /// When the next request is completed.
    pub(super) fn next_completion(&self) -> Option<u64> {
        match self {
            Self::Queue(queue) => queue.serving.peek().map(|Reverse((end, _))| *end),
            Self::Sharing(sharing) => (!sharing.inside.is_empty()).then_some(sharing.next),
        }
    }

    /// Completes the next request; its mark.
    pub(super) fn complete(&mut self, rng: &mut Xoshiro256PlusPlus) -> Option<u64> {
        match self {
            Self::Queue(queue) => queue.complete(rng),
            Self::Sharing(sharing) => sharing.complete(rng),
        }
    }
}

/// Several servers with one queue.
pub(super) struct Queue {
    servers: usize,
    /// Mean service time, ns.
    service: f64,
    /// Exponential service times, else all the same.
    random: bool,
    /// Ends and marks of the requests in service.
    serving: BinaryHeap<Reverse<(u64, u64)>>,
    /// Marks of those that wait.
    waiting: VecDeque<u64>,
}

impl Queue {
    fn new(servers: usize, service_s: f64, random: bool) -> Self {
        assert!(servers > 0 && service_s > 0.0, "{servers} servers, service time {service_s} s");
        let service = nanos(service_s) as f64;
        Self { servers, service, random, serving: BinaryHeap::new(), waiting: VecDeque::new() }
    }

    fn serve(&mut self, now: u64, mark: u64, rng: &mut Xoshiro256PlusPlus) {
        let service = if self.random { exponential(rng, self.service) } else { self.service };
        // At least 1 ns, that time goes on.
        self.serving.push(Reverse((now + (service as u64).max(1), mark)));
    }

    fn arrive(&mut self, now: u64, mark: u64, rng: &mut Xoshiro256PlusPlus) -> bool {
        if self.serving.len() < self.servers {
            self.serve(now, mark, rng);
        } else if self.serving.len() + self.waiting.len() < INSIDE_MAX {
            self.waiting.push_back(mark);
        } else {
            return false;
        }
        true
    }

    fn complete(&mut self, rng: &mut Xoshiro256PlusPlus) -> Option<u64> {
        let Reverse((now, mark)) = self.serving.pop()?;
        if let Some(next) = self.waiting.pop_front() {
            self.serve(now, next, rng);
        }
        Some(mark)
    }
}

/// A server that all requests inside share. Their work is exponential and so without memory: at
/// any time each is as likely to be the next, and the time until then may be drawn anew.
pub(super) struct Sharing {
    gamma: f64,
    sigma: f64,
    kappa: f64,
    /// Marks.
    inside: Vec<u64>,
    /// When the next is completed, if any is inside.
    next: u64,
}

impl Sharing {
    fn draw_next(&mut self, now: u64, rng: &mut Xoshiro256PlusPlus) {
        let n = self.inside.len() as f64;
        let Self { gamma, sigma, kappa, .. } = *self;
        let rate = gamma * n / (1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0));
        // At least 1 ns, that time goes on. Too long for u64 saturates.
        let wait = exponential(rng, super::NANOS_PER_SECOND / rate) as u64;
        self.next = now.saturating_add(wait.max(1));
    }

    fn arrive(&mut self, now: u64, mark: u64, rng: &mut Xoshiro256PlusPlus) -> bool {
        if self.inside.len() >= INSIDE_MAX {
            return false;
        }
        self.inside.push(mark);
        self.draw_next(now, rng);
        true
    }

    fn complete(&mut self, rng: &mut Xoshiro256PlusPlus) -> Option<u64> {
        if self.inside.is_empty() {
            return None;
        }
        let mark = self.inside.swap_remove(rng.random_range(..self.inside.len()));
        if !self.inside.is_empty() {
            self.draw_next(self.next, rng);
        }
        Some(mark)
    }
}
