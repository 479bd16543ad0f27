//! What is kept of conformance results: every test's result in `docs/cache-conformance.json`, and
//! tables of counts in `docs/cache-conformance.md`, written from it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::suite::{Outcome, SUITE};
use crate::section;

const JSON: &str = "docs/cache-conformance.json";
const PAGE: &str = "docs/cache-conformance.md";
const HEAD: &str = "# HTTP cache conformance\n";
const KINDS: [&str; 3] = ["required", "optimal", "check"];

/// Published by the cache-tests project for newer versions and a larger set of tests:
/// name, required of 150, optimal of 98, checks answered yes.
const PUBLISHED: [(&str, u32, u32, u32); 8] = [
    ("Apache Traffic Server 9.2.5", 132, 70, 44),
    ("Apache httpd 2.4.64", 131, 68, 43),
    ("Squid 6.13", 122, 59, 61),
    ("Varnish 7.7.3", 119, 45, 26),
    ("Caddy with cache-handler 0.16", 116, 38, 22),
    ("nginx 1.28.0", 99, 59, 18),
    ("HAProxy 3.0.10", 89, 40, 32),
    ("Fastly (with tests for CDNs)", 96, 49, 17),
];

/// Results of all caches, in the order of the suite.
pub(super) struct Results {
    versions: Map<String, Value>,
    /// Per test: `suite`, `kind`, `name`, and one result per cache.
    tests: Map<String, Value>,
}

impl Results {
    /// Reads what is stored; nothing is a start, too.
    pub(super) fn read() -> Result<Results> {
        let Ok(text) = fs::read_to_string(JSON) else {
            return Ok(Results { versions: Map::new(), tests: Map::new() });
        };
        let json: Value = serde_json::from_str(&text).context(JSON)?;
        let table =
            |key: &str| json[key].as_object().cloned().with_context(|| format!("{JSON}: no {key}"));
        Ok(Results { versions: table("versions")?, tests: table("tests")? })
    }

    /// The stored result of a test.
    pub(super) fn result(&self, test: &str, cache: &str) -> Option<&str> {
        self.tests.get(test)?[cache].as_str()
    }

    /// Takes over the results of one cache.
    pub(super) fn set(&mut self, cache: &str, version: &str, outcomes: &[Outcome]) {
        self.versions.insert(cache.to_owned(), json!(version));
        for outcome in outcomes {
            let test = self.tests.entry(outcome.id.clone()).or_insert_with(
                || json!({ "suite": outcome.suite, "kind": outcome.kind, "name": outcome.name }),
            );
            test[cache] = json!(outcome.result);
        }
    }

    /// Writes both files.
    pub(super) fn write(&self) -> Result<()> {
        let mut text = format!("{{\n\"suite\": {},\n", json!(SUITE));
        let _ = writeln!(text, "\"versions\": {},", json!(self.versions));
        // One test a line, so that a change shows as one.
        let lines: Vec<String> =
            self.tests.iter().map(|(id, test)| format!("{}: {test}", json!(id))).collect();
        let _ = writeln!(text, "\"tests\": {{\n{}\n}}\n}}", lines.join(",\n"));
        fs::write(JSON, text)?;
        if !Path::new(PAGE).exists() {
            fs::write(PAGE, HEAD)?;
        }
        section::replace(Path::new(PAGE), "cargo xtask conformance cache", &self.page())
    }

    /// The caches, tidegate first.
    fn caches(&self) -> Vec<&str> {
        let mut caches: Vec<&str> = self.versions.keys().map(String::as_str).collect();
        caches.sort_by_key(|&cache| (cache != "tidegate", cache.to_owned()));
        caches
    }

    /// Passed and all tests of a kind, of one suite or of all.
    fn count(&self, cache: &str, kind: &str, suite: Option<&str>) -> (usize, usize) {
        let of_kind = |test: &&Value| {
            test["kind"] == kind && suite.is_none_or(|suite| test["suite"] == suite)
        };
        let tests: Vec<&Value> = self.tests.values().filter(of_kind).collect();
        let passed = tests.iter().filter(|test| is_passed(test[cache].as_str().unwrap_or("")));
        (passed.count(), tests.len())
    }

