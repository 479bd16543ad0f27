//! Precise sleeping for many users of one worker.
//!
//! Tokio's timer wheel rounds to milliseconds, which would show up in every send delay. Here all
//! sleepers of a worker share one kernel timer (`timerfd`, nanoseconds) over a heap of deadlines.
//! Where there is no `timerfd`, and under tokio's paused clock, a tokio sleep drives the heap.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// The sleepers of one worker. At most one entry per user, so the heap is as bounded as they are.
pub(crate) struct Timer {
    sleepers: RefCell<BinaryHeap<Reverse<Sleeper>>>,
    /// Counts interruptions; a sleeper that sees it move wakes early.
    generation: Cell<u64>,
    /// The deadline that the driver currently waits for.
    armed: Cell<Option<Instant>>,
    alarm: Alarm,
}

struct Sleeper {
    deadline: Instant,
    waker: Waker,
}

impl PartialEq for Sleeper {
    fn eq(&self, other: &Self) -> bool {
        self.deadline == other.deadline
    }
}

impl Eq for Sleeper {}

impl PartialOrd for Sleeper {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sleeper {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.deadline.cmp(&other.deadline)
    }
}

/// How a sleep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// The deadline has passed.
    OnTime,
    /// Something changed (a stop, a pause, a new rate): look again.
    Interrupted,
}

impl Timer {
    /// A timer for the current runtime, as precise as the system allows.
    pub(crate) fn new() -> Timer {
        Timer {
            sleepers: RefCell::default(),
            generation: Cell::new(0),
            armed: Cell::new(None),
            alarm: Alarm::new(),
        }
    }

    /// Sleeps until `deadline` or the next interruption.
    pub(crate) fn sleep_until(&self, deadline: Instant) -> Sleep<'_> {
        Sleep { timer: self, deadline, generation: self.generation.get(), registered: false }
    }

    /// Wakes every sleeper early.
    pub(crate) fn interrupt(&self) {
        self.generation.set(self.generation.get() + 1);
        // Woken tasks only run later, so nothing is pushed while draining.
        for Reverse(sleeper) in self.sleepers.borrow_mut().drain() {
            sleeper.waker.wake();
        }
    }

    /// Wakes sleepers when their time has come; runs as long as the worker.
    pub(crate) async fn drive(&self) {
        let mut waiter = self.alarm.waiter();
        loop {
            let now = Instant::now();
            let next = loop {
                let mut sleepers = self.sleepers.borrow_mut();
                match sleepers.peek() {
                    Some(Reverse(sleeper)) if sleeper.deadline <= now => {
                        let sleeper = sleepers.pop();
                        drop(sleepers);
                        if let Some(Reverse(sleeper)) = sleeper {
                            sleeper.waker.wake();
                        }
                    }
                    Some(Reverse(sleeper)) => break Some(sleeper.deadline),
                    None => break None,
                }
            };
            self.armed.set(next);
            if let Some(next) = next {
                self.alarm.set(next, now);
            }
            waiter.wait(next).await;
        }
    }

    fn register(&self, deadline: Instant, waker: &Waker) {
        self.sleepers.borrow_mut().push(Reverse(Sleeper { deadline, waker: waker.clone() }));
        if self.armed.get().is_none_or(|armed| deadline < armed) {
            self.armed.set(Some(deadline));
            self.alarm.set(deadline, Instant::now());
            self.alarm.rearmed.notify_one();
        }
    }
}

/// A sleep of one user.
pub(crate) struct Sleep<'a> {
    timer: &'a Timer,
    deadline: Instant,
    generation: u64,
    registered: bool,
}

impl Future for Sleep<'_> {
    type Output = Woken;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Woken> {
        if Instant::now() >= self.deadline {
            return Poll::Ready(Woken::OnTime);
        }
        if self.timer.generation.get() != self.generation {
            return Poll::Ready(Woken::Interrupted);
        }
        // A user sleeps in one task only, whose waker stays the same.
        if !self.registered {
            self.registered = true;
            self.timer.register(self.deadline, cx.waker());
        }
        Poll::Pending
    }
}

/// What wakes the driver: the setting half. A timerfd is read like a pipe that holds a count of
/// expiries, so tokio's pipe reader serves as the other half.
struct Alarm {
    #[cfg(target_os = "linux")]
    timerfd: Option<std::os::fd::OwnedFd>,
    #[cfg(target_os = "linux")]
    expiries: Cell<Option<tokio::net::unix::pipe::Receiver>>,
    rearmed: Notify,
}

