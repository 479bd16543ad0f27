//! House rules that are cheap to check.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Which of our crates each crate may use, lowest first (ARCHITECTURE.md).
const MAY_USE: [(&str, &[&str]); 16] = [
    ("traffic", &[]),
    ("stats", &[]),
    ("policy", &["traffic", "stats"]),
    ("wire", &["traffic"]),
    ("logs", &["traffic", "stats"]),
    ("plan", &["stats"]),
    ("experiment", &["stats", "policy"]),
    ("store", &["experiment"]),
    ("load", &["traffic", "stats", "policy"]),
    ("gateway", &["traffic", "stats", "policy", "wire"]),
    ("config", &["traffic", "stats", "policy", "load", "gateway", "experiment"]),
    ("report", &["traffic", "stats", "policy", "load", "logs", "plan", "experiment", "gateway"]),
    ("web", &["traffic", "stats", "policy", "experiment", "gateway"]),
    ("testkit", &["traffic", "stats"]),
    ("xtask", &[]),
    (
        "tidegate",
        &[
            "traffic",
            "stats",
            "policy",
            "wire",
            "logs",
            "plan",
            "load",
            "gateway",
            "experiment",
            "store",
            "config",
            "report",
            "web",
        ],
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn manifest(name: &str) -> String {
    fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap()
}

/// Names in the `[dependencies]` section.
fn dependencies(manifest: &str) -> Vec<&str> {
    manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next().filter(|name| !name.is_empty()))
        .collect()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_crate_is_known_and_depends_downwards_only() {
    let may_use: BTreeMap<&str, &[&str]> = MAY_USE.into_iter().collect();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let allowed =
            may_use.get(name.as_str()).unwrap_or_else(|| panic!("{name} is not in the list"));
        let manifest = manifest(&name);
        for dependency in dependencies(&manifest) {
            assert!(
                !may_use.contains_key(dependency) || allowed.contains(&dependency),
                "{name} must not depend on {dependency}; see ARCHITECTURE.md"
            );
        }
    }
}

#[test]
fn pure_crates_read_no_clock_and_do_no_io() {
    for name in ["stats", "policy"] {
        let mut files = Vec::new();
        rust_files(&root().join("crates").join(name).join("src"), &mut files);
        assert!(!files.is_empty());
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or("");
            for banned in
                ["Instant::now", "SystemTime", "std::fs", "std::net", "rand::rng()", "tokio"]
            {
                assert!(
                    !code.contains(banned),
                    "{} uses {banned}: pass it as an argument",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn tests_do_not_hide() {
    let mut files = Vec::new();
    rust_files(&root().join("crates"), &mut files);
    for file in files {
        if file.ends_with("xtask/tests/house_rules.rs") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for banned in ["#[ignore", "todo!(", "unimplemented!("] {
            assert!(!text.contains(banned), "{} has {banned}", file.display());
        }
    }
}
