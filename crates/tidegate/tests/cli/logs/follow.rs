//! `--follow`: a log that is being written and rotated.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::Value;

use super::{line, lines};
use crate::command::{command, path, tidegate};

/// A tidegate that follows a log and writes its report to a named pipe: reading the pipe waits for
/// the next report.
struct Following {
    child: Child,
    folder: tempfile::TempDir,
}

impl Following {
    fn start(existing: Option<&str>) -> Following {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("report");
        let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let log = folder.path().join("access.log");
        if let Some(text) = existing {
            fs::write(&log, text).unwrap();
        }
        let rejected = folder.path().join("rejected");
        let child = command(&["logs", "--follow", path(&log), "--json", path(&pipe)])
            .args(["--rejected", path(&rejected)])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Following { child, folder }
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The next report.
    fn next(&self) -> Value {
        let text = fs::read_to_string(self.log("report")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Waits for a report on so many lines.
    fn until(&self, read: u64) -> Value {
        loop {
            let report = self.next();
            let seen = super::totals(&report)[0];
            assert!(seen <= read, "{seen} lines, but only {read} were written");
            if seen == read {
                return report;
            }
        }
    }

    /// Ends it as Ctrl-C does; the last report.
    fn end(mut self) -> Value {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        let last = self.next();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        last
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // Ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn lines_count_once_across_every_rotation() {
    let following = Following::start(Some(&lines(0..10)));
    let (log, old) = (following.log("access.log"), following.log("access.log.1"));
    following.until(10);
    append(&log, &(lines(10..15) + "broken\n"));
    following.until(16);
    assert!(fs::read_to_string(following.log("rejected")).unwrap().ends_with("\tbroken\n"));

    // Create: renamed, written to once more, and another file takes its place.
    fs::rename(&log, &old).unwrap();
    append(&old, &lines(15..16));
    fs::write(&log, lines(16..20)).unwrap();
    following.until(21);

    // Copytruncate: copied and emptied; what is written next is shorter.
    fs::copy(&log, &old).unwrap();
    File::create(&log).unwrap();
    append(&log, &lines(20..21));
    following.until(22);

    // Truncate: emptied and written anew, longer than before.
    fs::write(&log, lines(21..41)).unwrap();
    let report = following.until(42);
    assert_eq!(super::totals(&report), [42, 41, 1]);
    assert_eq!(super::rows(&report, "path").len(), 41, "every line has a path of its own");
    assert_eq!(following.end(), report);
}

#[test]
fn a_log_that_is_not_there_yet_is_waited_for() {
    let mut following = Following::start(None);
    assert_eq!(super::totals(&following.next()), [0, 0, 0]);
    fs::write(following.log("access.log"), lines(0..3)).unwrap();
    following.until(3);
    let mut stderr = following.child.stderr.take().unwrap();
    following.end();
    let mut talk = String::new();
    stderr.read_to_string(&mut talk).unwrap();
    assert!(talk.starts_with("waiting for ") && talk.lines().count() == 1, "{talk}");
}

/// A terminal of 12 rows and 60 columns: what a program writes to it can be read.
fn terminal() -> (File, File) {
    let reader = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&reader).unwrap();
    unlockpt(&reader).unwrap();
    let name = ptsname(&reader, Vec::new()).unwrap();
    let terminal = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let size = Winsize { ws_row: 12, ws_col: 60, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).unwrap();
    (File::from(reader), terminal)
}

#[test]
fn a_terminal_shows_the_report_as_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    fs::write(&log, lines(0..50)).unwrap();
    let (mut screen, terminal) = terminal();
    let mut child = command(&["logs", "--follow", path(&log)]).stdout(terminal).spawn().unwrap();
    let mut until = |text: &str| {
        let (mut shown, mut part) = (Vec::new(), [0; 4096]);
        loop {
            let read = screen.read(&mut part).unwrap();
            shown.extend_from_slice(&part[..read]);
            let new = String::from_utf8_lossy(&shown).into_owned();
            if new.contains(text) {
                return new;
            }
        }
    };
    let first = until("Ctrl-C ends it");
    assert!(first.contains("50 read, 50 parsed"), "{first:?}");
    // It fits, so that the next one takes its place.
    assert_eq!(first.matches('\n').count(), 11, "{first:?}");
    append(&log, &line("192.0.2.9", 1, "/\x1b[31m", 200, "x"));
    let second = until("Ctrl-C ends it");
    assert!(second.contains("51 read, 51 parsed"), "{second:?}");
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    // The whole report stays.
    let last = until("Operating systems");
    assert!(last.contains("Clients") && !last.contains("/\x1b[31m"), "{last:?}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_be_followed() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    fs::write(&log, lines(0..3)).unwrap();
    let state = folder.path().join("state");
    for args in [&["--state", path(&state)][..], &["--split", "2026-10-10"], &[path(&log)]] {
        let ran = tidegate(&[&["logs", "--follow", path(&log)], args].concat());
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.stderr);
    }
    assert_eq!(tidegate(&["logs", "--follow", path(folder.path())]).code, 3);
}
