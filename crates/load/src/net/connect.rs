//! Opening a connection: look-up, TCP or Unix socket, TLS, and how long each took.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::failure::{Failure, FailureKind};
use crate::net::deadline::Deadline;
use crate::net::resolve::Resolver;
use crate::net::stream::{Plain, Stream};
use crate::net::tls::server_name;
use crate::params::{ConnectTo, HttpParams};
use crate::scenario::Origin;

/// How long the parts of opening a connection took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ConnectTimes {
    pub(crate) dns: Option<Duration>,
    pub(crate) connect: Duration,
    pub(crate) tls: Option<Duration>,
}

/// Opens connections for one worker.
pub(crate) struct Connector {
    resolver: Resolver,
    tls: Arc<ClientConfig>,
    http: Arc<HttpParams>,
}

impl Connector {
    pub(crate) fn new(http: Arc<HttpParams>, tls: Arc<ClientConfig>) -> Connector {
        Connector { resolver: Resolver::new(http.dns), tls, http }
    }

    /// Opens a connection to `origin`, or to where the run says to connect instead.
    pub(crate) async fn connect(
        &self,
        origin: &Origin,
        deadline: &mut Deadline,
    ) -> Result<(Stream, ConnectTimes), Failure> {
        deadline.set(Instant::now() + self.http.timeouts.connect);
        match deadline.guard_future(self.open(origin)).await {
            Some(result) => result,
            None => Err(Failure::new(
                FailureKind::ConnectTimeout,
                format!("no connection within {:?}", self.http.timeouts.connect),
            )),
        }
    }

    async fn open(&self, origin: &Origin) -> Result<(Stream, ConnectTimes), Failure> {
        let mut times = ConnectTimes::default();
        let start = Instant::now();
        let (plain, connected) = match &self.http.connect_to {
            #[cfg(unix)]
            Some(ConnectTo::Unix(path)) => {
                let stream = tokio::net::UnixStream::connect(path)
                    .await
                    .map_err(|error| Failure::from_connect(&error))?;
                (Plain::Unix(stream), start)
            }
            #[cfg(not(unix))]
            Some(ConnectTo::Unix(_)) => {
                return Err(Failure::new(FailureKind::Connect, "no Unix sockets on this system"));
            }
            Some(ConnectTo::Address(host, port)) => self.open_tcp(host, *port, &mut times).await?,
            None => self.open_tcp(&origin.host, origin.port, &mut times).await?,
        };
        times.connect = connected.elapsed();
        if !origin.tls {
            return Ok((Stream::Plain(plain), times));
        }
        let start = Instant::now();
        let name = server_name(&self.http.tls, &origin.host)
            .map_err(|error| Failure::new(FailureKind::Tls, error.to_string()))?;
        let stream = TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, plain)
            .await
            .map_err(|error| tls_failure(&error))?;
        times.tls = Some(start.elapsed());
        Ok((Stream::Tls(Box::new(stream)), times))
    }

    /// Connects to the first address that answers; those that do not are tried last from now on.
    /// Also returns when connecting began.
    async fn open_tcp(
        &self,
        host: &str,
        port: u16,
        times: &mut ConnectTimes,
    ) -> Result<(Plain, Instant), Failure> {
        let start = Instant::now();
        let (addresses, looked_up) = self.resolver.resolve(host, port).await?;
        if looked_up {
            times.dns = Some(start.elapsed());
        }
        let start = Instant::now();
        let attempts = addresses.borrow().len();
        let mut last_error = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for _ in 0..attempts {
            let address = addresses.borrow()[0];
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // Small requests must not wait for acknowledgements. Fails only on a socket
                    // that is already broken, which the first write will tell.
                    let _ = stream.set_nodelay(true);
                    return Ok((Plain::Tcp(stream), start));
                }
                Err(error) => {
                    last_error = error;
                    addresses.borrow_mut().rotate_left(1);
                }
            }
        }
        Err(Failure::from_connect(&last_error))
    }
}

fn tls_failure(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionReset => Failure::from_io(error),
        io::ErrorKind::UnexpectedEof => {
            Failure::new(FailureKind::Tls, "the target closed the connection during the handshake")
        }
        _ => Failure::new(FailureKind::Tls, error.to_string()),
    }
}
