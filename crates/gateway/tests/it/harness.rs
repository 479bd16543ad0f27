//! A gateway on a port that the system chooses, and a client that says exactly what it is told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use gateway::params::*;
use gateway::{FailureKind, Gateway};
use testkit::origin::{Behaviour, Origin, OriginConfig};
use traffic::{Rate, Ratio};

/// How long a client waits for bytes before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Parameters with one listener, and one route `/` to an upstream of these servers.
pub(crate) fn params(servers: &[SocketAddr]) -> GatewayParams {
    GatewayParams {
        workers: 1,
        listeners: vec![listener("web")],
        upstreams: vec![upstream("shop", servers)],
        routes: vec![route("site", Action::Forward(vec![(0, 1)]))],
        access_log: None,
        admin: None,
        limits: limits(),
        trusted_proxies: Vec::new(),
        forwarding: Forwarding {
            x_forwarded: true,
            forwarded: false,
            via: Some("tidegate".to_owned()),
            request_id: Some("x-request-id".to_owned()),
            server: Some("tidegate".to_owned()),
        },
        drain: Duration::from_secs(5),
    }
}

pub(crate) fn listener(name: &str) -> Listener {
    Listener {
        name: name.to_owned(),
        address: ([127, 0, 0, 1], 0).into(),
        tls: None,
        http2: true,
        proxy_protocol: false,
        redirect_https: None,
    }
}

pub(crate) fn upstream(name: &str, servers: &[SocketAddr]) -> Upstream {
    let servers = servers
        .iter()
        .map(|address| Server { address: ServerAddress::Socket(*address), weight: 1, tier: 0 })
        .collect();
    let servers = Servers {
        servers,
        balance: Balance::RoundRobin,
        slow_start: Duration::ZERO,
        sticky: None,
        health: None,
        breaker: None,
        ejection: None,
        retry: Retry {
            attempts: 1,
            on: vec![RetryOn::Connect, RetryOn::Reset],
            budget: Ratio::new(0.2).unwrap(),
            budget_floor: Rate::per_s(1_000.0).unwrap(),
            per_try: None,
            backoff: Duration::from_millis(1),
            backoff_max: Duration::from_millis(100),
            non_idempotent: false,
            body_max: 64 << 10,
        },
        hedge: None,
        limits: UpstreamLimits {
            connections: 1_024,
            pending: 1_024,
            pending_timeout: Duration::from_secs(1),
        },
        adaptive: None,
        protocol: UpstreamProtocol::Http1,
        tls: None,
        proxy_protocol: None,
        idle: Duration::from_secs(30),
        idle_max: 64,
        host: HostHeader::Client,
        connect_timeout: Duration::from_secs(2),
    };
    Upstream { name: name.to_owned(), kind: UpstreamKind::Servers(Box::new(servers)) }
}

/// The servers of an upstream, to be changed.
pub(crate) fn servers(upstream: &mut Upstream) -> &mut Servers {
    match &mut upstream.kind {
        UpstreamKind::Servers(servers) => servers,
        UpstreamKind::Files(_) => panic!("a folder has no servers"),
    }
}

pub(crate) fn route(name: &str, action: Action) -> Route {
    Route {
        name: name.to_owned(),
        matches: Match::default(),
        access: Access::default(),
        rate_limits: Vec::new(),
        concurrency: None,
        cors: None,
        action,
        rewrite: None,
        request_fields: FieldEdits::default(),
        response_fields: FieldEdits::default(),
        cache: None,
        compression: None,
        mirror: None,
        timeouts: Timeouts {
            total: None,
            response: Duration::from_secs(10),
            idle: Duration::from_secs(10),
        },
        body_max: 1 << 20,
        error_pages: Vec::new(),
        upgrades: true,
    }
}

pub(crate) fn limits() -> ClientLimits {
    ClientLimits {
        connections: 1_000,
        connections_per_ip: 0,
        request_line: 8 << 10,
        header_count: 100,
        header_bytes: 32 << 10,
        header_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(10),
        body_rate_min: 100,
        keep_alive: Duration::from_secs(30),
        send_timeout: Duration::from_secs(10),
        requests: u64::MAX,
        streams: 100,
        resets: 20,
    }
}

/// A gateway and where it listens.
pub(crate) struct Running {
    pub(crate) gateway: Gateway,
    pub(crate) address: SocketAddr,
}

pub(crate) fn start(params: GatewayParams) -> Running {
    Running::of(Gateway::start(params, Vec::new()).unwrap())
}

