//! `cargo xtask test`: what must hold at every commit.

use std::process::Command;

use anyhow::{Result, bail};

use crate::conformance;
use crate::packages::{Needed, ensure};

/// What the tests run besides our own binary.
const NEEDED: [Needed; 2] = [
    Needed { program: "nginx", package: "nginx-light" },
    Needed { program: "goaccess", package: "goaccess" },
];

/// Runs everything; stops at the first failure.
pub(crate) fn run() -> Result<()> {
    ensure(&NEEDED)?;
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])?;
    // Tests of the command line run the binary; building it here shows errors once.
    cargo(&["build", "--workspace", "--quiet"])?;
    cargo(&["test", "--workspace", "--quiet"])?;
    cargo(&["doc", "--workspace", "--no-deps", "--quiet"])?;
    conformance::all()
}

fn cargo(args: &[&str]) -> Result<()> {
    eprintln!("== cargo {}", args.join(" "));
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let status = Command::new(program).args(args).env("RUSTDOCFLAGS", "-D warnings").status()?;
    if !status.success() {
        bail!("`cargo {}` failed", args.join(" "));
    }
    Ok(())
}
