//! Reading logs while somebody watches: progress, Ctrl-C, and what could not be read.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, TryRecvError, sync_channel};
use std::time::Duration;

use logs::report::{LogReport, Setup};
use logs::{Options, Scan, Sink, Source, scan};

use super::sinks::{self, Files};
use crate::exit::Exit;
use crate::signals;

/// How often progress is shown.
const PROGRESS: Duration = Duration::from_millis(500);

/// Why not everything was read. What was read is good, but it is not all.
#[derive(Debug, Default)]
pub(crate) struct Unread(Vec<String>);

impl Unread {
    pub(crate) fn extend(&mut self, more: Unread) {
        self.0.extend(more.0);
    }

    pub(crate) fn exit(&self) -> Exit {
        if self.0.is_empty() { Exit::Ok } else { Exit::Environment }
    }
}

/// Reads everything into a report, and into the files that were asked for.
pub(crate) fn read(
    found: &[Source],
    quiet: bool,
    options: &Options,
    files: &Files,
    setup: &Setup,
) -> (LogReport, Unread) {
    let (sinks, unread) = scan_watched(found, quiet, options, || files.sinks(setup));
    (sinks::report(sinks), unread)
}

/// Reads everything into sinks; shows how far it is, and ends at Ctrl-C.
pub(crate) fn scan_watched<S: Sink>(
    found: &[Source],
    quiet: bool,
    options: &Options,
    make: impl Fn() -> S,
) -> (Vec<S>, Unread) {
    let (scanned, unread) = watched(quiet, options, || scan(found, options, make));
    (scanned.sinks, unread)
}

/// The same around a scan with more to it.
pub(crate) fn watched<S: Sink>(
    quiet: bool,
    options: &Options,
    work: impl FnOnce() -> Scan<S>,
) -> (Scan<S>, Unread) {
    let progress = Arc::clone(&options.progress);
    let signal = signals::watch();
    let is_shown = !quiet && std::io::stderr().is_terminal();
    let scanned = std::thread::scope(|scope| {
        let (over, is_over) = sync_channel::<()>(0);
        scope.spawn(move || {
            let mut was_shown = false;
            while is_over.recv_timeout(PROGRESS) == Err(RecvTimeoutError::Timeout) {
                if signal.try_recv() == Err(TryRecvError::Disconnected) {
                    progress.stop.store(true, Ordering::Relaxed);
                }
                if is_shown {
                    let lines = progress.lines.load(Ordering::Relaxed);
                    let bytes = progress.bytes.load(Ordering::Relaxed) / 1_000_000;
                    eprint!("\r{lines} lines, {bytes} MB ");
                    was_shown = true;
                }
            }
            if was_shown {
                eprint!("\r\x1b[K");
            }
        });
        let scanned = work();
        drop(over);
        scanned
    });
    // These errors name their causes themselves.
    let failures = scanned.outcomes.iter().filter_map(|outcome| outcome.failure.as_ref());
    let mut unread: Vec<String> = failures.map(ToString::to_string).collect();
    if options.progress.stop.load(Ordering::Relaxed) {
        unread.push("interrupted: what follows was not read".to_owned());
    }
    for message in &unread {
        eprintln!("warning: {message}");
    }
    (scanned, Unread(unread))
}
