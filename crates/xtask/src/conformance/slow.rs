//! `cargo xtask conformance slow`: slowhttptest in its four modes. While it attacks, a normal client
//! must be served; what attacks must be let go; and memory must stay within bounds.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::subject::{Protocol, SILENCE_S, Subject};
use crate::packages::{self, Needed};
use crate::process::Server;
use crate::{origin, process};

const NEEDED: [Needed; 3] = [
    Needed { program: "slowhttptest", package: "slowhttptest" },
    origin::NEEDED[0],
    origin::NEEDED[1],
];
/// Connections of an attack.
const CONNECTIONS: usize = 300;
/// Length of an attack, in seconds.
const ATTACK_S: u64 = 10;
/// Pause of a slow sender, in seconds: longer than the proxy allows.
const PAUSE_S: u64 = SILENCE_S + 2;
/// Most sockets that may still be held at the end: a slow reader that does read a little now and then
/// is let go later than one that does not, and a proxy may have a connection of its own for it.
const HELD_MAX: usize = CONNECTIONS / 2;
/// Longest answer to a normal client.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Most memory that one attacking connection may take (the head limit, two buffers and a margin),
/// and what the process may grow by besides.
const KB_PER_CONNECTION: f64 = 256.0;
const KB_BESIDES: f64 = 16_384.0;

/// A way to be slow.
struct Mode {
    name: &'static str,
    flag: &'static str,
    path: &'static str,
    more: &'static [&'static str],
    /// Whether connections stay open unless they are closed on purpose.
    holds: bool,
}

const MODES: [Mode; 4] = [
    Mode { name: "slow headers", flag: "-H", path: "/small", more: &[], holds: true },
    Mode { name: "slow body", flag: "-B", path: "/upload", more: &["-s", "8192"], holds: true },
    Mode {
        name: "slow read",
        flag: "-X",
        path: "/big",
        more: &["-w", "10", "-y", "512", "-n", "1", "-z", "8"],
        holds: true,
    },
    Mode {
        name: "ranges",
        flag: "-R",
        path: "/large",
        more: &["-a", "5", "-b", "500"],
        holds: false,
    },
];

/// Runs the four modes one after the other against one process.
pub(super) fn run(subject: Subject) -> Result<()> {
    packages::ensure(&NEEDED)?;
    let folder = tempfile::tempdir()?;
    let origin = origin::start(folder.path(), false)?;
    let mut proxy = subject.start(Protocol::Http1, origin.port, folder.path())?;
    for mode in &MODES {
        attack(mode, &mut proxy, folder.path()).context(mode.name)?;
    }
    Ok(())
}

/// What a normal client and the process showed during an attack.
#[derive(Default)]
struct Seen {
    answers: usize,
    slowest: Duration,
    sockets_peak: usize,
    sockets_last: usize,
    rss_peak_kb: f64,
    lasted: Duration,
}

fn attack(mode: &Mode, proxy: &mut Server, folder: &Path) -> Result<()> {
    probe(proxy.port)?;
    let (sockets, rss_kb) = (proxy.sockets(), proxy.rss_kb());
    let mut attacker = Command::new("slowhttptest")
        .arg(mode.flag)
        .args(["-c", &CONNECTIONS.to_string(), "-r", &CONNECTIONS.to_string()])
        .args(["-l", &ATTACK_S.to_string(), "-i", &PAUSE_S.to_string(), "-p", "5"])
        .args(mode.more)
        .args(["-u", &format!("http://127.0.0.1:{}{}", proxy.port, mode.path)])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let seen = watch(&mut attacker, proxy);
    // Also when the watch failed, nothing is left behind.
    let _ = attacker.kill();
    let _ = attacker.wait();
    let seen = seen?;
    ensure!(proxy.is_running(), "the proxy ended");
    ensure!(seen.answers > 0, "no normal client was served");
    if mode.holds {
        ensure!(
            seen.sockets_peak >= sockets + CONNECTIONS / 2,
            "the attack never held connections: {} sockets, {sockets} before",
            seen.sockets_peak
        );
        // An attacker whose connections are all closed gives up before its time.
        ensure!(
            seen.lasted.as_secs() < ATTACK_S || seen.sockets_last <= sockets + HELD_MAX,
            "{} of {} sockets were still held at the end of the attack, {sockets} before it",
            seen.sockets_last,
            seen.sockets_peak
        );
    }
    let grown = (seen.rss_peak_kb - rss_kb).max(0.0);
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let allowed = KB_BESIDES + KB_PER_CONNECTION * CONNECTIONS as f64;
    ensure!(grown <= allowed, "memory grew by {grown} KiB, allowed are {allowed}");
    eprintln!(
        "{}: {:.1} s, {} normal answers, slowest {} ms; sockets {sockets}, at most {}, at last {}; memory +{grown:.0} KiB",
        mode.name,
        seen.lasted.as_secs_f64(),
        seen.answers,
        seen.slowest.as_millis(),
        seen.sockets_peak,
        seen.sockets_last,
    );
    Ok(())
}

/// Asks as a normal client, and looks at the process, until the attack is over.
fn watch(attacker: &mut std::process::Child, proxy: &process::Server) -> Result<Seen> {
    let mut seen = Seen::default();
    let started = Instant::now();
    while attacker.try_wait()?.is_none() {
        ensure!(started.elapsed() < Duration::from_secs(3 * ATTACK_S), "slowhttptest did not end");
        let asked = Instant::now();
        probe(proxy.port).with_context(|| format!("after {} answers", seen.answers))?;
        seen.answers += 1;
        seen.slowest = seen.slowest.max(asked.elapsed());
        seen.sockets_last = proxy.sockets();
        seen.sockets_peak = seen.sockets_peak.max(seen.sockets_last);
        seen.rss_peak_kb = seen.rss_peak_kb.max(proxy.rss_kb());
        std::thread::sleep(Duration::from_millis(100));
    }
    seen.lasted = started.elapsed();
    Ok(seen)
}

/// One request of a normal client, on a connection of its own.
fn probe(port: u16) -> Result<()> {
    let mut stream =
        TcpStream::connect(("127.0.0.1", port)).context("a normal client cannot connect")?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    stream.write_all(b"GET /small HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("a normal client got no answer")?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "a normal client was answered: {answer}");
    ensure!(
        answer.ends_with(&"s".repeat(origin::SMALL)),
        "a normal client's answer was cut: {answer}"
    );
    Ok(())
}
