//! Our own binary as a server under test: how it is built, configured and started. The only place
//! of xtask that knows the gateway's configuration.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process::{self, Server, free_port, pinned};

/// What a configuration says besides one listener, one upstream and one route.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Settings<'a> {
    /// Data-plane threads; one per core without.
    pub(crate) workers: Option<usize>,
    /// More lines of the upstream.
    pub(crate) upstream: &'a str,
    /// More lines of the route.
    pub(crate) route: &'a str,
    /// More tables.
    pub(crate) tables: &'a str,
}

/// Answers kept on their own word only, and in memory.
pub(crate) const CACHE: &str = r#"cache = { max-bytes = "256MiB", default-ttl = "0s" }"#;

/// Built by `cargo build`.
pub(crate) fn debug_binary() -> PathBuf {
    process::target().join("debug/tidegate")
}

/// Builds the optimised binary.
pub(crate) fn release_binary() -> Result<PathBuf> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let built =
        Command::new(cargo).args(["build", "--release", "--quiet", "-p", "tidegate"]).status()?;
    ensure!(built.success(), "the build failed");
    Ok(release_path())
}

/// Where [`release_binary`] puts it.
pub(crate) fn release_path() -> PathBuf {
    process::target().join("release/tidegate")
}

/// The version that the binary prints.
pub(crate) fn version(binary: &Path) -> Result<String> {
    let output = Command::new(binary).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.split_whitespace().last().context("tidegate printed no version")?.to_owned())
}

/// Starts a gateway in front of `127.0.0.1:origin`, with access log and metrics on.
pub(crate) fn start(
    binary: &Path,
    settings: &Settings<'_>,
    origin: u16,
    core: Option<usize>,
    folder: &Path,
) -> Result<Server> {
    let port = free_port()?;
    let path = folder.join("tidegate.toml");
    fs::write(&path, config(settings, port, free_port()?, origin, folder))?;
    let mut command = match core {
        Some(core) => pinned(core, binary),
        None => Command::new(binary),
    };
    Server::start("tidegate", command.args(["up", "--config"]).arg(&path), port, folder)
}

fn config(settings: &Settings<'_>, port: u16, admin: u16, origin: u16, folder: &Path) -> String {
    let Settings { workers, upstream, route, tables } = settings;
    let workers = workers.map(|count| format!("workers = {count}\n")).unwrap_or_default();
    let log = folder.join("tidegate.access.log");
    format!(
        r#"{workers}
[listen.web]
address = "127.0.0.1:{port}"

[admin]
address = "127.0.0.1:{admin}"

[upstream.origin]
servers = ["127.0.0.1:{origin}"]
{upstream}

[route.all]
match = {{ path-prefix = "/" }}
upstream = "origin"
{route}

[access-log]
path = "{}"
format = "combined"

{tables}
"#,
        log.display()
    )
}
