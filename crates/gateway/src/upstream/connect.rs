//! Opening a connection to a server: socket, PROXY header, TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::failure::FailureKind;
use crate::net::stream::{Plain, Stream};
use crate::params::{ProxyVersion, Servers};
use crate::upstream::shared::{Server, Target};

/// Whose connection is announced by a PROXY header: client and local address.
pub(crate) type Announced = (SocketAddr, SocketAddr);

/// Opens a connection, within the time the upstream is given for it.
pub(crate) async fn connect(
    server: &Server,
    params: &Servers,
    tls: Option<&Arc<ClientConfig>>,
    announced: Announced,
) -> Result<Stream, FailureKind> {
    tokio::time::timeout(params.connect_timeout, open(server, params, tls, announced))
        .await
        .unwrap_or(Err(FailureKind::ConnectTimeout))
}

async fn open(
    server: &Server,
    params: &Servers,
    tls: Option<&Arc<ClientConfig>>,
    announced: Announced,
) -> Result<Stream, FailureKind> {
    let failed = |_| FailureKind::Connect;
    let mut plain = match &server.identity.target {
        Target::Socket(address) => {
            let stream = TcpStream::connect(address).await.map_err(failed)?;
            // Fails only on a socket that is already broken, which the first write will tell.
            let _ = stream.set_nodelay(true);
            Plain::Tcp(stream)
        }
        Target::Unix(path) => Plain::Unix(UnixStream::connect(path).await.map_err(failed)?),
    };
    if let Some(version) = params.proxy_protocol {
        let mut header = Vec::new();
        match version {
            ProxyVersion::V1 => {
                wire::proxy_protocol::write_v1(&mut header, announced.0, announced.1);
            }
            ProxyVersion::V2 => {
                wire::proxy_protocol::write_v2(&mut header, announced.0, announced.1);
            }
        }
        plain.write_all(&header).await.map_err(failed)?;
    }
    let Some(config) = tls else { return Ok(Stream::Plain(plain)) };
    let name = params.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
    let name = name.unwrap_or(&server.host);
    let name = wire::target::host_of(name).map_or(name, |(host, _)| host);
    let name = name.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(name).map_err(|_| FailureKind::Tls)?;
    let stream = TlsConnector::from(Arc::clone(config)).connect(name, plain).await;
    stream.map(|stream| Stream::Connected(Box::new(stream))).map_err(|_| FailureKind::Tls)
}
