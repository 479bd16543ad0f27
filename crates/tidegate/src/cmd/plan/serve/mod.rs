//! `tidegate plan serve`: a plan's instances of the moment, for KEDA.

mod grpc;
mod http;
mod live;
mod load;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use hyper::Uri;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use plan::choose::{Answer, Kind};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};

use super::cannot_read;
use crate::exit::{Exit, Failed};
use live::{Advice, Live};

/// Most connections at a time, of both addresses together; more are closed at once.
const CONNECTIONS_MAX: usize = 256;
/// Most calls at a time on a connection.
const STREAMS_MAX: u32 = 64;
/// How long a client may take for a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long answers under way may take at the end.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// Pause after a connection could not be accepted, as when there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Tell a plan's instances of the moment to KEDA
#[derive(Debug, Args)]
#[command(after_help = "KEDA:\n  \
    metrics-api   url: http://HOST:8090/, valueLocation: instances, targetValue: \"1\"\n  \
    external      scalerAddress: HOST:8091\n\n\
    Tell it the load with --load-url, or with: curl -d '{\"rate\": 120}' http://HOST:8090/load\n\
    Without, it tells the floor of the schedule alone.")]
pub(crate) struct ServeArgs {
    /// The plan, as `tidegate plan --json` wrote it
    #[arg(long, value_name = "FILE")]
    plan: PathBuf,
    /// Where to answer over HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Where to answer over gRPC
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8091")]
    grpc: SocketAddr,
    /// A page that tells the requests per second: a number, {"rate": N}, or a query of Prometheus
    #[arg(long, value_name = "URL", value_parser = load::page)]
    load_url: Option<Uri>,
    /// Tell 0 instances, and only record what would have been told
    #[arg(long)]
    shadow: bool,
    /// Append every decision to this file, a line of JSON each; with --shadow stdout by default
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

/// What all connections see.
struct Shared {
    state: Mutex<State>,
    /// What is told to KEDA; `None` at the end.
    told: watch::Sender<Option<u32>>,
    kind: Kind,
    is_shadow: bool,
}

struct State {
    live: Live,
    advice: Advice,
    record: Option<Box<dyn Write + Send>>,
    /// Why the record could not be written, the first time.
    problem: Option<io::Error>,
}

impl Shared {
    fn new(
        mut live: Live,
        record: Option<Box<dyn Write + Send>>,
        is_shadow: bool,
        now_s: f64,
    ) -> Self {
        let kind = live.kind();
        let advice = live.decide(now_s);
        let shared = Shared {
            state: Mutex::new(State { live, advice, record, problem: None }),
            told: watch::Sender::new(Some(0)),
            kind,
            is_shadow,
        };
        shared.settle(advice);
        shared
    }

    /// Decides.
    fn tick(&self, now_s: f64) {
        let advice = self.with(|state| state.live.decide(now_s));
        self.settle(advice);
    }

    /// Takes a measurement. The first is decided on at once.
    fn measured(&self, now_s: f64, rate: f64) {
        let first = self.with(|state| {
            state.live.measured(now_s, rate);
            state.advice.reactive.is_none().then(|| state.live.decide(now_s))
        });
        if let Some(advice) = first {
            self.settle(advice);
        }
    }

    /// Keeps, records and tells a decision.
    fn settle(&self, advice: Advice) {
        self.with(|state| {
            state.advice = advice;
            let line = json!({
                "time": timestamp(advice.time_s),
                "seen": advice.seen,
                "reactive": advice.reactive,
                "floor": advice.floor,
                "wanted": advice.wanted,
            });
            if let Some(record) = &mut state.record
                && let Err(error) = writeln!(record, "{line}").and_then(|()| record.flush())
            {
                state.problem.get_or_insert(error);
            }
        });
        let told = if self.is_shadow { 0 } else { advice.wanted };
        self.told.send_if_modified(|now| {
            now.is_some_and(|now| now != told) && now.replace(told).is_some()
        });
    }

    fn advice(&self) -> Advice {
        self.with(|state| state.advice)
    }

    /// Instances that KEDA is told.
    fn told(&self) -> u32 {
        if self.is_shadow { 0 } else { self.advice().wanted }
    }

    fn watch(&self) -> watch::Receiver<Option<u32>> {
        self.told.subscribe()
    }

