//! Servers that benchmarks and conformance tests start: how they are started, watched and stopped.

use std::collections::HashMap;
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::packages;

/// How long a server may take to accept its first connection.
const START_MAX: Duration = Duration::from_secs(20);
/// How long a server may take to end after SIGTERM.
const STOP_MAX: Duration = Duration::from_secs(5);
/// Unit of the times in `/proc/PID/stat`: `USER_HZ`, 100 on every Linux that this runs on.
const TICKS_PER_S: f64 = 100.0;

/// A port of the loopback that nobody used a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A command for a program that Debian may keep outside of the path.
pub(crate) fn program(name: &str) -> Result<Command> {
    let path = packages::find(name).with_context(|| format!("{name} is missing"))?;
    Ok(Command::new(path))
}

/// The same, on one core.
pub(crate) fn pinned(core: usize, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program);
    command
}

/// A running server; stopped when dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens on 127.0.0.1.
    pub(crate) port: u16,
}

impl Server {
    /// Starts `command`, with its output in `NAME.out` and `NAME.err` of a folder, and waits until
    /// it accepts connections at `port`.
    ///
    /// # Errors
    /// Fails, with the end of what it said, when it ends at once or does not listen in time.
    pub(crate) fn start(
        name: &str,
        command: &mut Command,
        port: u16,
        folder: &Path,
    ) -> Result<Server> {
        let said = folder.join(format!("{name}.err"));
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(folder.join(format!("{name}.out")))?)
            .stderr(File::create(&said)?)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let mut server = Server { child, port };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("{name} ended with {status}: {}", tail(&said));
            }
            if started.elapsed() > START_MAX {
                bail!("{name} does not listen at {port}: {}", tail(&said));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// CPU time used so far, in seconds: user and system, of the process, its threads and its
    /// children, those that ended included.
    pub(crate) fn cpu_s(&self) -> f64 {
        cpu_s(self.child.id())
    }

    /// Resident memory of the process and its children, in KiB.
    pub(crate) fn rss_kb(&self) -> f64 {
        family(self.child.id()).into_iter().filter_map(|pid| status_kb(pid, "VmRSS:")).sum()
    }

    /// Open sockets of the process and its children.
    pub(crate) fn sockets(&self) -> usize {
        family(self.child.id())
            .into_iter()
            .filter_map(|pid| fs::read_dir(format!("/proc/{pid}/fd")).ok())
            .flat_map(Iterator::flatten)
            .filter_map(|entry| fs::read_link(entry.path()).ok())
            .filter(|target| target.to_string_lossy().starts_with("socket:"))
            .count()
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGTERM lets a master end its workers; SIGKILL would leave them.
        if self.is_running() {
            let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        }
        let asked = Instant::now();
        while self.is_running() && asked.elapsed() < STOP_MAX {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last lines of a file, for error messages.
fn tail(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

/// A value such as `VmRSS:` of `/proc/PID/status`, in KiB.
pub(crate) fn status_kb(pid: u32, key: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find(|line| line.starts_with(key))?.split_whitespace().nth(1)?.parse().ok()
}

/// The fields of `/proc/PID/stat` after the name, which is in parentheses and may hold anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// A process and all that descend from it.
fn family(pid: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(child) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        // Fields after the name: state, parent, …
        if let Some(parent) = stat(child).and_then(|fields| fields.get(1)?.parse().ok()) {
            children.entry(parent).or_default().push(child);
        }
    }
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(of) = all.get(next) {
        let found = children.remove(of).unwrap_or_default();
        all.extend(found);
        next += 1;
    }
    all
}

/// CPU time of a process and its children so far, in seconds.
pub(crate) fn cpu_s(pid: u32) -> f64 {
    // utime, stime, and those of children that were waited for: proc(5) fields 14 to 17.
    let ticks = |fields: Vec<String>| -> f64 {
        fields.iter().skip(11).take(4).filter_map(|field| field.parse::<f64>().ok()).sum()
    };
    family(pid).into_iter().filter_map(stat).map(ticks).sum::<f64>() / TICKS_PER_S
}

/// A folder below `target` that stays between runs.
pub(crate) fn target_folder(name: &str) -> Result<PathBuf> {
    let folder = target().join(name);
    fs::create_dir_all(&folder)?;
    Ok(fs::canonicalize(folder)?)
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from)
}
