//! A deadline that moves with every request but touches the runtime's timer only now and then.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep};

/// When to give up. One lives as long as its user; setting it is free while it moves forward.
pub(crate) struct Deadline {
    at: Instant,
    /// What the timer is registered for: never later than `at`.
    registered: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Deadline {
    /// A deadline far away.
    pub(crate) fn new() -> Deadline {
        let far = Instant::now() + Duration::from_secs(3_600);
        Deadline { at: far, registered: far, sleep: Box::pin(tokio::time::sleep_until(far)) }
    }

    /// Gives up at `at`.
    pub(crate) fn set(&mut self, at: Instant) {
        self.at = at;
        if at < self.registered {
            self.registered = at;
            self.sleep.as_mut().reset(at);
        }
    }

    /// Ready once the deadline has passed. Asked outside the task's share of work: a peer that
    /// always has bytes uses that share up, and would never be seen to be late.
    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while pin!(unconstrained(self.sleep.as_mut())).poll(cx).is_ready() {
            if Instant::now() >= self.at {
                return Poll::Ready(());
            }
            self.registered = self.at;
            self.sleep.as_mut().reset(self.at);
        }
        Poll::Pending
    }

    /// Runs `poll` until it is ready or the deadline has passed (`None`).
    pub(crate) async fn guard<T>(
        &mut self,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Option<T> {
        std::future::poll_fn(|cx| match poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => self.poll_expired(cx).map(|()| None),
        })
        .await
    }

    /// Runs a future until it is ready or the deadline has passed (`None`).
    pub(crate) async fn guard_future<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        self.guard(|cx| future.as_mut().poll(cx)).await
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::coop::poll_proceed;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_latest_setting_counts() {
        let start = Instant::now();
        let mut deadline = Deadline::new();
        for (set, expected) in [(10, 10), (30, 30), (20, 30)] {
            deadline.set(start + Duration::from_secs(set));
            let ended = deadline.guard_future(std::future::pending::<()>()).await;
            assert!(ended.is_none());
            assert_eq!(start.elapsed().as_secs(), expected);
        }
        deadline.set(Instant::now() + Duration::from_secs(1));
        assert_eq!(deadline.guard_future(async { 7 }).await, Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_always_busy_is_late_too() {
        let mut deadline = Deadline::new();
        deadline.set(Instant::now());
        let mut turns = 0;
        let ended = deadline.guard(|cx| {
            while let Poll::Ready(work) = poll_proceed(cx) {
                work.made_progress();
            }
            turns += 1;
            if turns == 10 { Poll::Ready(()) } else { Poll::Pending }
        });
        assert_eq!(ended.await, None);
    }
}
