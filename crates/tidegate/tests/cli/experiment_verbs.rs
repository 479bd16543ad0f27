//! `tidegate experiment`: planning, a data folder without a process, and a gateway that runs.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::command::{path, tidegate};

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);
const TOKEN: &str = "0123456789abcdef-operator";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_plan_is_made_from_numbers_or_from_a_log() {
    let power = ["experiment", "power", "--lift", "10%", "--method", "fixed", "--json"];
    let ran = tidegate(&[&power[..], &["--base", "5%", "--per-day", "4000"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let size = json(&ran.stdout);
    assert_eq!(size["schema"], "tidegate.experiment-size/1");
    let units = size["units"].as_u64().unwrap();
    assert!((62_000..63_000).contains(&units), "{units}");
    assert_eq!((&size["days"], &size["full-weeks-days"]), (&json!(16), &json!(21)));

    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let mut text = String::new();
    for day in 10..14 {
        for unit in 0..200 {
            let (client, agent) = (format!("192.0.{day}.{unit}"), "Mozilla/5.0 (X11; Linux)");
            let target = if unit % 10 == 0 { "/thanks?order=1" } else { "/" };
            text.push_str(&format!(
                "{client} - - [{day}/Oct/2025:12:00:{:02} +0000] \"GET {target} HTTP/1.1\" 200 5 \"-\" \"{agent}\"\n",
                unit % 60
            ));
        }
        text.push_str(&format!(
            "192.0.2.1 - - [{day}/Oct/2025:12:00:00 +0000] \"GET /thanks HTTP/1.1\" 200 5 \"-\" \"Googlebot/2.1\"\n"
        ));
    }
    fs::write(&log, text).unwrap();
    let from_log = ["--from-log", path(&log), "--unit", "client", "--convert", "path~^/thanks"];
    let ran = tidegate(&[&power[..], &from_log].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let size = json(&ran.stdout);
    assert_eq!(size["base"], json!(0.1));
    // Three whole days, and their mean for all that come.
    assert_eq!(size["new-units-per-day"], json!([200, 200, 200, 200]));
    assert!(ran.stderr.contains("800 units, 80 converted"), "{}", ran.stderr);
    let no_log = folder.path().join("no.log");
    fs::write(&no_log, "this is\nno log\n").unwrap();
    let ran =
        tidegate(&[&power[..], &["--from-log", path(&no_log), "--convert", "path~x"]].concat());
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("no line of it was understood"), "{}", ran.stderr);
    let ran = tidegate(&[&power[..], &["--from-log", "nowhere", "--convert", "path~x"]].concat());
    assert_eq!((ran.code, ran.stderr.matches("No such file").count()), (3, 1), "{}", ran.stderr);
    let down = ["experiment", "power", "--method", "fixed", "--json", "--lift", "-10%"];
    let ran = tidegate(&[&down[..], &["--base", "5%"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = tidegate(&[&down[..], &["--mean", "-5", "--deviation", "2"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let never = tidegate(&[&power[..], &["--base", "5%", "--per-day", "0"]].concat());
    assert_eq!(never.code, 1, "{}", never.stderr);
    for wrong in [
        &["--base", "5%", "--mean", "3", "--deviation", "2"][..],
        &[],
        &["--from-log", path(&log), "--convert", "colour=red"],
        &["--from-log", path(&log), "--convert", "path=/nothing"],
        &["--base", "5%", "--variants", "1"],
    ] {
        assert_eq!(tidegate(&[&power[..], wrong].concat()).code, 2, "{wrong:?}");
    }
}

/// A gateway file with an experiment; the origin is never asked.
fn file(folder: &Path, api: SocketAddr, extra: &str) -> PathBuf {
    let file = folder.join("tidegate.toml");
    let text = format!(
        r#"
[listen.web]
address = "127.0.0.1:0"
[upstream.shop]
servers = ["127.0.0.1:9"]
[route.all]
upstream = "shop"
[experiments]
address = "{api}"
token = "{TOKEN}"
data = "data"
[experiment.checkout]
unit = {{ cookie = "uid" }}
primary = "buys"
guardrails = ["error-rate"]
{extra}
[experiment.checkout.policy]
min-run = "0d"
action = "notify"
[experiment.checkout.variant.control]
[experiment.checkout.variant.new]
response-header = {{ x-variant = "new" }}
[metric.buys]
kind = "conversion"
event = "buy"
window = "1d"
"#
    );
    fs::write(&file, text).unwrap();
    file
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_data_folder_can_be_worked_on_without_a_process() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path(), free_address(), "status = \"draft\"");
    let run = |args: &[&str]| tidegate(&[&["experiment", "--config", path(&file)], args].concat());
    let nothing = run(&["list"]);
    assert_eq!(nothing.code, 3, "{}", nothing.stderr);
    let created = run(&["create", "--from", path(&file), "--reason", "first try"]);
    assert_eq!((created.code, created.stdout.as_str()), (0, "taken: checkout\n"));
    let listed = json(&run(&["list", "--json"]).stdout);
    assert_eq!((&listed[0]["key"], &listed[0]["status"]), (&json!("checkout"), &json!("draft")));
    assert_eq!(run(&["start", "checkout"]).stdout, "\"checkout\" is running\n");
    let text = run(&["status", "checkout"]);
    assert_eq!(text.code, 0, "{}", text.stderr);
    assert!(
        text.stdout.starts_with("checkout: wait: 0 of 10,000 planned units"),
        "{}",
        text.stdout
    );
    assert!(text.stdout.contains("start") && text.stdout.contains("no reason was given"));
    let status = json(&run(&["status", "checkout", "--json"]).stdout);
    assert_eq!(status["schema"], "tidegate.experiment/1");
    assert_eq!(status["verdict"]["standing"], "waiting");

    let refused = run(&["ship", "checkout"]);
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    assert!(refused.stderr.contains("not shipped: wait"), "{}", refused.stderr);
    let shipped =
        run(&["ship", "checkout", "new", "--force", "--hold-back", "10%", "--reason", "hope"]);
    assert_eq!(shipped.code, 0, "{}", shipped.stderr);
    let shares = |listed: &Value| listed[0]["variants"].clone();
    let listed = json(&run(&["list", "--json"]).stdout);
    assert_eq!(shares(&listed), json!([["control", 0.1], ["new", 0.9]]));
    assert_eq!(run(&["revert", "checkout"]).stdout, "taken back: ship\n");
    let listed = json(&run(&["list", "--json"]).stdout);
    assert_eq!(shares(&listed), json!([["control", 0.5], ["new", 0.5]]));
    assert_eq!(run(&["roll-back", "checkout", "new", "--reason", "no"]).code, 0);
    assert_eq!(run(&["roll-back", "checkout", "control"]).code, 2);
    assert_eq!(run(&["status", "nothing"]).code, 2);
    // The file read again changes nothing; with other weights, it begins a new phase.
    assert_eq!(run(&["create", "--from", path(&file)]).code, 0);
    let listed = json(&run(&["list", "--json"]).stdout);
    assert_eq!(shares(&listed), json!([["control", 1.0], ["new", 0.0]]));
    let text = fs::read_to_string(&file).unwrap();
    let weighted = text.replace(
        "[experiment.checkout.variant.control]",
        "[experiment.checkout.variant.control]\nweight = 3",
    );
    fs::write(&file, weighted).unwrap();
    assert_eq!(run(&["create", "--from", path(&file)]).code, 0);
    let listed = json(&run(&["list", "--json"]).stdout);
    assert_eq!(shares(&listed), json!([["control", 0.75], ["new", 0.25]]));
    assert_eq!(listed[0]["status"], "running", "though the file says draft, as it did before");

    let audit = json(&run(&["status", "checkout", "--json"]).stdout)["audit"].clone();
    let actions: Vec<&str> =
        audit.as_array().unwrap().iter().filter_map(|line| line["action"].as_str()).collect();
    for action in ["roll-back", "revert", "ship", "start", "put"] {
        assert!(actions.contains(&action), "{actions:?}");
    }
    let nobody = run(&["ship", "checkout", "new", "--force", "--hold-back", "100%"]);
    assert_eq!(nobody.code, 2, "{}", nobody.stdout);
    assert_eq!(run(&["stop", "checkout"]).code, 0);
    assert_eq!(run(&["start", "checkout"]).code, 2, "what is stopped stays stopped");
    let over = run(&["roll-back", "checkout", "new"]);
    assert_eq!(over.code, 2, "{}", over.stdout);
    assert!(over.stderr.contains("is over"), "{}", over.stderr);
    let text = run(&["status", "checkout"]).stdout;
    assert!(text.starts_with("checkout: the experiment does not run"), "{text}");
}

/// What joins a gateway is served by the gateway's upstreams; those of its own file mean nothing.
#[test]
fn a_file_of_experiments_names_upstreams_of_the_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path(), free_address(), "");
    let more = folder.path().join("more.toml");
    let create = |name: &str| {
        let text = format!(
            "[upstream.ghost]\nservers = [\"127.0.0.1:9\"]\n[experiment.more]\n\
             unit = {{ cookie = \"uid\" }}\n[experiment.more.variant.a]\n\
             [experiment.more.variant.b]\nupstream = \"{name}\"\n"
        );
        fs::write(&more, text).unwrap();
        tidegate(&["experiment", "--config", path(&file), "create", "--from", path(&more)])
    };
    let refused = create("ghost");
    assert_eq!(refused.code, 2, "{}", refused.stdout);
    assert!(refused.stderr.contains("no upstream `ghost`"), "{}", refused.stderr);
    let taken = create("shop");
    assert_eq!((taken.code, taken.stdout.as_str()), (0, "taken: more\n"), "{}", taken.stderr);
}

#[test]
fn a_test_that_ramps_up_begins_with_its_first_step() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path(), free_address(), "");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("min-run = \"0d\"", "min-run = \"0d\"\nramp-up = true")).unwrap();
    let run = |args: &[&str]| tidegate(&[&["experiment", "--config", path(&file)], args].concat());
    // Taken twice, as at every start.
    for _ in 0..2 {
        assert_eq!(run(&["create", "--from", path(&file)]).code, 0);
        let listed = json(&run(&["list", "--json"]).stdout);
        assert_eq!(listed[0]["variants"], json!([["control", 0.005], ["new", 0.005]]));
    }
}

#[test]
fn experiments_of_other_systems_come_as_drafts() {
    let folder = tempfile::tempdir().unwrap();
    let features = folder.path().join("features.json");
    let text = r#"{"features": {"banner": {"rules": [
        {"key": "banner-test", "variations": ["a", "b"], "hashVersion": 2}, {"force": "a"}]}}}"#;
    fs::write(&features, text).unwrap();
    let data = folder.path().join("data");
    let run = |args: &[&str]| tidegate(&[&["experiment", "--data", path(&data)], args].concat());
    let import = ["import", "growthbook", path(&features), "--unit", "cookie=uid"];
    let dry = run(&[&import[..], &["--dry-run"]].concat());
    assert_eq!(dry.code, 0, "{}", dry.stderr);
    let declared = json(&dry.stdout);
    assert_eq!(declared["set"]["experiments"][0]["hash"], "growthbook-2");
    assert!(dry.stderr.contains("its other rules"), "{}", dry.stderr);
    assert!(!data.exists(), "a dry run writes nothing");
    assert_eq!(run(&import).code, 0);
    let listed = json(&run(&["list", "--json"]).stdout);
    assert_eq!((&listed[0]["key"], &listed[0]["status"]), (&json!("banner-test"), &json!("draft")));
    assert_eq!(run(&["import", "magic", path(&features)]).code, 2);
    assert_eq!(run(&["import", "flagd", path(&features)]).code, 2);
    assert_eq!(run(&["import", "flagd", "nowhere.json"]).code, 3);
    fs::write(&features, "no JSON").unwrap();
    assert_eq!(run(&["import", "flagd", path(&features)]).code, 2);
}

