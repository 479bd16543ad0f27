//! The administration address over real sockets, with a gateway that only notes what it is told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use web::{Control, Pending, Purge, PurgeWhat, Refusal, Set};

#[derive(Default)]
struct Fake {
    told: Mutex<Vec<String>>,
    draining: AtomicBool,
    /// A reload begins …
    begun: Notify,
    /// … and ends when it may.
    may_end: Notify,
    ended: Notify,
}

impl Fake {
    fn told(&self, what: String) -> Result<Value, Refusal> {
        self.told.lock().unwrap().push(what);
        Ok(json!({ "done": true }))
    }
}

impl Control for Fake {
    fn metrics(&self) -> String {
        "up 1\n".to_owned()
    }

    fn status(&self) -> Value {
        json!({ "schema": "fake/1" })
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    fn reload(&self) -> Pending<'_> {
        Box::pin(async {
            self.begun.notify_one();
            self.may_end.notified().await;
            let _ = self.told("reload".to_owned());
            self.ended.notify_one();
            Err(Refusal::Invalid("line 3: unknown key \"rotue\"".to_owned()))
        })
    }

    fn purge(&self, purge: &Purge) -> Result<Value, Refusal> {
        match &purge.what {
            PurgeWhat::Tag(tag) if tag == "none" => {
                Err(Refusal::Unavailable("there is no cache".to_owned()))
            }
            _ => self.told(format!("{purge:?}")),
        }
    }

    fn drain(&self) -> Result<Value, Refusal> {
        self.draining.store(true, Ordering::Relaxed);
        self.told("drain".to_owned())
    }

    fn set_server(&self, upstream: &str, server: &str, set: Set) -> Result<Value, Refusal> {
        if upstream == "nobody" {
            return Err(Refusal::NotFound("no upstream `nobody`".to_owned()));
        }
        self.told(format!("{upstream} {server} {set:?}"))
    }
}

