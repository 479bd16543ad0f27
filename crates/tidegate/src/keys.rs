//! Keys that steer a run from the terminal, Locust's among them.
//!
//! `w` `W` one or ten users more · `s` `S` one or ten fewer · `p` pause and go on · `q` stop.
//! In an open model, `w` and `s` change the rate by one or ten percent.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use load::Control;
use load::params::Model;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// How often the thread looks whether the run is over.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Reads keys until dropped; then the terminal is as it was.
pub(crate) struct Keys {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    before: Termios,
}

impl Keys {
    /// Starts reading, when stdin is a terminal.
    pub(crate) fn listen(control: Control, model: &Model) -> Option<Keys> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return None;
        }
        let before = tcgetattr(&stdin).ok()?;
        let mut raw = before.clone();
        // Keys come at once and are not shown; Ctrl-C still is a signal.
        raw.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Now, &raw).ok()?;
        let over = Arc::new(AtomicBool::new(false));
        let mut steering = Steering::new(control, model);
        let thread = std::thread::Builder::new().name("keys".to_owned()).spawn({
            let over = Arc::clone(&over);
            move || {
                let stdin = std::io::stdin();
                while !over.load(Ordering::Relaxed) {
                    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
                    let mut key = [0_u8; 1];
                    if matches!(poll(&mut fds, Some(&LOOK)), Ok(1)) {
                        match rustix::io::read(&stdin, &mut key) {
                            Ok(1) => steering.press(key[0]),
                            // The terminal is gone.
                            Ok(_) | Err(_) => return,
                        }
                    }
                }
            }
        });
        Some(Keys { over, thread: thread.ok(), before })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed already.
            let _ = thread.join();
        }
        // Nothing better can be done about a terminal that does not take its settings back.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// Turns keys into commands.
struct Steering {
    control: Control,
    level: f64,
    open: bool,
    paused: bool,
}

impl Steering {
    fn new(control: Control, model: &Model) -> Steering {
        let (level, open) = match model {
            Model::Closed { users } => (users.max(), false),
            Model::Open { rate, .. } => (rate.max(), true),
            Model::Burst(_) | Model::Replay { .. } => (0.0, false),
        };
        Steering { control, level, open, paused: false }
    }

    fn press(&mut self, key: u8) {
        match key {
            b'w' => self.change(1.0),
            b'W' => self.change(10.0),
            b's' => self.change(-1.0),
            b'S' => self.change(-10.0),
            b'p' => {
                self.paused = !self.paused;
                if self.paused { self.control.pause() } else { self.control.resume() }
            }
            b'q' => self.control.stop(),
            _ => {}
        }
    }

    fn change(&mut self, by: f64) {
        if self.level == 0.0 {
            return;
        }
        if self.open {
            self.level *= 1.0 + by / 100.0;
            self.control.set_rate(self.level);
        } else {
            self.level = (self.level + by).max(1.0);
            self.control.set_users(self.level as u32);
        }
    }
}
