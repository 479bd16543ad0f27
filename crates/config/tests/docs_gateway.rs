//! The gateway reference: its examples are accepted, it names every key, and its defaults are true.

use std::path::{Path, PathBuf};

use config::parse_gateway;
use gateway::params::GatewayParams;

const REFERENCE: &str = include_str!("../../../docs/reference/gateway.md");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ok")
}

fn parse(text: &str) -> GatewayParams {
    // The files that examples name.
    let text = text.replace("\"ca.pem\"", "\"gateway/ca.pem\"");
    parse_gateway("example.toml", &text, &folder())
        .unwrap_or_else(|errors| panic!("{text}\n{errors}"))
}

#[test]
fn examples_are_accepted() {
    let blocks = REFERENCE.split("```toml\n").skip(1);
    let blocks: Vec<&str> = blocks.map(|rest| &rest[..rest.find("```").unwrap()]).collect();
    assert!(blocks.len() >= 7, "only {} examples", blocks.len());
    for block in blocks {
        parse(block);
    }
}

#[test]
fn every_key_is_described() {
    // This file has every key once; its first words of lines are the keys.
    let everything = include_str!("ok/gateway-everything.toml");
    let lines = everything.lines().filter_map(|line| line.split_once(" = "));
    // An error page is named by its status.
    let keys = lines.map(|(key, _)| key).filter(|key| *key != "503");
    let mut described = 0;
    for key in keys {
        // As a row of a table, or in the form of a small one.
        let forms = [format!("`{key}`"), format!("{{ {key}, "), format!(", {key} }}")];
        assert!(forms.iter().any(|form| REFERENCE.contains(form)), "{key}");
        described += 1;
    }
    assert!(described > 120, "only {described} keys");
}

/// A gateway with all features, whose tables hold nothing but what they need.
const BASE: &str = r#"
#TOP
[listen.web]
address = "127.0.0.1:0"
#listen
[listen.tls]
address = "127.0.0.1:0"
[listen.tls.tls]
cert = "gateway/cert.pem"
key = "gateway/key.pem"
client-ca = "gateway/ca.pem"
#listen-tls
[upstream.a]
servers = ["a:1", "b:1"]
#upstream
[upstream.a.sticky]
cookie = "c"
[upstream.a.health]
get = "/"
#health
[upstream.a.breaker]
#breaker
[upstream.a.ejection]
#ejection
[upstream.a.retry]
#retry
[upstream.a.hedge]
after = "1s"
#hedge
[upstream.a.limits]
#upstream-limits
[upstream.a.adaptive]
#adaptive
[upstream.a.tls]
#upstream-tls
[upstream.plain]
servers = [{ address = "a:1" }]
#plain
[upstream.files]
serve = "gateway/site"
#files
[route.a]
match = { path = "/a" }
upstream = "a"
#route
[route.a.basic-auth]
users = { ann = "sha256:s:0000000000000000000000000000000000000000000000000000000000000000" }
#basic-auth
[route.a.rate-limit]
rate = "1/s"
#rate-limit
[route.a.cors]
origins = ["https://a.example"]
#cors
[route.a.cache]
#cache
[route.a.cache.key]
#cache-key
[route.a.compress]
#compress
[route.a.mirror]
upstream = "plain"
#mirror
[route.a.timeout]
#timeout
[route.plain]
upstream = "plain"
#plain-route
[access-log]
path = "-"
#access-log
[limits]
#limits
[forwarding]
#forwarding
"#;

/// Headings of the reference and the table of [`BASE`] that they are about; what follows a table of
/// features there is said on an upstream or route without them.
const TABLES: [(&str, &str); 24] = [
    ("## Top level", "TOP"),
    ("## `[listen.NAME]`", "listen"),
    ("### `tls` of a listener", "listen-tls"),
    ("## `[upstream.NAME]`", "plain"),
    ("### `health`", "health"),
    ("### `breaker`", "breaker"),
    ("### `ejection`", "ejection"),
    ("### `retry`", "retry"),
    ("### `hedge`", "hedge"),
    ("### `limits` of an upstream", "upstream-limits"),
    ("### `adaptive`", "adaptive"),
    ("### `tls` of an upstream", "upstream-tls"),
    ("### Files", "files"),
    ("## `[route.NAME]`", "plain-route"),
    ("### `basic-auth`", "basic-auth"),
    ("### `rate-limit`", "rate-limit"),
    ("### `cors`", "cors"),
    ("### `cache`", "cache"),
    ("### `compress`", "compress"),
    ("### `mirror`", "mirror"),
    ("### `timeout`", "timeout"),
    ("## `[access-log]`", "access-log"),
    ("## `[limits]`", "limits"),
    ("## `[forwarding]`", "forwarding"),
];

/// The key and the default of each row of the first table of a section, where the default is a
/// value.
fn defaults(section: &str) -> Vec<(&str, &str)> {
    let table = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = table.take_while(|line| line.starts_with('|')).skip(2);
    rows.filter_map(|row| {
        let mut cells = row.split(" | ");
        let key = cells.next()?.strip_prefix("| `")?.strip_suffix('`')?;
        let default = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
        Some((key, default)).filter(|(_, default)| !default.contains("` "))
    })
    .collect()
}

#[test]
fn defaults_are_as_described() {
    let expected = parse(BASE);
    let mut compared = 0;
    for (heading, place) in TABLES {
        let (_, section) = REFERENCE.split_once(&format!("\n{heading}\n")).expect(heading);
        let section = section.split("\n## ").next().unwrap().split("\n### ").next().unwrap();
        for (key, default) in defaults(section) {
            // It needs `rotate`.
            if (place, key) == ("access-log", "keep") {
                continue;
            }
            let text = BASE.replace(&format!("#{place}\n"), &format!("{key} = {default}\n"));
            assert_ne!(text, BASE, "{place}");
            assert_eq!(parse(&text), expected, "{heading}: {key} = {default}");
            compared += 1;
        }
    }
    assert!(compared > 75, "only {compared} defaults");
}
