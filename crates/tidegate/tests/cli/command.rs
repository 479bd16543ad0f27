//! Running the binary.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// What a run of the binary left behind.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(args);
    command
}

pub(crate) fn tidegate(args: &[&str]) -> Ran {
    ran(command(args).output().unwrap())
}

pub(crate) fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Whether a run went well: 0, or 4 when this machine was too busy with other tests for the
/// generator to be on time. Tests of the exit codes themselves are too short to be judged by that.
pub(crate) fn went_well(code: i32) -> bool {
    matches!(code, 0 | 4)
}

/// Runs with `--json -` and returns the exit code and the result.
pub(crate) fn json_of(args: &[&str]) -> (i32, Value) {
    let ran = tidegate(&[args, &["--json", "-", "--quiet"]].concat());
    let json = serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", ran.stdout, ran.stderr));
    (ran.code, json)
}

pub(crate) fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
