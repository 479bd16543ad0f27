//! `tidegate plan serve` as KEDA meets it: JSON over HTTP, and an external scaler over gRPC.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Stdio};
use std::time::Duration;

use hyper::http::uri::PathAndQuery;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use testkit::origin::{Behaviour, Origin, OriginConfig, Response};
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use crate::command::{command, path, tidegate};
use crate::plan::office_csv;

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, PartialEq, prost::Message)]
struct ScaledObjectRef {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    namespace: String,
    #[prost(map = "string, string", tag = "3")]
    scaler_metadata: HashMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct IsActiveResponse {
    #[prost(bool, tag = "1")]
    result: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct GetMetricSpecResponse {
    #[prost(message, repeated, tag = "1")]
    metric_specs: Vec<Metric>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct GetMetricsRequest {
    #[prost(message, optional, tag = "1")]
    scaled_object_ref: Option<ScaledObjectRef>,
    #[prost(string, tag = "2")]
    metric_name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct GetMetricsResponse {
    #[prost(message, repeated, tag = "1")]
    metric_values: Vec<Metric>,
}

/// `MetricSpec` and `MetricValue` have the same shape.
#[derive(Clone, PartialEq, prost::Message)]
struct Metric {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int64, tag = "2")]
    whole: i64,
    #[prost(double, tag = "3")]
    float: f64,
}

/// A plan that asks for two instances at all times, and for more when there is load.
fn plan_file() -> (TempDir, PathBuf) {
    let (folder, counts) = office_csv(9);
    let file = folder.path().join("plan.json");
    let ran = tidegate(&[
        "plan",
        path(&counts),
        "--capacity",
        "50/s",
        "--boot",
        "2m",
        "--controllers",
        "keda",
        "--timezone",
        "UTC",
        "--min",
        "2",
        "--json",
        path(&file),
    ]);
    assert!(matches!(ran.code, 0 | 1), "{}", ran.stderr);
    // The time of the test must not matter: no window, and a known target.
    let mut plan: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    plan["recommended"]["controller"] = "keda".into();
    let parameters = &mut plan["recommended"]["parameters"];
    parameters["windows"] = serde_json::json!([]);
    parameters["min"] = 2.into();
    parameters["max"] = 60.into();
    parameters["target-rate-per-instance"] = 35.0.into();
    fs::write(&file, plan.to_string()).unwrap();
    (folder, file)
}

struct Serving {
    child: Child,
    talk: BufReader<ChildStderr>,
    web: SocketAddr,
    grpc: SocketAddr,
}

impl Serving {
    fn start(plan: &Path, more: &[&str]) -> Serving {
        let flags = [
            "plan",
            "serve",
            "--plan",
            path(plan),
            "--listen",
            "127.0.0.1:0",
            "--grpc",
            "127.0.0.1:0",
        ];
        let mut child = command(&[&flags[..], more].concat())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut talk = BufReader::new(child.stderr.take().unwrap());
        let mut address = |name: &str| {
            let mut line = String::new();
            assert!(talk.read_line(&mut line).unwrap() > 0, "it ended");
            assert!(line.contains(name), "{line}");
            line.split_whitespace().find_map(|word| word.parse().ok()).unwrap()
        };
        let (web, grpc) = (address("(http)"), address("(grpc)"));
        Serving { child, talk, web, grpc }
    }

    /// One request; its status and JSON.
    fn ask(&self, method: &str, target: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.web).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let status = text.split(' ').nth(1).unwrap().parse().unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        (status, serde_json::from_str(body).unwrap())
    }

    fn get(&self) -> Value {
        self.ask("GET", "/", "").1
    }

    /// Ends it as an operator does; its exit code, and what it wrote to stdout.
    fn end(mut self) -> (i32, String) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let mut rest = String::new();
        self.talk.read_to_string(&mut rest).unwrap();
        let mut stdout = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        let code = self.child.wait().unwrap().code();
        (code.unwrap_or_else(|| panic!("ended by a signal:\n{rest}")), stdout)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Ended already, most of the time.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// KEDA's side of the external scaler.
struct Keda {
    grpc: tonic::client::Grpc<Channel>,
}

impl Keda {
    async fn connect(address: SocketAddr) -> Keda {
        let endpoint =
            Endpoint::from_shared(format!("http://{address}")).unwrap().timeout(PATIENCE);
        Keda { grpc: tonic::client::Grpc::new(endpoint.connect().await.unwrap()) }
    }

    async fn call<Q, A>(&mut self, name: &'static str, message: Q) -> Result<A, tonic::Status>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        self.grpc.ready().await.unwrap();
        let path = PathAndQuery::from_static(name);
        let request = tonic::Request::new(message);
        let answer = self.grpc.unary(request, path, ProstCodec::<Q, A>::default()).await?;
        Ok(answer.into_inner())
    }

    async fn value(&mut self) -> Metric {
        let asked = GetMetricsRequest {
            scaled_object_ref: Some(object()),
            metric_name: "tidegate-instances".to_owned(),
        };
        let path = "/externalscaler.ExternalScaler/GetMetrics";
        let answer: GetMetricsResponse = self.call(path, asked).await.unwrap();
        answer.metric_values[0].clone()
    }

    async fn is_active(&mut self) -> bool {
        let path = "/externalscaler.ExternalScaler/IsActive";
        let answer: IsActiveResponse = self.call(path, object()).await.unwrap();
        answer.result
    }
}

fn object() -> ScaledObjectRef {
    let metadata = HashMap::from([("scalerAddress".to_owned(), "tidegate:8091".to_owned())]);
    ScaledObjectRef {
        name: "web".to_owned(),
        namespace: "default".to_owned(),
        scaler_metadata: metadata,
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn keda_is_told_the_larger_of_load_and_floor() {
    let (folder, plan) = plan_file();
    let record = folder.path().join("decisions.jsonl");
    let serving = Serving::start(&plan, &["--record", path(&record)]);
    let before = serving.get();
    assert_eq!((&before["instances"], &before["floor"]), (&2.into(), &2.into()), "{before}");
    assert_eq!((&before["reactive"], &before["controller"]), (&Value::Null, &"keda".into()));
    // The first measurement is answered at once: four instances more, as HPA allows in 15 s.
    let (status, after) = serving.ask("POST", "/load", r#"{"rate": 700}"#);
    assert_eq!(
        (status, &after["instances"], &after["seen"]),
        (200, &6.into(), &700.0.into()),
        "{after}"
    );
    assert_eq!(serving.ask("POST", "/load", "many").0, 400);
    assert_eq!(serving.ask("DELETE", "/load", "").0, 405);
    assert_eq!(serving.ask("GET", "/nowhere", "").0, 404);
    assert_eq!(serving.ask("GET", "/healthz", "").0, 200);

    let spec = "/externalscaler.ExternalScaler/GetMetricSpec";
    let (address, told) = (serving.grpc, serving.get()["instances"].as_i64().unwrap());
    block_on(async {
        let mut keda = Keda::connect(address).await;
        assert!(keda.is_active().await);
        let specs: GetMetricSpecResponse = keda.call(spec, object()).await.unwrap();
        let metric = |value: i64| Metric {
            name: "tidegate-instances".to_owned(),
            whole: value,
            float: value as f64,
        };
        assert_eq!(specs.metric_specs, [metric(1)]);
        assert!(keda.value().await.whole >= told);
        let path = "/externalscaler.ExternalScaler/StreamMetricSpec";
        let missing = keda.call::<_, GetMetricSpecResponse>(path, object()).await.unwrap_err();
        assert_eq!(missing.code(), tonic::Code::Unimplemented);
    });
    assert_eq!(serving.end().0, 0);
    let lines = fs::read_to_string(&record).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["wanted"], &lines[0]["seen"]), (&2.into(), &Value::Null));
    assert!(lines.iter().any(|line| line["wanted"] == 6 && line["seen"] == 700.0), "{lines:?}");
    assert!(lines.iter().all(|line| line["floor"] == 2 && line["time"].is_string()));
}

/// A stream tells at once, and ends with the program instead of holding it up.
#[test]
fn a_stream_ends_when_the_program_does() {
    let (_folder, plan) = plan_file();
    let serving = Serving::start(&plan, &[]);
    let address = serving.grpc;
    block_on(async {
        let mut keda = Keda::connect(address).await;
        keda.grpc.ready().await.unwrap();
        let path = PathAndQuery::from_static("/externalscaler.ExternalScaler/StreamIsActive");
        let codec = ProstCodec::<ScaledObjectRef, IsActiveResponse>::default();
        let request = tonic::Request::new(object());
        let mut stream =
            keda.grpc.server_streaming(request, path, codec).await.unwrap().into_inner();
        assert_eq!(stream.message().await.unwrap(), Some(IsActiveResponse { result: true }));
        let ended = tokio::task::spawn_blocking(move || serving.end());
        assert_eq!(stream.message().await.unwrap(), None);
        assert_eq!(ended.await.unwrap().0, 0);
    });
}

#[test]
fn a_shadow_tells_nothing_and_records_all() {
    let (_folder, plan) = plan_file();
    let serving = Serving::start(&plan, &["--shadow"]);
    let (_, told) = serving.ask("POST", "/load", r#"{"rate": 700}"#);
    assert_eq!(
        (&told["instances"], &told["wanted"], &told["shadow"]),
        (&0.into(), &6.into(), &true.into())
    );
    let address = serving.grpc;
    block_on(async {
        let mut keda = Keda::connect(address).await;
        assert!(!keda.is_active().await);
        assert_eq!(keda.value().await.whole, 0);
    });
    let (code, stdout) = serving.end();
    assert_eq!(code, 0);
    let wanted: Vec<Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(wanted.iter().any(|line| line["wanted"] == 6), "{stdout}");
}

#[test]
fn the_load_is_fetched_from_prometheus() {
    let page = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"700"]}]}}"#;
    let response = Response { body: page.into(), ..Response::default() };
    let origin = Origin::start(OriginConfig::new(Behaviour::Respond(response))).unwrap();
    let (_folder, plan) = plan_file();
    let mut serving = Serving::start(&plan, &["--load-url", &origin.url(), "--shadow"]);
    // The first decision knows no load, the second what was fetched.
    let mut lines = BufReader::new(serving.child.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["seen"], Value::Null);
    let told = next();
    assert_eq!((&told["seen"], &told["reactive"]), (&700.0.into(), &6.into()), "{told}");
}

#[test]
fn what_is_no_plan_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plan.json");
    let serve = |text: &str| {
        fs::write(&file, text).unwrap();
        tidegate(&[
            "plan",
            "serve",
            "--plan",
            path(&file),
            "--listen",
            "127.0.0.1:0",
            "--grpc",
            "127.0.0.1:0",
        ])
    };
    for (text, reason) in [
        ("", "tidegate plan --json"),
        ("{}", "tidegate plan --json"),
        (r#"{"schema":"tidegate.plan/1","refused":"too short"}"#, "too short"),
    ] {
        let ran = serve(text);
        assert_eq!(ran.code, 2, "{text}: {}", ran.stderr);
        assert!(ran.stderr.contains(reason), "{text}: {}", ran.stderr);
    }
    assert_eq!(tidegate(&["plan", "serve", "--plan", "missing.json"]).code, 3);
    assert_eq!(tidegate(&["plan", "serve"]).code, 2);
    let https = ["plan", "serve", "--plan", path(&file), "--load-url", "https://prometheus/"];
    assert_eq!(tidegate(&https).code, 2);
}