impl Alarm {
    #[cfg(target_os = "linux")]
    fn new() -> Alarm {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        let open = || {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timerfd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            let reader = timerfd.try_clone()?;
            let reader = tokio::net::unix::pipe::Receiver::from_owned_fd_unchecked(reader)?;
            std::io::Result::Ok((timerfd, reader))
        };
        // Under a paused clock the kernel's time means nothing.
        let (timerfd, expiries) = match (!clock_is_paused()).then(open) {
            Some(Ok((timerfd, reader))) => (Some(timerfd), Some(reader)),
            Some(Err(_)) | None => (None, None),
        };
        Alarm { timerfd, expiries: Cell::new(expiries), rearmed: Notify::new() }
    }

    #[cfg(not(target_os = "linux"))]
    fn new() -> Alarm {
        Alarm { rearmed: Notify::new() }
    }

    /// Sets the kernel timer, if there is one.
    fn set(&self, deadline: Instant, now: Instant) {
        #[cfg(target_os = "linux")]
        if let Some(timerfd) = &self.timerfd {
            use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
            // A timer set to zero would be disarmed.
            let wait = deadline.saturating_duration_since(now).max(Duration::from_nanos(1));
            let value = Timespec {
                tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: wait.subsec_nanos().into(),
            };
            let interval = Timespec { tv_sec: 0, tv_nsec: 0 };
            let spec = Itimerspec { it_interval: interval, it_value: value };
            // Only fails for an invalid descriptor or time, which these are not.
            let _ = timerfd_settime(timerfd, TimerfdTimerFlags::empty(), &spec);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (deadline, now);
    }

    /// The waiting half; there is one driver only.
    fn waiter(&self) -> Waiter<'_> {
        Waiter {
            #[cfg(target_os = "linux")]
            expiries: self.expiries.take(),
            rearmed: &self.rearmed,
        }
    }
}

struct Waiter<'a> {
    #[cfg(target_os = "linux")]
    expiries: Option<tokio::net::unix::pipe::Receiver>,
    rearmed: &'a Notify,
}

impl Waiter<'_> {
    /// Waits until the alarm goes off; `next` is what it was set to.
    async fn wait(&mut self, next: Option<Instant>) {
        #[cfg(target_os = "linux")]
        if let Some(expiries) = &mut self.expiries {
            // The count takes 8 bytes; a read that leaves room clears the readiness.
            let read = tokio::io::AsyncReadExt::read(expiries, &mut [0; 16]).await;
            if read.is_ok() {
                return;
            }
        }
        let sleep = async {
            match next {
                Some(next) => tokio::time::sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep => {}
            () = self.rearmed.notified() => {}
        }
    }
}

/// Whether tokio's clock stands still, as in tests in virtual time: there, the tokio and the
/// system clock drift apart at once.
#[cfg(target_os = "linux")]
fn clock_is_paused() -> bool {
    let tokio_start = Instant::now();
    let system_start = std::time::Instant::now();
    while system_start.elapsed() < Duration::from_micros(1) {
        std::hint::spin_loop();
    }
    tokio_start.elapsed().is_zero()
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    fn in_virtual_time(test: impl AsyncFnOnce(Rc<Timer>)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build_local(tokio::runtime::LocalOptions::default())
            .unwrap();
        runtime.block_on(async {
            let timer = Rc::new(Timer::new());
            let driver = tokio::task::spawn_local({
                let timer = Rc::clone(&timer);
                async move { timer.drive().await }
            });
            test(timer).await;
            driver.abort();
        });
    }

    #[test]
    fn sleepers_wake_in_order_of_deadline() {
        in_virtual_time(async |timer| {
            let start = Instant::now();
            let woken = Rc::new(RefCell::new(Vec::new()));
            let sleepers: Vec<_> = [30, 10, 20]
                .into_iter()
                .map(|millis| {
                    let (timer, woken) = (Rc::clone(&timer), Rc::clone(&woken));
                    tokio::task::spawn_local(async move {
                        let end = timer.sleep_until(start + Duration::from_millis(millis)).await;
                        woken.borrow_mut().push((millis, end));
                    })
                })
                .collect();
            for sleeper in sleepers {
                sleeper.await.unwrap();
            }
            assert_eq!(
                *woken.borrow(),
                [(10, Woken::OnTime), (20, Woken::OnTime), (30, Woken::OnTime)]
            );
            assert_eq!(start.elapsed(), Duration::from_millis(30));
        });
    }

    #[test]
    fn an_interruption_wakes_everyone_early() {
        in_virtual_time(async |timer| {
            let start = Instant::now();
            let sleeper = tokio::task::spawn_local({
                let timer = Rc::clone(&timer);
                async move { timer.sleep_until(start + Duration::from_secs(100)).await }
            });
            tokio::time::sleep(Duration::from_secs(1)).await;
            timer.interrupt();
            assert_eq!(sleeper.await.unwrap(), Woken::Interrupted);
            assert_eq!(start.elapsed(), Duration::from_secs(1));
        });
    }
}
