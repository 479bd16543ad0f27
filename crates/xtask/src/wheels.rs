//! Packages of PyPI, each set in a virtual environment of its own.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Result, bail, ensure};

use crate::packages::{self, Needed};
use crate::process::target_folder;

const PYTHON: Needed = Needed { program: "python3", package: "python3" };

/// Installs `wheels` (`name==version`) below the folder `name` of `target`, once; returns the Python that has
/// them.
///
/// # Errors
/// Fails when there is no Python, or pip cannot install them.
pub(crate) fn python_with(name: &str, wheels: &[&str]) -> Result<PathBuf> {
    packages::ensure(&[PYTHON])?;
    let folder = target_folder(name)?.join("venv");
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
