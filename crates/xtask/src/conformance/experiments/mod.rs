//! `cargo xtask conformance experiments`: clients of OpenFeature and GrowthBook, as they are
//! published, against a running binary. What they find must be what its own API says.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use super::registry;
use crate::packages;
use crate::process::free_port;
use crate::tidegate::{self, Settings};

/// Clients of PyPI.
const WHEELS: [&str; 3] =
    ["growthbook==4.0.0", "openfeature-sdk==0.10.0", "openfeature-provider-ofrep==0.3.0"];
/// Clients of npm, and the EventSource that browsers have.
const MODULES: [&str; 4] = [
    "@growthbook/growthbook@1.8.0",
    "@openfeature/web-sdk@1.10.0",
    "@openfeature/ofrep-web-provider@0.4.3",
    "eventsource@5.1.5",
];
/// Longest run of one side, in seconds: one takes a few.
const RUN_MAX_S: &str = "120";
const CLIENT_KEY: &str = "sdk-conformance";
const TOKEN: &str = "a token of the conformance run";

/// Runs all clients.
pub(super) fn run() -> Result<()> {
    packages::ensure(&registry::NEEDED)?;
    let python = registry::wheels("experiments", &WHEELS)?;
    let modules = registry::modules("experiments", &MODULES)?;
    let folder = tempfile::tempdir()?;
    let api = free_port()?;
    let tables = config(api, folder.path());
    let settings = Settings { tables: &tables, ..Settings::default() };
    let binary = tidegate::debug_binary();
    let _gateway = tidegate::start(&binary, &settings, free_port()?, None, folder.path())?;
    let base = format!("http://127.0.0.1:{api}");
    let script = folder.path().join("clients.py");
    fs::write(&script, include_str!("clients.py"))?;
    clients(Command::new("timeout").arg(RUN_MAX_S).arg(&python).arg(&script), &base)?;
    fs::write(modules.join("clients.mjs"), include_str!("clients.mjs"))?;
    let mut node = Command::new("timeout");
    node.arg(RUN_MAX_S).args(["node", "--no-warnings", "clients.mjs"]).current_dir(&modules);
    clients(&mut node, &base)
}

fn clients(command: &mut Command, base: &str) -> Result<()> {
    let output = command.args([base, CLIENT_KEY, TOKEN]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "clients failed ({}): {said}", output.status);
    eprint!("experiments, {}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

/// Experiments of every type of value, and one that GrowthBook's clients evaluate themselves.
fn config(api: u16, folder: &Path) -> String {
    let data = folder.join("experiments");
    let flag = |key: &str, one: &str, other: &str| {
        format!(
            "[experiment.{key}]\nunit = {{ cookie = \"uid\" }}\n\
             [experiment.{key}.variant.one]\nweight = 1\nvalue = {one}\n\
             [experiment.{key}.variant.other]\nweight = 1\nvalue = {other}\n"
        )
    };
    format!(
        "[experiments]\naddress = \"127.0.0.1:{api}\"\ndata = \"{}\"\ntoken = \"{TOKEN}\"\n\
         client-keys = [\"{CLIENT_KEY}\"]\n{}{}{}{}{}\
         [experiment.colour]\nhash = \"growthbook-2\"\n\
         unit = {{ user = {{ claim = \"id\" }} }}\n\
         match = {{ attribute = {{ plan = \"pro\" }} }}\n\
         [experiment.colour.variant.blue]\nweight = 1\n\
         [experiment.colour.variant.green]\nweight = 1\n",
        data.display(),
        flag("truth", "true", "false"),
        flag("text", "\"a\"", "\"b\""),
        flag("whole", "1", "2"),
        flag("real", "1.0", "2.5"),
        flag("thing", "{ a = [1, 2] }", "{ b = { c = \"d\" } }"),
    )
}