    fn page(&self) -> String {
        let mut page = format!(
            "`cargo xtask conformance cache` runs the npm package `{SUITE}` (the project behind cache-tests.fyi; without its\n\
             Surrogate-Control suite) and scores it with the package's own rules. Every test's result is in\n\
             `cache-conformance.json`; `cargo xtask test` fails when a required or optimal test that tidegate passed stops passing.\n\
             *Required*: RFC 9111 demands it. *Optimal*: it makes the cache more useful. *Check*: behaviour that may be either way.\n\n\
             ## Measured here\n\n\
             All caches in front of the same origin, allowed to store what the origin says and nothing without its word;\n\
             those besides tidegate are Debian's. Counts are of passed tests; a test that depends on a failed one does not pass.\n\n"
        );
        let (required, optimal, checks) = (
            self.count("", "required", None).1,
            self.count("", "optimal", None).1,
            self.count("", "check", None).1,
        );
        let _ = writeln!(
            page,
            "| cache | version | required of {required} | optimal of {optimal} | checks yes of {checks} |\n|---|---|---|---|---|"
        );
        for cache in self.caches() {
            let counts = KINDS.map(|kind| self.count(cache, kind, None).0.to_string()).join(" | ");
            let version = self.versions[cache].as_str().unwrap_or("");
            let _ = writeln!(page, "| {cache} | {version} | {counts} |");
        }
        page.push_str(
            "\n## Published\n\nBy the project, for newer versions and a larger set of tests: compare proportions.\n\n\
             | cache | required of 150 | optimal of 98 | checks yes |\n|---|---|---|---|\n",
        );
        for (name, required, optimal, checks) in PUBLISHED {
            let _ = writeln!(page, "| {name} | {required} | {optimal} | {checks} |");
        }
        self.by_suite(&mut page);
        self.not_passed(&mut page);
        page
    }

    fn by_suite(&self, page: &mut String) {
        let mut suites: Vec<&str> = Vec::new();
        for test in self.tests.values() {
            let suite = test["suite"].as_str().unwrap_or("");
            if !suites.contains(&suite) {
                suites.push(suite);
            }
        }
        let caches = self.caches();
        let _ = writeln!(
            page,
            "\n## By suite\n\nPassed required + optimal + check tests.\n\n| suite | tests | {} |\n|---|---|{}",
            caches.join(" | "),
            "---|".repeat(caches.len())
        );
        for suite in suites {
            let row = |pick: fn((usize, usize)) -> usize, cache: &str| {
                KINDS.map(|kind| pick(self.count(cache, kind, Some(suite))).to_string()).join(" + ")
            };
            let cells: Vec<String> =
                caches.iter().map(|cache| row(|count| count.0, cache)).collect();
            let _ = writeln!(
                page,
                "| {suite} | {} | {} |",
                row(|count| count.1, ""),
                cells.join(" | ")
            );
        }
    }

    fn not_passed(&self, page: &mut String) {
        if !self.versions.contains_key("tidegate") {
            return;
        }
        page.push_str("\n## Required and optimal tests that tidegate does not pass\n\n");
        page.push_str("| test | kind | result | what it asks |\n|---|---|---|---|\n");
        for (id, test) in &self.tests {
            let result = test["tidegate"].as_str().unwrap_or("untested");
            let kind = test["kind"].as_str().unwrap_or("");
            if kind != "check" && !is_passed(result) {
                let name = test["name"].as_str().unwrap_or("").replace('|', "\\|");
                let _ = writeln!(page, "| {id} | {kind} | {result} | {name} |");
            }
        }
    }
}

/// Whether a result counts as passed.
pub(super) fn is_passed(result: &str) -> bool {
    matches!(result, "pass" | "yes")
}
