//! Findings come with rules that can be pasted.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{line, report, write};
use crate::command::{path, tidegate};

/// A day on which everything happens.
fn bad_day() -> String {
    let mut text = String::new();
    let bot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
    let tool = "python-requests/2.31";
    for client in 1..40 {
        for n in 0..5 {
            let client = format!("198.51.{client}.1");
            text += &line(&client, n * 300, "/", 200, "Mozilla/5.0 (X11) Firefox/120.0");
            text += &line(&client, n * 300, "/feed", 200, &format!("curl/8.{client}"));
        }
    }
    for n in 0..900 {
        text += &line("203.0.113.5", 600 + n % 60, "/list", 200, "Mozilla/5.0 (X11) Firefox/121.0");
        text += &line(&format!("203.{}.113.9", n % 200), 700 + n % 60, "/api", 200, tool);
        text += &line(&format!("192.0.2.{}", n % 100), 900 + n % 60, "/list", 200, "Firefox/1");
    }
    for n in 0..60 {
        text += &line("2001:db8::66", n, &format!("/.env/{n}"), 404, "-");
        text += &line("203.0.113.77", n, "/login", 401, "-").replace("GET", "POST");
        text += &line("203.0.113.78", n, &format!("/.git/{n}"), 404, bot);
    }
    for n in 0..400 {
        let status = if n % 3 == 0 { 502 } else { 200 };
        text += &line(&format!("198.51.{}.1", n % 40), 2000 + n % 60, "/", status, "Firefox/1");
    }
    text
}

/// What the rules stand in: a listener, an upstream and a route.
fn gateway(rule: &str) -> String {
    let upstream = "servers = [\"127.0.0.1:9001\"]\n";
    let head = "[listen.web]\naddress = \"127.0.0.1:8080\"\n";
    let [has_route, has_upstream] =
        ["[route.site]\n", "[upstream.site]\n"].map(|table| rule.starts_with(table));
    let mut file = head.to_owned();
    if has_upstream {
        file += &format!("{rule}{upstream}");
    } else {
        file += &format!("[upstream.site]\n{upstream}");
    }
    if has_route {
        file += &format!("{rule}upstream = \"site\"\n");
    } else {
        file += "[route.site]\nupstream = \"site\"\n";
    }
    if !has_route && !has_upstream {
        file += rule;
    }
    file
}

fn nginx(rule: &str, folder: &Path) -> String {
    let (mut http, mut server) = (String::new(), String::new());
    let mut is_http = false;
    for line in rule.lines() {
        match line {
            "# in http" => is_http = true,
            "# in server or location" => is_http = false,
            line if is_http => http += &format!("{line}\n"),
            line => server += &format!("{line}\n"),
        }
    }
    let dir = folder.display();
    format!(
        "pid {dir}/pid; error_log stderr;\nevents {{ }}\nhttp {{ access_log off;\n\
         client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;\n\
         uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;\n{http}\
         server {{ listen 127.0.0.1:8080;\n{server}}} }}\n"
    )
}

#[test]
fn every_rule_is_one_that_the_server_takes() {
    let folder = tempfile::tempdir().unwrap();
    let log = write(folder.path(), "access.log", bad_day());
    let report = report(&[path(&log)]);
    let findings = report["findings"].as_array().unwrap();
    let kinds: BTreeSet<&str> =
        findings.iter().map(|finding| finding["kind"].as_str().unwrap()).collect();
    let expected = [
        "agent-rate",
        "brute-force",
        "client-rate",
        "error-burst",
        "network-rate",
        "scanner",
        "spoofed-crawler",
    ];
    assert_eq!(kinds, BTreeSet::from(expected), "{findings:#?}");
    let rules = |name: &str| -> BTreeSet<String> {
        let rules = findings.iter().map(|finding| finding[name].as_str().unwrap().to_owned());
        rules.filter(|rule| !rule.is_empty()).collect()
    };
    let (ours, theirs) = (rules("rule"), rules("nginx"));
    assert!(ours.len() >= 6 && theirs.len() >= 6, "{ours:#?} {theirs:#?}");
    for rule in ours {
        let file = write(folder.path(), "tidegate.toml", gateway(&rule));
        let checked = tidegate(&["config", "check", path(&file)]);
        assert_eq!(checked.code, 0, "{rule}\n{}", checked.stderr);
    }
    for rule in theirs {
        let file = write(folder.path(), "nginx.conf", nginx(&rule, folder.path()));
        let checked =
            crate::nginx::program().args(["-t", "-q", "-c", path(&file)]).output().unwrap();
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(checked.status.success(), "{rule}\n{said}\n{}", fs::read_to_string(&file).unwrap());
    }
}

#[test]
fn a_rule_for_an_agent_is_for_that_agent_alone() {
    let folder = tempfile::tempdir().unwrap();
    let log = write(folder.path(), "access.log", bad_day());
    let report = report(&[path(&log), "--where", "path=/api,/feed"]);
    let found = report["findings"].as_array().unwrap().iter();
    let found: Vec<_> = found.filter(|finding| finding["kind"] == "agent-rate").collect();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0]["subject"], "python-requests/2.31");
    let file = write(folder.path(), "tidegate.toml", gateway(found[0]["rule"].as_str().unwrap()));
    let explain = |agent: &str| {
        let header = format!("user-agent: {agent}");
        let url = "http://a.example/api";
        tidegate(&["config", "explain", path(&file), "get", url, "--header", &header]).stdout
    };
    assert!(
        explain("python-requests/2.31").contains("`agent`"),
        "{}",
        explain("python-requests/2.31")
    );
    assert!(explain("Firefox/1").contains("`site`"), "{}", explain("Firefox/1"));
}