#[test]
fn an_import_leaves_alone_what_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path(), free_address(), "");
    let layered = "\n[layer.pages]\nsalt = \"pg\"\n";
    let text = fs::read_to_string(&file).unwrap();
    let text = text.replace(
        "[experiment.checkout]",
        "[experiment.checkout]\nlayers = [{ layer = \"pages\", ranges = [[\"0%\", \"50%\"]] }]",
    );
    fs::write(&file, text.clone() + layered).unwrap();
    let run = |args: &[&str]| tidegate(&[&["experiment", "--config", path(&file)], args].concat());
    let create = ["create", "--from", path(&file)];
    let created = run(&create);
    assert_eq!(created.code, 0, "{}", created.stderr);
    assert_eq!(run(&["start", "checkout"]).code, 0);
    // Another salt would deal the units of what runs anew.
    fs::write(&file, text.clone() + &layered.replace("pg", "other")).unwrap();
    let refused = run(&create);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("layer pages: hash and salt"), "{}", refused.stderr);
    fs::write(&file, text + layered).unwrap();

    let features = folder.path().join("features.json");
    let rule = |key: &str, more: &str| {
        format!(
            r#""{key}": {{"rules": [{{"key": "{key}", "variations": [0, 1], "hashVersion": 2{more}}}]}}"#
        )
    };
    let nested = rule("fine", r#", "namespace": ["pages", 0.5, 1]"#);
    let text = format!(r#"{{"features": {{{}, {nested}}}}}"#, rule("checkout", ""));
    fs::write(&features, text).unwrap();
    for _ in 0..2 {
        let done = run(&["import", "growthbook", path(&features), "--json"]);
        assert_eq!(done.code, 0, "{}", done.stderr);
        assert_eq!(json(&done.stdout)["taken"], json!(["fine"]), "{}", done.stdout);
        assert!(done.stderr.contains("checkout: left out: experiment checkout: hash"));
    }
    // What was imported is in a layer of its own.
    assert_eq!(run(&create).code, 0);
}

/// A gateway that runs.
struct Up {
    child: Child,
    talk: BufReader<ChildStderr>,
}

impl Up {
    fn start(file: &Path) -> Up {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["up", "--config", path(file)])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let talk = BufReader::new(child.stderr.take().unwrap());
        let mut up = Up { child, talk };
        let mut all = String::new();
        while !all.contains("(experiments)") {
            let before = all.len();
            up.talk.read_line(&mut all).unwrap();
            assert!(all.len() > before, "it ended: {all}");
        }
        up
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Ended already, most of the time.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request and returns its status.
fn post(address: SocketAddr, target: &str, token: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "POST {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: Bearer \
         {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned();
    (status.unwrap_or_else(|| panic!("{answer}")), body)
}

#[test]
fn a_gateway_that_runs_is_asked_and_what_it_recorded_is_analysed() {
    let folder = tempfile::tempdir().unwrap();
    let api = free_address();
    let file = file(folder.path(), api, "");
    let up = Up::start(&file);
    let run = |args: &[&str]| tidegate(&[&["experiment", "--config", path(&file)], args].concat());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = u64::try_from(now.as_millis()).unwrap();
    // Every second unit of the control buys, and nearly all of the others.
    for batch in 0..6_u32 {
        let (mut exposures, mut events) = (Vec::new(), Vec::new());
        for number in 0..100_u32 {
            let unit = format!("u{batch}-{number}");
            let variant = if number % 2 == 0 { "control" } else { "new" };
            exposures.push(json!({
                "experiment": "checkout", "unit": unit, "variant": variant, "time": now,
            }));
            if variant == "new" && number % 20 != 1 || variant == "control" && number % 4 == 0 {
                events.push(json!({"unit": unit, "name": "buy", "time": now}));
            }
        }
        let send = |what: &str, list: Vec<Value>| {
            let body = json!({ what: list }).to_string();
            let (status, text) = post(api, &format!("/v1/{what}"), TOKEN, &body);
            assert_eq!(status, 200, "{text}");
        };
        send("exposures", exposures);
        send("events", events);
    }
    let ran = run(&["status", "checkout", "--json"]);
    let status = json(&ran.stdout);
    assert_eq!(status["health"]["arms"][0]["units"], 300, "{}", ran.stdout);
    let effect = &status["metrics"][0]["effects"][0];
    assert_eq!((&effect["value"], &effect["control"]), (&json!(0.9), &json!(0.5)));
    assert_eq!(effect["outcome"], "better");
    // No request was seen, so the guardrail cannot tell.
    assert_eq!(status["verdict"]["standing"], "waiting", "{}", status["verdict"]);
    assert_eq!(ran.code, 0);

    // Only who knows the token may look, and a folder in use is left alone.
    assert_eq!(post(api, "/v1/experiments", "wrong", "\"list\"").0, 401);
    assert_eq!(post(api, "/v1/experiments", TOKEN, "\"list\"").0, 200);
    assert_eq!(post(api, "/v1/experiments", TOKEN, "{\"list\": 1}").0, 400);
    let data = folder.path().join("data");
    let locked = tidegate(&["experiment", "--data", path(&data), "list"]);
    assert_eq!(locked.code, 3, "{}", locked.stdout);
    assert!(locked.stderr.contains("--api"), "{}", locked.stderr);

    let shipped = run(&["ship", "checkout", "new", "--force", "--reason", "it is clear"]);
    assert_eq!(shipped.code, 0, "{}", shipped.stderr);
    let listed = json(&run(&["list", "--json"]).stdout);
    assert_eq!(listed[0]["variants"], json!([["control", 0.0], ["new", 1.0]]));
    drop(up);

    // Without the process, the folder tells the same.
    let after = json(&run(&["list", "--json"]).stdout);
    assert_eq!(after[0]["variants"], listed[0]["variants"]);
    assert_eq!(after[0]["units"], 600);
}
