//! `tidegate load` with flags.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use testkit::origin::{Behaviour, Fault, Origin, OriginConfig, Refused, Response};

use crate::command::{command, json_of, path, ran, tidegate, went_well};

fn origin() -> Origin {
    Origin::start(OriginConfig::new(Behaviour::ok("ok"))).unwrap()
}

#[test]
fn a_url_is_enough_and_the_report_leads_with_the_verdict() {
    let origin = origin();
    let ran = tidegate(&["load", &origin.url(), "-n", "200", "-u", "4"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.starts_with("Verdict: "), "{}", ran.stdout);
    assert_eq!(origin.count(), 200);
}

#[test]
fn the_json_has_the_shape_that_was_promised() {
    let origin = origin();
    let (code, run) = json_of(&[
        "load",
        &origin.url(),
        "--rate",
        "100/s",
        "-t",
        "2s",
        "--slo",
        "p95<5s,failures<1%",
    ]);
    assert!(went_well(code), "{code}");
    assert_eq!(run["schema"], "tidegate.run/1");
    assert_eq!(run["verdict"]["slo"], "met");
    assert_eq!(run["verdict"]["valid"], code == 0);
    assert!(run["verdict"]["bound-by"].is_string());
    assert_eq!(run["totals"]["requests"], 200);
    assert_eq!(run["totals"]["duration-s"], 2.0);
    for key in ["failures", "requests-per-s", "bytes-received", "unsent"] {
        assert!(run["totals"][key].is_number(), "{key}");
    }
    let percentiles = ["p50", "p66", "p75", "p80", "p90", "p95", "p98", "p99", "p99.9", "p99.99"];
    for block in [&run["totals"], &run["tasks"][0]] {
        for clock in ["response-time-ms", "service-time-ms", "send-delay-ms"] {
            for key in ["min", "mean", "stdev", "max"].iter().chain(&percentiles) {
                assert!(block[clock][key].is_number(), "{clock} {key}");
            }
        }
    }
    assert_eq!(run["tasks"][0]["method"], "GET");
    for key in ["t-s", "users", "requests-per-s", "failures-per-s", "p50-ms", "p95-ms"] {
        assert!(run["series"][0][key].is_number(), "{key}");
    }
    assert!(run["errors"].as_array().unwrap().is_empty());
}

#[test]
fn exit_codes_tell_scripts_what_happened() {
    let slow = Response { delay: std::time::Duration::from_millis(30), ..Response::default() };
    let slow = Origin::start(OriginConfig::new(Behaviour::Respond(slow))).unwrap();
    let url = slow.url();
    let code =
        |args: &[&str]| tidegate(&[&["load", &url, "-n", "20", "--quiet"], args].concat()).code;
    assert_eq!(code(&["--slo", "p95<5s"]), 0);
    assert_eq!(code(&["--slo", "p95<1ms"]), 1);
    assert_eq!(code(&["--slo", "p95"]), 2);
    assert_eq!(code(&["--preset", "mild"]), 2);
    assert_eq!(code(&["--json", "/nonexistent/run.json"]), 3);
    assert_eq!(code(&["--cacert", "/nonexistent/ca.pem"]), 3);
    let refused = Refused::start().unwrap();
    let ran = tidegate(&["load", &format!("http://{}", refused.addr()), "-n", "5", "-u", "1"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("connect-refused"), "{}", ran.stdout);
}

#[test]
fn a_generator_out_of_descriptors_is_not_to_be_believed() {
    let slow = Response { delay: std::time::Duration::from_millis(300), ..Response::default() };
    let origin = Origin::start(OriginConfig::new(Behaviour::Respond(slow))).unwrap();
    let script = format!(
        "ulimit -Sn 48; ulimit -Hn 48; exec {} load {} -u 100 -t 3s --json - --quiet",
        env!("CARGO_BIN_EXE_tidegate"),
        origin.url()
    );
    let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    let ran = ran(output);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    let run: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(run["verdict"]["bound-by"], "generator");
    assert_eq!(run["verdict"]["valid"], false);
    assert_eq!(run["errors"][0]["kind"], "descriptors");
}

#[test]
fn csv_files_have_locusts_names_and_columns() {
    let origin = origin();
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("run");
    let ran = tidegate(&[
        "load",
        &origin.url(),
        "--rate",
        "50/s",
        "-t",
        "2s",
        "--csv",
        path(&prefix),
        "-q",
    ]);
    assert!(went_well(ran.code), "{}", ran.stderr);
    let text = |suffix: &str| fs::read_to_string(format!("{}{suffix}", path(&prefix))).unwrap();
    assert!(text("_stats.csv").starts_with(
        "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Min Response Time,\
         Max Response Time,Average Content Size,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%"
    ));
    assert!(text("_stats.csv").lines().last().unwrap().starts_with(",Aggregated,100,0,"));
    assert!(
        text("_stats_history.csv")
            .starts_with("Timestamp,User Count,Type,Name,Requests/s,Failures/s,50%")
    );
    assert!(text("_stats_history.csv").lines().count() >= 3);
    assert!(
        text("_failures.csv").starts_with("Method,Name,Error,Occurrences,First Seen,Last Seen")
    );
}

#[test]
fn metrics_are_served_while_it_runs() {
    let origin = origin();
    let mut child = command(&[
        "load",
        &origin.url(),
        "--rate",
        "50/s",
        "-t",
        "60s",
        "--prometheus",
        "127.0.0.1:0",
    ])
    .stdout(Stdio::null())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
    let address = line
        .trim()
        .trim_start_matches("metrics at http://")
        .trim_end_matches("/metrics")
        .to_owned();
    // The page fills with the first tick: ask until it has.
    let page = loop {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        if page.contains("tidegate_load_requests_total") {
            break page;
        }
    };
    assert!(page.starts_with("HTTP/1.1 200 OK"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_signal_still_leaves_a_result() {
    for signal in ["-INT", "-TERM"] {
        let origin = origin();
        let folder = tempfile::tempdir().unwrap();
        let json = folder.path().join("run.json");
        let run = folder.path().join("run.tdg");
        let mut child = command(&[
            "load",
            &origin.url(),
            "--rate",
            "100/s",
            "-t",
            "1h",
            "--json",
            path(&json),
            "--save",
            path(&run),
            "-q",
        ])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
        assert!(origin.wait_for_count(20, std::time::Duration::from_secs(60)));
        let killed =
            std::process::Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(killed.unwrap().success());
        assert!(went_well(child.wait().unwrap().code().unwrap()));
        let run: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
        assert!(run["totals"]["requests"].as_u64().unwrap() >= 20);
    }
}

#[test]
fn endless_and_broken_responses_neither_hang_nor_crash() {
    for fault in [
        Fault::EndlessBody,
        Fault::EndlessHeaders,
        Fault::HugeHeaders { bytes: 1 << 20 },
        Fault::BadChunk,
    ] {
        let origin = Origin::start(OriginConfig::new(Behaviour::Fault(fault.clone()))).unwrap();
        let (code, run) =
            json_of(&["load", &origin.url(), "-n", "4", "-u", "2", "--timeout", "300ms"]);
        // Every request failed; taking in an endless body may also keep the generator too busy.
        assert!(matches!(code, 1 | 4), "{fault:?}: {code}");
        assert_eq!(
            (run["totals"]["requests"].as_u64(), run["totals"]["failures"].as_u64()),
            (Some(4), Some(4))
        );
    }
}

#[test]
fn the_target_process_can_be_watched() {
    let origin = origin();
    let pid = std::process::id().to_string();
    let (_, run) =
        json_of(&["load", &origin.url(), "--rate", "50/s", "-t", "3s", "--watch-pid", &pid]);
    let text = run.to_string();
    assert!(text.contains(&format!("pid {pid} rss")), "{text}");
}

#[test]
fn help_has_examples_that_name_the_verb() {
    for verb in ["load", "capacity", "compare", "demo"] {
        let ran = tidegate(&[verb, "--help"]);
        assert_eq!(ran.code, 0);
        assert!(ran.stdout.contains(&format!("tidegate {verb}")), "{}", ran.stdout);
    }
    assert_eq!(tidegate(&["--version"]).code, 0);
    assert_eq!(tidegate(&["lode"]).code, 2);
}