    fn period(&self) -> Duration {
        Duration::from_secs_f64(self.with(|state| state.live.period_s()).max(1.0))
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut State) -> T) -> T {
        use_it(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(super) fn run(args: &ServeArgs) -> Result<Exit, Failed> {
    let answer = read_plan(args)?;
    let live = Live::new(&answer).map_err(Failed::usage)?;
    let record = record_of(args)?;
    let bound = |address: SocketAddr| {
        let socket = TcpListener::bind(address);
        socket.map_err(|error| Failed {
            exit: Exit::Environment,
            message: format!("error: cannot listen on {address}: {error}"),
        })
    };
    let (web, grpc) = (bound(args.listen)?, bound(args.grpc)?);
    let shared = Arc::new(Shared::new(live, record, args.shadow, now_s()));
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| {
            runtime.block_on(serve(Arc::clone(&shared), web, grpc, args.load_url.as_ref()))
        })
        .map_err(|error| Failed::environment(&error))?;
    match shared.with(|state| state.problem.take()) {
        None => Ok(Exit::Ok),
        Some(error) => Err(Failed {
            exit: Exit::Environment,
            message: format!("error: not all decisions were recorded: {error}"),
        }),
    }
}

fn read_plan(args: &ServeArgs) -> Result<Answer, Failed> {
    let text =
        std::fs::read_to_string(&args.plan).map_err(|error| cannot_read(&args.plan, &error))?;
    let wrong = |what: &dyn std::fmt::Display| {
        Failed::usage(format!(
            "{}: {what}; it takes what `tidegate plan --json` wrote",
            args.plan.display()
        ))
    };
    let json: Value = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
    if let Some(reason) = json["refused"].as_str() {
        return Err(wrong(&format!("this plan recommends nothing ({reason})")));
    }
    serde_json::from_value(json).map_err(|error| wrong(&error))
}

fn record_of(args: &ServeArgs) -> Result<Option<Box<dyn Write + Send>>, Failed> {
    let Some(path) = &args.record else {
        return Ok(args.shadow.then(|| Box::new(io::stdout()) as Box<dyn Write + Send>));
    };
    let file: io::Result<File> = OpenOptions::new().append(true).create(true).open(path);
    file.map(|file| Some(Box::new(file) as Box<dyn Write + Send>)).map_err(|error| Failed {
        exit: Exit::Environment,
        message: format!("error: cannot write {}: {error}", path.display()),
    })
}

/// Decides and answers until a signal, then lets answers under way finish.
async fn serve(
    shared: Arc<Shared>,
    web: TcpListener,
    grpc: TcpListener,
    load_url: Option<&Uri>,
) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (web, grpc) = (listener(web)?, listener(grpc)?);
    eprintln!("listening on {} (http)", web.local_addr()?);
    eprintln!("listening on {} (grpc)", grpc.local_addr()?);
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = tokio::task::JoinSet::new();
    let decisions = decide(&shared, load_url);
    tokio::pin!(decisions);
    loop {
        let (stream, is_grpc) = tokio::select! {
            () = &mut decisions => break,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            Some(_) = connections.join_next() => continue,
            accepted = web.accept() => (accepted, false),
            accepted = grpc.accept() => (accepted, true),
        };
        let Ok((stream, _)) = stream else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else { continue };
        let connection = connection(Arc::clone(&shared), stream, is_grpc, graceful.watcher());
        connections.spawn(async move {
            connection.await;
            drop(permit);
        });
    }
    drop((web, grpc));
    // Ends the streams, which would never end by themselves.
    shared.told.send_replace(None);
    let drained = tokio::time::timeout(DRAIN_MAX, graceful.shutdown()).await;
    if drained.is_err() {
        eprintln!("some clients did not finish in {DRAIN_MAX:?} and were cut off");
    }
    connections.shutdown().await;
    Ok(())
}

fn listener(socket: TcpListener) -> io::Result<tokio::net::TcpListener> {
    socket.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(socket)
}

/// Serves one connection. What a client does wrong ends its connection and nothing else.
async fn connection(
    shared: Arc<Shared>,
    stream: TcpStream,
    is_grpc: bool,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let io = TokioIo::new(stream);
    if is_grpc {
        let service = service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move { Ok::<_, std::convert::Infallible>(grpc::answer(shared, request).await) }
        });
        let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .serve_connection(io, service);
        let _ = watcher.watch(served).await;
    } else {
        let service = service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move { Ok::<_, std::convert::Infallible>(http::answer(shared, request).await) }
        });
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(io, service);
        let _ = watcher.watch(served).await;
    }
}

/// Measures, where there is a page to ask, and decides, once in every period.
async fn decide(shared: &Shared, load_url: Option<&Uri>) {
    let mut ticks = tokio::time::interval(shared.period());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut is_failing = false;
    loop {
        ticks.tick().await;
        if let Some(uri) = load_url {
            match load::fetch(uri).await {
                Ok(rate) => {
                    shared.with(|state| state.live.measured(now_s(), rate));
                    is_failing = false;
                }
                Err(error) if !is_failing => {
                    eprintln!("warning: {uri}: {error}; the last answer to the load holds");
                    is_failing = true;
                }
                Err(_) => {}
            }
        }
        shared.tick(now_s());
    }
}

/// Seconds since the Unix epoch.
fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// RFC 3339, to the second.
fn timestamp(time_s: f64) -> String {
    jiff::Timestamp::from_second(time_s as i64).map(|time| time.to_string()).unwrap_or_default()
}
