//! The npm package `http-cache-tests`: installed once, its origin, a run against a cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::packages::{self, Needed};
use crate::process::{Server, free_port, program, target_folder};

/// The suite and its version, as npm names it.
pub(super) const SUITE: &str = "http-cache-tests@0.4.5";
const NEEDED: [Needed; 2] =
    [Needed { program: "node", package: "nodejs" }, Needed { program: "npm", package: "npm" }];
/// Longest run, in seconds: a good one takes about twenty.
const RUN_MAX_S: &str = "120";

/// One test and how a cache did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) id: String,
    pub(super) suite: String,
    /// `required`, `optimal` or `check`.
    pub(super) kind: String,
    pub(super) name: String,
    /// `pass`, `fail`, `yes`, `no`, or `blocked` by a test that this one depends on.
    pub(super) result: String,
    /// What the suite says about a failure.
    pub(super) said: String,
}

/// The installed suite.
pub(super) struct Suite {
    folder: PathBuf,
}

impl Suite {
    /// Installs it below `target`, unless it is there.
    pub(super) fn install() -> Result<Suite> {
        packages::ensure(&NEEDED)?;
        let folder = target_folder("conformance/cache")?;
        if !folder.join("node_modules/http-cache-tests/cli.mjs").is_file() {
            let status = program("npm")?
                .args(["install", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund"])
                .args(["--loglevel=error", "--save-exact", "--prefix"])
                .arg(&folder)
                .arg(SUITE)
                .stdout(Stdio::null())
                .status()?;
            ensure!(status.success(), "npm could not install {SUITE}");
        }
        fs::write(folder.join("run.mjs"), include_str!("run.mjs"))?;
        fs::write(folder.join("origin.cjs"), include_str!("origin.cjs"))?;
        Ok(Suite { folder })
    }

    /// Starts the suite's origin; its port is one of ours unless told.
    pub(super) fn origin(&self, port: Option<u16>, folder: &Path) -> Result<Server> {
        let port = port.map_or_else(free_port, Ok)?;
        let mut command = program("node")?;
        command
            .current_dir(self.folder.join("node_modules/http-cache-tests"))
            .arg("--require")
            .arg(self.folder.join("origin.cjs"))
            .arg("server/server.mjs")
            .env("npm_config_protocol", "http")
            .env("npm_config_port", port.to_string())
            .env("npm_config_pidfile", folder.join("origin.pid"));
        Server::start("origin", &mut command, port, folder)
    }

    /// Runs all tests against the cache at `base`.
    pub(super) fn run(&self, base: &str) -> Result<Vec<Outcome>> {
        let output = Command::new("timeout")
            .arg(RUN_MAX_S)
            .args(["node", "--no-warnings", "run.mjs", base])
            .current_dir(&self.folder)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the suite ended with {}: {said}", output.status);
        let text = String::from_utf8(output.stdout)?;
        // The suite prints a few words of its own, too.
        text.lines().filter(|line| line.starts_with("{\"id\"")).map(outcome).collect()
    }
}

fn outcome(line: &str) -> Result<Outcome> {
    let json: serde_json::Value = serde_json::from_str(line)?;
    let text = |key: &str| {
        json[key].as_str().map(str::to_owned).with_context(|| format!("no `{key}` in {line}"))
    };
    Ok(Outcome {
        id: text("id")?,
        suite: text("suite")?,
        kind: text("kind")?,
        name: text("name")?,
        result: text("result")?,
        said: text("said")?,
    })
}
