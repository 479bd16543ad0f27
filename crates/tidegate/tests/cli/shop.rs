//! A gateway with experiments before a shop in two versions, for the tests beside this file.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use testkit::origin::{Behaviour, Origin, OriginConfig, Response};

use crate::command::path;
use crate::up::wait_for;

/// How long anything may take before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const BROWSER: &str =
    "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0";

/// A running gateway with its API of experiments.
pub(crate) struct Up {
    pub(crate) child: Child,
    talk: BufReader<ChildStderr>,
    pub(crate) web: SocketAddr,
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

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Ends it in order.
    pub(crate) fn stop(self) {
        self.stop_and_read();
    }

    /// The same; gives back what it said.
    pub(crate) fn stop_and_read(mut self) -> String {
        self.signal(Signal::TERM);
        let mut rest = String::new();
        self.talk.read_to_string(&mut rest).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{rest}");
        rest
    }

    /// Asks as a browser does, with a cookie.
    pub(crate) fn visit(&self, path: &str, cookie: &str) -> Answer {
        self.visit_as(BROWSER, path, cookie)
    }

    pub(crate) fn visit_as(&self, agent: &str, path: &str, cookie: &str) -> Answer {
        let fields = format!("User-Agent: {agent}\r\nCookie: {cookie}\r\n");
        ask(self.web, &format!("GET {path}"), &fields, "")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let answer = ask(self.api, &format!("POST {path}"), "", body.to_string());
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&ask(self.api, "GET /v1/status", "", "").body).unwrap()
    }

    /// Waits until the status says something.
    pub(crate) fn wait_for(&self, what: &str, says: impl Fn(&Value) -> bool) {
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
    let line = wait_for(talk, name);
    line.split_whitespace().find_map(|word| word.parse().ok()).unwrap()
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
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

/// Asks; `fields` end with a line end each, and may begin with a `Host`.
pub(crate) fn ask(address: SocketAddr, line: &str, fields: &str, body: impl AsRef<[u8]>) -> Answer {
    let body = body.as_ref();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let host = if fields.starts_with("Host:") { "" } else { &format!("Host: {address}\r\n") };
    let head = format!(
        "{line} HTTP/1.1\r\n{host}Connection: close\r\nContent-Length: {length}\r\n{fields}\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    // Whoever refuses a body need not read it.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    Answer { status: head[9..12].parse().unwrap(), head: head.to_owned(), body: body.to_owned() }
}

/// A shop in two versions, and a configuration in a folder.
pub(crate) struct Shop {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) old: Origin,
    pub(crate) new: Origin,
}

impl Shop {
    pub(crate) fn start() -> Shop {
        let origin = |text: &str| {
            let headers = vec![("cache-control".to_owned(), "public, max-age=60".to_owned())];
            let answer = Response { headers, body: text.into(), ..Response::default() };
            Origin::start(OriginConfig::new(Behaviour::Respond(answer))).unwrap()
        };
        Shop { folder: tempfile::tempdir().unwrap(), old: origin("old"), new: origin("new") }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("tidegate.toml")
    }

    /// Writes the configuration; `more` is added to the experiment.
    pub(crate) fn configure(&self, more: &str) -> PathBuf {
        self.configure_service("", more)
    }

    /// The same; `service` is added to `[experiments]`.
    pub(crate) fn configure_service(&self, service: &str, more: &str) -> PathBuf {
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
{service}

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
