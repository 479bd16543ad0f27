//! `cargo xtask conformance manifests`: what `tidegate plan --emit` writes, against the schemas of
//! Kubernetes, KEDA and Knative as they are published on npm, and AWS's model of its own API; the
//! gateway's configuration against the gateway's own check.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::registry;
use crate::packages;
use crate::tidegate;

/// AWS's models of its services, and what checks requests by them.
const WHEELS: [&str; 1] = ["botocore==1.44.5"];
/// Schemas, and types that know every field.
const MODULES: [&str; 5] = [
    "kubernetes-models@5.1.0",
    "@kubernetes-models/keda@2.0.0",
    "@kubernetes-models/knative@4.0.0",
    "typescript@5.9.3",
    "yaml@2.9.1",
];
/// Longest run of one check, in seconds: one takes a few.
const RUN_MAX_S: &str = "120";
/// Days that are planned for.
const DAYS: i64 = 9;
/// 2 March 2026, a Monday, 00:00 UTC.
const MONDAY_S: i64 = 1_772_409_600;

/// Writes all manifests and checks them.
pub(super) fn run() -> Result<()> {
    packages::ensure(&registry::NEEDED)?;
    let python = registry::wheels("manifests", &WHEELS)?;
    let modules = registry::modules("manifests", &MODULES)?;
    let folder = tempfile::tempdir()?;
    let counts = folder.path().join("counts.csv");
    fs::write(&counts, office())?;
    let binary = tidegate::debug_binary();
    let write = |format: &str| written(&binary, &counts, format, folder.path());

    let check = modules.join("check.mjs");
    fs::write(&check, include_str!("check.mjs"))?;
    let mut node = Command::new("timeout");
    node.arg(RUN_MAX_S).args(["node", "--no-warnings", "check.mjs"]).current_dir(&modules);
    for kind in ["hpa", "keda", "knative"] {
        node.arg(kind).arg(write(kind)?);
    }
    passed(&mut node, "schemas")?;

    let bin = aws(&python, folder.path())?;
    for kind in ["aws", "lambda"] {
        let mut script = Command::new("timeout");
        script.arg(RUN_MAX_S).arg("sh").arg(write(kind)?).env("PATH", &bin);
        passed(&mut script, kind)?;
    }
    passed(Command::new(&binary).args(["config", "check"]).arg(write("gateway")?), "gateway")
}

/// Nights of 100/s, and from eight to six o'clock suddenly 2000/s, every day.
fn office() -> String {
    let mut text = String::from("timestamp,requests\n");
    for minute in 0..DAYS * 1440 {
        let busy = (480..1080).contains(&(minute % 1440));
        let count = if busy { 120_000 } else { 6000 };
        let _ = writeln!(text, "{},{count}", MONDAY_S + minute * 60);
    }
    text
}

/// The file with the manifest in `format`.
fn written(binary: &Path, counts: &Path, format: &str, folder: &Path) -> Result<PathBuf> {
    let output = Command::new(binary)
        .arg("plan")
        .arg(counts)
        .args(["--capacity", "50/s", "--boot", "2m", "--timezone", "Europe/Paris"])
        .args(["--emit", format])
        .output()
        .with_context(|| format!("{} cannot be run", binary.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    // 1: the objective is missed, which is no fault of the manifest.
    ensure!(matches!(output.status.code(), Some(0 | 1)), "plan --emit {format}: {said}");
    let file = folder.join(format);
    fs::write(&file, output.stdout)?;
    Ok(file)
}

/// A path whose first command `aws` is ours.
fn aws(python: &Path, folder: &Path) -> Result<std::ffi::OsString> {
    let bin = folder.join("bin");
    fs::create_dir(&bin)?;
    let script = folder.join("aws.py");
    fs::write(&script, include_str!("aws.py"))?;
    let command = bin.join("aws");
    let text = format!("#!/bin/sh\nexec '{}' '{}' \"$@\"\n", python.display(), script.display());
    fs::write(&command, text)?;
    fs::set_permissions(&command, fs::Permissions::from_mode(0o755))?;
    let rest = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths([bin].into_iter().chain(std::env::split_paths(&rest)))?)
}

fn passed(command: &mut Command, name: &str) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    let (out, said) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{name} failed ({}): {said}{out}", output.status);
    for line in out.lines() {
        eprintln!("manifests, {name}: {line}");
    }
    Ok(())
}
