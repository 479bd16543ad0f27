//! A service on a real socket with the real store, and what a test asks of it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use experiment::event::UnixMicros;
use experiment::ledger::{Definition, Journal, Metric, MetricSums};
use experiment::live::params::ServiceParams;
use experiment::live::{Keeper, Kept, Live, Signer, secret_of};
use experiment::model::ExperimentSet;
use serde_json::{Value, json};
use store::{Events, Options};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) fn clock() -> UnixMicros {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_micros() as UnixMicros
}

struct Nothing;

impl Keeper for Nothing {
    fn keep(&self, _: &[Kept]) -> Result<(), String> {
        Ok(())
    }
    fn each(&self, _: &mut dyn FnMut(&Kept)) -> Result<(), String> {
        Ok(())
    }
}

/// `checkout` for OpenFeature and ourselves, `banner` for GrowthBook's clients, `draft` for nobody.
pub(crate) fn set() -> ExperimentSet {
    serde_json::from_value(json!({ "experiments": [
        {
            "key": "checkout", "status": "running", "unit": {"device": {"cookie": "uid"}},
            "variants": [{"key": "control"}, {"key": "new", "actions": [{"value": 1.0}]}],
            "phases": [{"since": 0, "weights": [1, 1]}],
        },
        {
            "key": "banner", "status": "running", "hash": "growthbook-2",
            "unit": {"user": {"claim": "id"}, "identity": "user"},
            "variants": [{"key": "off"}, {"key": "on"}],
            "phases": [{"since": 0, "weights": [1, 1]}],
            "targeting": {"match": {"field": "attribute:plan", "is": {"eq": "pro"}}},
        },
        {
            "key": "draft", "status": "draft", "unit": {"device": {"cookie": "uid"}},
            "variants": [{"key": "a"}, {"key": "b"}],
            "phases": [{"since": 0, "weights": [1, 1]}],
        },
    ] }))
    .unwrap()
}

pub(crate) fn definitions() -> Vec<Definition> {
    let metric = json!({ "name": "purchases", "kind": {"count": {"event": "purchase"}},
        "window-us": 86_400_000_000_i64 });
    let metric: Metric = serde_json::from_value(metric).unwrap();
    set().experiments.iter().map(|each| Definition::new(each, vec![metric.clone()])).collect()
}

pub(crate) struct Served {
    pub(crate) live: Arc<Live>,
    pub(crate) events: Arc<Events>,
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

/// Status, head and body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{} {}", self.status, self.body))
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Served {
    pub(crate) async fn start(folder: &Path, change: impl FnOnce(&mut ServiceParams)) -> Served {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut params = ServiceParams::new(address, folder.to_owned());
        change(&mut params);
        let events = Arc::new(Events::open(folder, Options::default()).unwrap());
        let journal = Arc::clone(&events) as Arc<dyn Journal>;
        let signer = Signer::new(&secret_of("tests"));
        let content = (set(), &definitions()[..]);
        let store = (journal, Arc::new(Nothing) as Arc<dyn Keeper>);
        let live = Live::start(store, signer, params.limits, content, clock).unwrap();
        let live = Arc::new(live);
        let (stop, stopped) = oneshot::channel::<()>();
        let control = store::SqliteControl::open(&folder.join("control.sqlite")).unwrap();
        let results = Arc::clone(&events) as Arc<dyn experiment::ledger::Results>;
        let operator = experiment::automation::Operator::new(
            Arc::new(control),
            results,
            Some(Arc::clone(&live)),
        );
        let service = (Arc::clone(&live), Arc::new(operator));
        let task = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            web::serve_experiments(listener, service, &params, stopped).await
        });
        Served { live, events, address, stop, task }
    }

    pub(crate) async fn raw(&self, text: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
        Answer {
            status: head[9..12].parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    pub(crate) async fn ask(&self, line: &str, fields: &str, body: &str) -> Answer {
        let head = format!(
            "{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{fields}\r\n{body}",
            self.address,
            body.len()
        );
        self.raw(head.as_bytes()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(&format!("POST {path}"), "", &body.to_string()).await
    }

    /// Exposed units, purchases and quarantined units of `checkout`.
    pub(crate) fn counted(&self) -> (u64, i128, u64) {
        let summary = self.events.read(|ledger| ledger.summary("checkout")).unwrap();
        let units = summary.arms.iter().map(|arm| arm.units).sum();
        let purchases =
            summary.arms.iter().flat_map(|arm| &arm.metrics).map(|metric| match metric {
                MetricSums::Single(sums) => sums.sums[0],
                _ => 0,
            });
        (units, purchases.sum(), summary.quarantined)
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
        self.live.stop();
    }
}

pub(crate) const UNIT: &str = "user-1";

pub(crate) async fn variant_of(served: &Served, unit: &str) -> String {
    let question = &json!({ "unit": unit, "experiments": ["checkout"] });
    served.post("/v1/decide", question).await.json()["decisions"][0]["variant"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Opens a stream; over when its head has come.
pub(crate) async fn listen(served: &Served, line: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let head = format!("{line} HTTP/1.1\r\nHost: {}\r\n\r\n", served.address);
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    assert!(line.contains("200"), "{line}");
    until(&mut stream, "\r\n").await;
    stream
}

pub(crate) async fn until(stream: &mut BufReader<TcpStream>, wanted: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).await.unwrap() > 0, "no {wanted}");
        if line == wanted || (wanted != "\r\n" && line.contains(wanted)) {
            return line;
        }
    }
}
