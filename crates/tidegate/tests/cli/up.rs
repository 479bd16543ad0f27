//! A gateway as an operator runs it: started, asked, reloaded, replaced and stopped.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use testkit::origin::{Behaviour, Origin, OriginConfig};

use crate::command::{json_of, path, tidegate, went_well};

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running gateway.
pub(crate) struct Up {
    child: Child,
    talk: BufReader<ChildStderr>,
    pub(crate) web: SocketAddr,
    admin: SocketAddr,
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
        let web = address(&wait_for(&mut talk, "(web)"));
        let admin = address(&wait_for(&mut talk, "(admin)"));
        Up { child, talk, web, admin }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    pub(crate) fn wait(mut self) -> i32 {
        let mut rest = String::new();
        self.talk.read_to_string(&mut rest).unwrap();
        let code = self.child.wait().unwrap().code();
        code.unwrap_or_else(|| panic!("ended by a signal:\n{rest}"))
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Ended already, most of the time.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first line that holds a text.
pub(crate) fn wait_for(talk: &mut impl BufRead, text: &str) -> String {
    let mut all = String::new();
    loop {
        let mut line = String::new();
        assert!(talk.read_line(&mut line).unwrap() > 0, "`{text}` is not in\n{all}");
        if line.contains(text) {
            return line;
        }
        all.push_str(&line);
    }
}

fn address(line: &str) -> SocketAddr {
    let word = line.split_whitespace().find_map(|word| word.parse().ok());
    word.unwrap_or_else(|| panic!("no address in {line}"))
}

/// Asks once, on a connection of its own.
fn ask(address: SocketAddr, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
        .unwrap()
}

fn free_address() -> String {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().to_string()
}

pub(crate) fn post(address: SocketAddr, path: &str, body: &str) -> String {
    let head = "Host: localhost\r\nContent-Type: application/json\r\nConnection: close";
    let length = body.len();
    ask(
        address,
        &format!("POST {path} HTTP/1.1\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}"),
    )
    .unwrap()
}

pub(crate) fn origin() -> Origin {
    Origin::start(OriginConfig::new(Behaviour::ok("hello"))).unwrap()
}

pub(crate) fn config(folder: &Path, web: &str, origin: &Origin, more: &str) -> PathBuf {
    let file = folder.join("tidegate.toml");
    let text = format!(
        "workers = 2\n[listen.web]\naddress = \"{web}\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
         [upstream.shop]\nservers = [\"{}\"]\n[access-log]\npath = \"access.log\"\n\
         format = \"combined\"\n{more}\n",
        origin.addr()
    );
    fs::write(&file, text).unwrap();
    file
}

pub(crate) const SITE: &str =
    "[route.site]\nmatch = { path-prefix = \"/\" }\nupstream = \"shop\"\n";

#[test]
fn a_gateway_serves_tells_and_drains() {
    let folder = tempfile::tempdir().unwrap();
    let origin = origin();
    let up = Up::start(&config(folder.path(), "127.0.0.1:0", &origin, SITE));
    assert!(get(up.web, "/a?b=1").ends_with("hello"));
    assert!(get(up.admin, "/health").starts_with("HTTP/1.1 200"));
    let metrics = get(up.admin, "/metrics");
    assert!(
        metrics.contains("tidegate_requests_total{route=\"site\",status=\"2xx\"} 1"),
        "{metrics}"
    );
    assert!(get(up.admin, "/status").contains("\"tidegate.status/1\""));
    up.signal(Signal::TERM);
    assert_eq!(up.wait(), 0);
    let log = fs::read_to_string(folder.path().join("access.log")).unwrap();
    assert!(log.contains("\"GET /a?b=1 HTTP/1.1\" 200 5 \"-\" \"-\""), "{log}");
}

#[test]
fn what_the_gateway_logs_can_be_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let origin = origin();
    for format in ["combined", "json"] {
        let file = config(folder.path(), "127.0.0.1:0", &origin, SITE);
        let text =
            fs::read_to_string(&file).unwrap().replace("\"combined\"", &format!("{format:?}"));
        let log = format!("{format}.log");
        fs::write(&file, text.replace("\"access.log\"", &format!("{log:?}"))).unwrap();
        let up = Up::start(&file);
        for path in ["/", "/item/7?x=%20y", "/%22quoted"] {
            assert!(get(up.web, path).starts_with("HTTP/1.1 200"));
        }
        up.signal(Signal::INT);
        assert_eq!(up.wait(), 0);
        let target = self::origin();
        let log = folder.path().join(log);
        let (code, run) =
            json_of(&["load", "--from-log", path(&log), "--host", &target.url(), "--speed", "50"]);
        assert!(went_well(code), "{run}");
        assert_eq!((&run["replay"]["parsed"], &run["replay"]["rejected"]), (&3.into(), &0.into()));
        let mut targets: Vec<String> = target.counts_by_target().into_keys().collect();
        targets.sort();
        assert_eq!(targets, ["/", "/%22quoted", "/item/7?x=%20y"], "{format}");
    }
}

#[test]
fn a_reload_takes_all_of_a_good_file_and_nothing_of_a_bad_one() {
    let folder = tempfile::tempdir().unwrap();
    let origin = origin();
    let file = config(folder.path(), "127.0.0.1:0", &origin, SITE);
    let mut up = Up::start(&file);
    assert!(get(up.web, "/new").ends_with("hello"));
    let good = format!(
        "{SITE}[route.new]\nmatch = {{ path = \"/new\" }}\nrespond = {{ status = 418, body = \"tea\" }}\n"
    );
    config(folder.path(), "127.0.0.1:0", &origin, &good);
    up.signal(Signal::HUP);
    wait_for(&mut up.talk, "read again");
    assert!(get(up.web, "/new").starts_with("HTTP/1.1 418"));
    config(folder.path(), "127.0.0.1:0", &origin, "[route.site]\nupstream = \"shup\"\n");
    let refused = post(up.admin, "/reload", "");
    assert!(refused.starts_with("HTTP/1.1 422") && refused.contains("shup"), "{refused}");
    assert!(get(up.web, "/new").starts_with("HTTP/1.1 418"));
    let metrics = get(up.admin, "/metrics");
    for line in ["{result=\"ok\"} 1", "{result=\"failed\"} 0"] {
        assert!(metrics.contains(&format!("tidegate_config_reloads_total{line}")), "{metrics}");
    }
}

#[test]
fn a_new_program_takes_over_without_losing_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let origin = origin();
    // Both programs must mean the same addresses: ports that were free a moment ago.
    let (web, admin) = (free_address(), free_address());
    let file = config(folder.path(), &web, &origin, SITE);
    let text = fs::read_to_string(&file).unwrap().replace("127.0.0.1:0", &admin);
    fs::write(&file, text).unwrap();
    let mut up = Up::start(&file);
    let (done, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let web = up.web;
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (done, asked) = (Arc::clone(&done), Arc::clone(&asked));
            std::thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let answer = get(web, "/");
                    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let more = |than: u64| {
        while asked.load(Ordering::Relaxed) < than + 200 {
            assert!(!clients.iter().any(std::thread::JoinHandle::is_finished), "a request failed");
            std::thread::yield_now();
        }
        asked.load(Ordering::Relaxed)
    };
    let before = more(0);
    up.signal(Signal::USR2);
    // The successor talks through the same pipe.
    wait_for(&mut up.talk, "(web)");
    wait_for(&mut up.talk, "draining");
    let code = up.child.wait().unwrap().code();
    assert_eq!(code, Some(0));
    more(before);
    done.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    assert!(get(up.admin, "/health").starts_with("HTTP/1.1 200"));
    assert!(post(up.admin, "/drain", "").starts_with("HTTP/1.1 2"));
    let mut rest = String::new();
    up.talk.read_to_string(&mut rest).unwrap();
}

#[test]
fn a_configuration_is_checked_and_explained() {
    let folder = tempfile::tempdir().unwrap();
    let origin = origin();
    let more = format!(
        "{SITE}[route.api]\nmatch = {{ host = \"shop.example\", path-prefix = \"/api/\" }}\n\
         upstream = \"shop\"\nrewrite = {{ prefix = \"/api/\", with = \"/v2/\" }}\n\
         rate-limit = {{ key = \"client-ip\", rate = \"100/s\", burst = 200 }}\n"
    );
    let file = config(folder.path(), "127.0.0.1:0", &origin, &more);
    let checked = tidegate(&["config", "check", path(&file)]);
    assert_eq!(checked.code, 0, "{}", checked.stderr);
    assert!(checked.stdout.contains("1 listeners, 2 routes, 1 upstreams"), "{}", checked.stdout);
    let url = "http://shop.example/x/../api/%61?q=1";
    let explained = tidegate(&["config", "explain", path(&file), "get", url]);
    for text in ["`api`", "/api/a", "100 requests/s, 200 at once", "GET /v2/a?q=1"] {
        assert!(explained.stdout.contains(text), "{text} is not in {}", explained.stdout);
    }
    fs::write(&file, "[listen.web]\nadress = \"127.0.0.1:0\"\n").unwrap();
    let checked = tidegate(&["config", "check", path(&file)]);
    assert_eq!(checked.code, 2);
    assert!(checked.stderr.contains("address"), "{}", checked.stderr);
}
