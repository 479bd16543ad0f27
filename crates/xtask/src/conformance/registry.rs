//! Published packages of PyPI and npm that suites run, below `target`; installed once.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Result, bail, ensure};

use crate::packages::{self, Needed};
use crate::process::{program, target_folder};

/// What [`wheels`] and [`modules`] need.
pub(super) const NEEDED: [Needed; 3] = [
    Needed { program: "node", package: "nodejs" },
    Needed { program: "npm", package: "npm" },
    Needed { program: "python3", package: "python3" },
];

/// A virtual environment of `suite` with `wheels`; returns its Python.
pub(super) fn wheels(suite: &str, wheels: &[&str]) -> Result<PathBuf> {
    let folder = target_folder(&format!("conformance/{suite}"))?.join("venv");
    let python = folder.join("bin/python");
    let done = folder.join("installed");
    if fs::read_to_string(&done).is_ok_and(|text| text == wheels.join("\n")) {
        return Ok(python);
    }
    let make = || {
        let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder).output();
        made.is_ok_and(|output| output.status.success())
    };
    // Debian keeps what `venv` needs in a package of its own.
    if !make() {
        packages::install(&[Needed { program: "python3", package: "python3-venv" }])?;
        if !make() {
            bail!("`python3 -m venv` does not work; on Debian: apt-get install python3-venv");
        }
    }
    let status = Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(wheels)
        .stdout(Stdio::null())
        .status()?;
    ensure!(status.success(), "pip could not install {}", wheels.join(" "));
    fs::write(&done, wheels.join("\n"))?;
    Ok(python)
}

/// Node modules of `suite`; returns the folder.
pub(super) fn modules(suite: &str, modules: &[&str]) -> Result<PathBuf> {
    let folder = target_folder(&format!("conformance/{suite}"))?.join("node");
    let done = folder.join("installed");
    if fs::read_to_string(&done).is_ok_and(|text| text == modules.join("\n")) {
        return Ok(folder);
    }
    fs::create_dir_all(&folder)?;
    let status = program("npm")?
        .args(["install", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund"])
        .args(["--loglevel=error", "--save-exact", "--prefix"])
        .arg(&folder)
        .args(modules)
        .stdout(Stdio::null())
        .status()?;
    ensure!(status.success(), "npm could not install {}", modules.join(" "));
    fs::write(&done, modules.join("\n"))?;
    Ok(folder)
}