impl Running {
    pub(crate) fn of(gateway: Gateway) -> Running {
        let address = gateway.addresses()[0].1;
        Running { gateway, address }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// The value of a metric, by its name and labels as they are written; 0 when it is not there.
    pub(crate) fn metric(&self, sample: &str) -> f64 {
        let text = self.gateway.metrics();
        let value = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    /// How many requests failed in this way.
    pub(crate) fn failures(&self, kind: FailureKind) -> f64 {
        let (owner, label) = (kind.owner().as_str(), kind.label());
        self.metric(&format!("tidegate_failures_total{{owner=\"{owner}\",kind=\"{label}\"}}"))
    }

    /// Waits until something holds, which happens without any client learning of it.
    pub(crate) fn wait_until(&self, what: &str, holds: impl Fn(&Running) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            assert!(start.elapsed() < PATIENCE, "never: {what}\n{}", self.gateway.metrics());
            std::thread::yield_now();
        }
    }

    /// Waits until no request is in flight towards any server: nothing was forgotten.
    pub(crate) fn wait_until_idle(&self) {
        self.wait_until("no request in flight", |running| {
            let text = running.gateway.metrics();
            let mut in_flight =
                text.lines().filter(|line| line.starts_with("tidegate_server_in_flight{"));
            in_flight.all(|line| line.ends_with(" 0"))
        });
    }
}

pub(crate) fn origin(behaviour: Behaviour) -> Origin {
    Origin::start(OriginConfig::new(behaviour)).unwrap()
}

pub(crate) fn echo() -> Origin {
    origin(Behaviour::Echo)
}

/// A response, as far as tests look at it.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The value of a field, by its lower-case name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A connection of a client.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, read: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends, unless the gateway has closed the connection.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// A GET without a body.
    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n"));
        self.response("GET").expect("an answer")
    }

    fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(count) => {
                self.read.extend_from_slice(&buffer[..count]);
                count > 0
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("no answer: {error}"),
        }
    }

    /// Reads a response; `None` when the connection ends before it.
    pub(crate) fn response(&mut self, method: &str) -> Option<Response> {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.fill() {
                assert!(self.read.is_empty(), "cut: {:?}", String::from_utf8_lossy(&self.read));
                return None;
            }
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let status = head[9..12].parse().unwrap();
        let mut response = Response { status, head, body: Vec::new() };
        if method == "HEAD" || matches!(status, 100..=199 | 204 | 304) {
            return Some(response);
        }
        if let Some(length) = response.field("content-length") {
            let length: usize = length.parse().unwrap();
            while self.read.len() < length {
                assert!(self.fill(), "the body was cut");
            }
            response.body = self.read.drain(..length).collect();
        } else if response.field("transfer-encoding").is_some() {
            response.body = self.chunked();
        } else {
            while self.fill() {}
            response.body = std::mem::take(&mut self.read);
        }
        Some(response)
    }

    fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.read.windows(2).position(|window| window == b"\r\n") {
                let line: Vec<u8> = self.read.drain(..at + 2).collect();
                return String::from_utf8(line[..at].to_vec()).unwrap();
            }
            assert!(self.fill(), "the body was cut");
        }
    }

    fn chunked(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.line(), 16).unwrap();
            if size == 0 {
                while !self.line().is_empty() {}
                return body;
            }
            while self.read.len() < size {
                assert!(self.fill(), "the body was cut");
            }
            body.extend(self.read.drain(..size));
            assert_eq!(self.line(), "");
        }
    }

    /// Reads until so many bytes have come; false when the connection ends before.
    pub(crate) fn wait_for_bytes(&mut self, count: usize) -> bool {
        while self.read.len() < count {
            if !self.fill() {
                return false;
            }
        }
        true
    }

    /// Reads until this has come; false when the connection ends before.
    pub(crate) fn wait_for(&mut self, text: &str) -> bool {
        while !self.read.windows(text.len()).any(|window| window == text.as_bytes()) {
            if !self.fill() {
                return false;
            }
        }
        true
    }

    /// Everything until the gateway closes the connection.
    pub(crate) fn everything(&mut self) -> String {
        while self.fill() {}
        String::from_utf8(std::mem::take(&mut self.read)).unwrap()
    }

    /// Everything until the gateway closes the connection, which may be no text.
    pub(crate) fn everything_raw(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.read)
    }

    /// Whether the gateway closes the connection, and nothing more comes.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.read.is_empty() && !self.fill()
    }
}
