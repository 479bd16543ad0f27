//! A gateway with experiments, as visitors, applications and operators meet it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use testkit::origin::{Behaviour, Origin, OriginConfig, Response};

use crate::command::{path, tidegate};

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0";

/// A running gateway with its API of experiments.
pub(crate) struct Up {
    child: Child,
    talk: BufReader<ChildStderr>,
    web: SocketAddr,
    pub(crate) api: SocketAddr,
}

impl Up {
    pub(crate) fn start(file: &Path) -> Up {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["up", "--config", path(file)])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut talk = BufReader::new(child.stderr.take().unwrap());
        let web = address(&mut talk, "(web)");
        let api = address(&mut talk, "(experiments)");
        Up { child, talk, web, api }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Ends it in order.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        let mut rest = String::new();
        self.talk.read_to_string(&mut rest).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{rest}");
    }

    /// Asks as a browser does, with a cookie.
    pub(crate) fn visit(&self, path: &str, cookie: &str) -> Answer {
        self.visit_as(BROWSER, path, cookie)
    }

    fn visit_as(&self, agent: &str, path: &str, cookie: &str) -> Answer {
        let fields = format!("User-Agent: {agent}\r\nCookie: {cookie}\r\n");
        ask(self.web, &format!("GET {path}"), &fields, "")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let answer = ask(self.api, &format!("POST {path}"), "", &body.to_string());
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    fn status(&self) -> Value {
        serde_json::from_str(&ask(self.api, "GET /v1/status", "", "").body).unwrap()
    }

    /// Waits until the status says something.
    fn wait_for(&self, what: &str, says: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        loop {
            let status = self.status();
            if says(&status) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}: {status}");
            std::thread::yield_now();
        }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Ended already, most of the time.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn address(talk: &mut impl BufRead, name: &str) -> SocketAddr {
    let mut all = String::new();
    loop {
        let mut line = String::new();
        assert!(talk.read_line(&mut line).unwrap() > 0, "`{name}` is not in\n{all}");
        if line.contains(name) {
            return line.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
        }
        all.push_str(&line);
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        let own = fields.filter(|(own, _)| own.eq_ignore_ascii_case(name));
        own.map(|(_, value)| value).collect()
    }

    /// `name=value` of a cookie that was set.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        let set = self.all("set-cookie").into_iter().find(|set| set.starts_with(name))?;
        set.split(';').next().map(str::to_owned)
    }
}