struct Served {
    fake: Arc<Fake>,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Served {
    fn start(listen: &str, token: Option<&str>) -> Served {
        let listener = std::net::TcpListener::bind(listen).unwrap();
        let address =
            SocketAddr::new("127.0.0.1".parse().unwrap(), listener.local_addr().unwrap().port());
        let fake = Arc::new(Fake::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let control = Arc::clone(&fake) as Arc<dyn Control>;
        let token = token.map(str::to_owned);
        let task = tokio::spawn(web::serve(listener, token, control, async {
            let _ = stopped.await;
        }));
        Served { fake, address, stop, task }
    }

    async fn connect(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    /// Sends text; the whole answer, to the end of the connection.
    async fn raw(&self, text: &str) -> String {
        let mut answer = String::new();
        self.connect(text).await.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Status and body.
    async fn ask(&self, line: &str, fields: &str, body: &str) -> (u16, String) {
        let head = format!(
            "{line} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n{fields}\r\n{body}",
            self.address,
            body.len()
        );
        let answer = self.raw(&head).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    async fn stop(self) -> Vec<String> {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
        let told = self.fake.told.lock().unwrap();
        told.clone()
    }
}

fn error(body: &str) -> String {
    serde_json::from_str::<Value>(body).unwrap()["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn reading() {
    let served = Served::start("127.0.0.1:0", Some("secret"));
    assert_eq!(served.ask("GET /metrics", "", "").await, (200, "up 1\n".to_owned()));
    assert_eq!(
        served.ask("GET /status", "", "").await,
        (200, "{\"schema\":\"fake/1\"}\n".to_owned())
    );
    assert_eq!(served.ask("GET /health", "", "").await.0, 200);
    served.fake.draining.store(true, Ordering::Relaxed);
    assert_eq!(served.ask("GET /health", "", "").await.0, 503);
    let page = served.raw("GET /metrics HTTP/1.1\r\nHost: any.example\r\n\r\n").await;
    for field in
        ["content-type: text/plain; version=0.0.4", "cache-control: no-store", "connection: close"]
    {
        assert!(page.contains(field), "{page}");
    }
    let head = served.raw("HEAD /metrics HTTP/1.1\r\nHost: any.example\r\n\r\n").await;
    assert!(head.ends_with("\r\n\r\n") && head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(served.stop().await, Vec::<String>::new());
}

#[tokio::test]
async fn changing() {
    let served = Served::start("127.0.0.1:0", None);
    for (line, body, status) in [
        ("POST /purge", r#"{"url":"http://shop.example/a?b","soft":true}"#, 200),
        ("POST /purge", r#"{"tag":"none"}"#, 503),
        ("POST /purge", r#"{"what":1}"#, 400),
        ("POST /purge", "[]", 400),
        ("POST /purge", "", 400),
        ("POST /upstreams/shop/servers/127.0.0.1:9001", r#"{"state":"drain"}"#, 200),
        ("POST /upstreams/a%20b/servers/unix:%2Frun%2Fx.sock", r#"{"weight":7}"#, 200),
        ("POST /upstreams/nobody/servers/x", r#"{"state":"up"}"#, 404),
        ("POST /upstreams/shop/servers/x", r#"{"state":"off"}"#, 400),
        ("POST /drain", "", 200),
        ("POST /nothing", "", 404),
        ("GET /drain", "", 405),
        ("POST /metrics", "", 405),
    ] {
        let (answered, text) = served.ask(line, "", body).await;
        assert_eq!(answered, status, "{line} {body}: {text}");
        assert!(status == 200 || !error(&text).is_empty());
    }
    let told = served.stop().await;
    assert_eq!(
        told,
        [
            "Purge { what: Url(\"http://shop.example/a?b\"), soft: true }",
            "shop 127.0.0.1:9001 Drain",
            "a b unix:/run/x.sock Weight(7)",
            "drain",
        ]
    );
}

#[tokio::test]
async fn changes_need_the_token_or_the_same_machine() {
    let served = Served::start("0.0.0.0:0", Some("secret"));
    assert_eq!(served.ask("POST /drain", "", "").await.0, 401);
    assert_eq!(served.ask("POST /drain", "Authorization: Bearer wrong\r\n", "").await.0, 401);
    assert_eq!(served.ask("POST /drain", "Authorization: Bearer secret\r\n", "").await.0, 200);
    assert_eq!(served.stop().await, ["drain"]);

    let served = Served::start("0.0.0.0:0", None);
    let (status, body) = served.ask("POST /drain", "", "").await;
    assert_eq!(status, 403);
    assert!(error(&body).contains("token"), "{body}");
    assert_eq!(served.stop().await, Vec::<String>::new());

    let served = Served::start("127.0.0.1:0", None);
    assert_eq!(served.ask("POST /drain", "Origin: https://evil.example\r\n", "").await.0, 403);
    assert_eq!(served.ask("POST /drain", "Sec-Fetch-Site: cross-site\r\n", "").await.0, 403);
    let rebound = "POST /drain HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n\r\n";
    assert!(served.raw(rebound).await.starts_with("HTTP/1.1 403"));
    assert_eq!(served.stop().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_reload_goes_on_without_its_client_and_tells_the_next_one_what_is_wrong() {
    let served = Served::start("127.0.0.1:0", None);
    let ask = "POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    let stream = served.connect(ask).await;
    served.fake.begun.notified().await;
    drop(stream);
    served.fake.may_end.notify_one();
    served.fake.ended.notified().await;

    served.fake.may_end.notify_one();
    let (status, body) = served.ask("POST /reload", "", "").await;
    assert_eq!((status, error(&body).as_str()), (422, "line 3: unknown key \"rotue\""));
    assert_eq!(served.stop().await, ["reload", "reload"]);
}

#[tokio::test]
async fn what_is_too_large_or_malformed_is_refused() {
    let served = Served::start("127.0.0.1:0", None);
    let (status, body) = served.ask("POST /purge", "", &" ".repeat(20_000)).await;
    assert_eq!((status, error(&body).contains("larger")), (400, true));
    let long =
        format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(15_000));
    assert!(served.raw(&long).await.starts_with("HTTP/1.1 200"));
    let fields = "X: y\r\n".repeat(100);
    let many = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    assert!(served.raw(&many).await.starts_with("HTTP/1.1 431"));
    assert!(served.raw("nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400"));
    served.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_cut_and_its_place_is_free_again() {
    let served = Served::start("127.0.0.1:0", None);
    // More than there are places: the last ones are served once the first ones are cut.
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(served.connect("GET /metrics HTTP/1.1\r\n").await);
    }
    assert_eq!(served.ask("GET /health", "", "").await.0, 200);
    drop(silent);
    served.stop().await;
}
