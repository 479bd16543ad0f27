//! Ctrl-C and SIGTERM: the first lets the run drain and write its result, the second ends it at
//! once.

use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Mutex, OnceLock, PoisonError};

use load::Control;

/// What the next signal ends. A signal handler can be installed only once per process, but there
/// may be several runs one after the other, as in a capacity search.
static CURRENT: OnceLock<Mutex<Ending>> = OnceLock::new();

#[derive(Default)]
struct Ending {
    control: Option<Control>,
    waiting: Option<SyncSender<()>>,
    signals: u32,
}

/// Lets signals end this run.
pub(crate) fn end_with(control: Control) {
    install().lock().unwrap_or_else(PoisonError::into_inner).control = Some(control);
}

/// Lets signals end the program again.
pub(crate) fn release() {
    if let Some(current) = CURRENT.get() {
        current.lock().unwrap_or_else(PoisonError::into_inner).control = None;
    }
}

/// Whether a signal has come.
pub(crate) fn interrupted() -> bool {
    CURRENT
        .get()
        .is_some_and(|current| current.lock().unwrap_or_else(PoisonError::into_inner).signals > 0)
}

/// Waits for a signal.
pub(crate) fn wait() {
    // Ends with a message, or when there is nobody left to send one.
    let _ = watch().recv();
}

/// What a signal ends: nothing is ever sent, but the sender is dropped.
pub(crate) fn watch() -> Receiver<()> {
    let current = install();
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    current.lock().unwrap_or_else(PoisonError::into_inner).waiting = Some(sender);
    receiver
}

fn install() -> &'static Mutex<Ending> {
    let first = CURRENT.get().is_none();
    let current = CURRENT.get_or_init(Mutex::default);
    if first {
        // Fails only when a handler is installed already, which this program does nowhere else.
        let _ = ctrlc::set_handler(handle);
    }
    current
}

fn handle() {
    let Some(current) = CURRENT.get() else { return };
    let mut ending = current.lock().unwrap_or_else(PoisonError::into_inner);
    ending.signals += 1;
    match (&ending.control, ending.signals) {
        _ if ending.waiting.is_some() => {
            // Dropping the sender wakes the one who waits.
            ending.waiting = None;
        }
        (Some(control), 1) => control.stop(),
        (Some(control), 2) => control.abort(),
        // Nothing under way, or nothing that answers: 128 + SIGINT, as shells expect.
        _ => std::process::exit(130),
    }
}