fn ask(address: SocketAddr, line: &str, fields: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let head = format!(
        "{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Length: {length}\r\n{fields}\r\n{body}"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    Answer { status: head[9..12].parse().unwrap(), head: head.to_owned(), body: body.to_owned() }
}

/// A shop in two versions, and a configuration in a folder.
struct Shop {
    folder: tempfile::TempDir,
    old: Origin,
    new: Origin,
}

impl Shop {
    fn start() -> Shop {
        let origin = |text: &str| {
            let headers = vec![("cache-control".to_owned(), "public, max-age=60".to_owned())];
            let answer = Response { headers, body: text.into(), ..Response::default() };
            Origin::start(OriginConfig::new(Behaviour::Respond(answer))).unwrap()
        };
        Shop { folder: tempfile::tempdir().unwrap(), old: origin("old"), new: origin("new") }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("tidegate.toml")
    }

    /// Writes the configuration; `more` is added to the experiment.
    fn configure(&self, more: &str) -> PathBuf {
        let (old, new) = (self.old.addr(), self.new.addr());
        let text = format!(
            r#"
[listen.web]
address = "127.0.0.1:0"

[upstream.old]
servers = ["{old}"]

[upstream.new]
servers = ["{new}"]

[route.all]
match = {{ path-prefix = "/" }}
upstream = "old"
cache = {{ max-bytes = "1MiB" }}

[experiments]
address = "127.0.0.1:0"
data = "data"

[experiment.checkout]
unit = {{ cookie = "uid", create = true }}
match = {{ path-prefix = "/checkout" }}
primary = "purchases"
{more}

[experiment.checkout.variant.control]
weight = 1

[experiment.checkout.variant.new]
weight = 1
upstream = "new"
response-header = {{ X-Version = "new" }}

[metric.purchases]
kind = "conversion"
event = "purchase"
window = "7d"
"#
        );
        fs::write(self.file(), text).unwrap();
        self.file()
    }
}

/// Cookies of visitors and the version that each was served.
fn visitors(up: &Up, count: usize) -> BTreeMap<String, String> {
    let visits = (0..count).map(|_| up.visit("/checkout", ""));
    visits.map(|answer| (answer.cookie("uid").unwrap(), answer.body)).collect()
}

fn recorded(status: &Value) -> u64 {
    status["exposures"]["recorded"].as_u64().unwrap()
}

#[test]
fn visitors_keep_their_version_and_count_once() {
    let shop = Shop::start();
    let up = Up::start(&shop.configure(""));
    let elsewhere = up.visit("/other", "");
    assert_eq!((elsewhere.body.as_str(), elsewhere.cookie("uid")), ("old", None));
    assert_eq!(elsewhere.all("cache-control"), ["public, max-age=60"]);

    let visitors = visitors(&up, 40);
    assert_eq!(visitors.len(), 40, "each has an id of its own");
    let new = visitors.values().filter(|version| *version == "new").count();
    assert!((5..=35).contains(&new), "{new} of 40");
    for (cookie, version) in visitors.iter().chain(&visitors) {
        let answer = up.visit("/checkout", &format!("a=b; {cookie}"));
        assert_eq!((&answer.body, answer.cookie("uid")), (version, None));
        let told: &[&str] = if version == "new" { &["new"] } else { &[] };
        assert_eq!(answer.all("x-version"), told);
        // Our own cache has it by version; nobody behind us may keep it for others.
        assert!(answer.all("cache-status")[0].contains("hit"), "{}", answer.head);
        assert!(answer.all("cache-control").contains(&"private"), "{}", answer.head);
        assert!(answer.all("vary").contains(&"Cookie"), "{}", answer.head);
    }
    let asked: u64 = [&shop.old, &shop.new].iter().map(|origin| origin.count()).sum();
    assert_eq!(asked, 3, "once for each version, once elsewhere");
    up.wait_for("40 visitors", |status| recorded(status) == 40);
    assert_eq!(up.status()["exposures"]["queued"], json!(40));

    let forged = up.visit("/checkout", "uid=me.AAAA");
    assert!(forged.cookie("uid").is_some(), "an id that is not ours is replaced");
    let bot = up.visit_as("Googlebot/2.1", "/checkout", "");
    assert_eq!((bot.body.as_str(), bot.cookie("uid")), ("old", None));
    let injected = up.visit("/checkout?tidegate-variant=%0d%0aX-Evil:%201", "uid=a\u{1}b");
    assert!(injected.all("x-evil").is_empty(), "{}", injected.head);
    up.stop();
}

#[test]
fn a_restart_and_a_crash_keep_everything() {
    let shop = Shop::start();
    let file = shop.configure("sticky = {}");
    let up = Up::start(&file);
    let visitors = visitors(&up, 20);
    up.wait_for("20 visitors", |status| recorded(status) == 20);
    up.stop();

    let up = Up::start(&file);
    for (cookie, version) in &visitors {
        assert_eq!(&up.visit("/checkout", cookie).body, version);
    }
    let events: Vec<Value> = visitors
        .keys()
        .map(|cookie| {
            let id = cookie.trim_start_matches("uid=").rsplit_once('.').unwrap().0;
            json!({ "unit": id, "name": "purchase", "id": "order-1" })
        })
        .collect();
    let batch = json!({ "producer": "shop", "epoch": 0, "sequence": 0, "events": events });
    let answer = up.post("/v1/events", &batch);
    assert_eq!((&answer["status"], &answer["counted"]), (&json!("recorded"), &json!(20)));
    // As if the machine had lost its power.
    up.signal(Signal::KILL);
    drop(up);

    let up = Up::start(&file);
    assert_eq!(up.post("/v1/events", &batch)["status"], json!("duplicate"));
    let again = json!({ "events": events });
    let answer = up.post("/v1/events", &again);
    assert_eq!((&answer["counted"], &answer["duplicate"]), (&json!(0), &json!(20)), "{answer}");
    for (cookie, version) in &visitors {
        assert_eq!(&up.visit("/checkout", cookie).body, version);
    }
    up.stop();
}

#[test]
fn links_show_a_version_and_count_nothing() {
    let shop = Shop::start();
    let up = Up::start(&shop.configure(""));
    let link = up.post("/v1/links", &json!({ "experiment": "checkout", "variant": "new" }));
    let query = link["query"].as_str().unwrap();
    let first = up.visit(&format!("/checkout?{query}"), "");
    assert_eq!(first.body, "new");
    let kept = first.cookie("tidegate-variant").unwrap();
    let uid = first.cookie("uid").unwrap();
    let answer = up.visit("/checkout", &format!("{uid}; {kept}"));
    assert_eq!(answer.body, "new");
    let forged = query.replace("new", "control");
    let answer = up.visit(&format!("/checkout?{forged}"), &uid);
    assert!(answer.cookie("tidegate-variant").is_none());
    // The only one who counts is whoever came without a link that holds.
    up.wait_for("one visitor", |status| recorded(status) == 1);
    assert_eq!(up.status()["exposures"]["queued"], json!(1));
    up.stop();
}

#[test]
fn a_configuration_is_read_again() {
    let shop = Shop::start();
    let up = Up::start(&shop.configure(""));
    let version = up.status()["version"].clone();
    shop.configure("description = \"what it is about\"");
    up.signal(Signal::HUP);
    up.wait_for("another version", |status| status["version"] != version);
    shop.configure("coverage = \"200%\"");
    up.signal(Signal::HUP);
    let after = up.status()["version"].clone();
    assert_eq!(up.visit("/checkout", "").status, 200);
    assert_eq!(up.status()["version"], after, "what is wrong is not taken");
    up.stop();
}

#[test]
fn what_cannot_be_is_said() {
    let shop = Shop::start();
    let file = shop.configure("primary = \"other\"");
    let ran = tidegate(&["up", "--config", path(&file)]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let text = fs::read_to_string(shop.configure("")).unwrap();
    fs::write(&file, text.replace("upstream = \"new\"", "upstream = \"nowhere\"")).unwrap();
    let ran = tidegate(&["up", "--config", path(&file)]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("nowhere"), "{}", ran.stderr);
    let first = Up::start(&shop.configure(""));
    let ran = tidegate(&["up", "--config", path(&file)]);
    assert_eq!(ran.code, 3, "two processes on one folder: {}", ran.stderr);
    first.stop();
}
