//! Proxies that the suites about connections are run against, all with the same short limits.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::packages::{self, Needed};
use crate::process::{Server, free_port, program};
use crate::tidegate::{self, Settings};

/// Longest silence that is allowed to a client, in seconds: of a head, of a body, while it reads,
/// between requests.
pub(super) const SILENCE_S: u64 = 2;

/// Which proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    Tidegate,
    Nginx,
    Haproxy,
}

/// What clients speak with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    /// By prior knowledge.
    Http2,
}

/// Reads `--proxy NAME`; tidegate without.
pub(super) fn named(args: &[&str]) -> Result<Subject> {
    match crate::options(args, &["--proxy"])?.last() {
        None | Some((_, "tidegate")) => Ok(Subject::Tidegate),
        Some((_, "nginx")) => Ok(Subject::Nginx),
        Some((_, "haproxy")) => Ok(Subject::Haproxy),
        Some((_, other)) => bail!("no proxy `{other}`; there are tidegate, nginx, haproxy"),
    }
}

impl Subject {
    /// Starts it in front of `127.0.0.1:origin`.
    pub(super) fn start(self, protocol: Protocol, origin: u16, folder: &Path) -> Result<Server> {
        match self {
            Subject::Tidegate => tidegate(origin, folder),
            Subject::Nginx => nginx(protocol, origin, folder),
            Subject::Haproxy => haproxy(protocol, origin, folder),
        }
    }
}

fn tidegate(origin: u16, folder: &Path) -> Result<Server> {
    let limits = format!(
        "[limits]\nheader-timeout = \"{SILENCE_S}s\"\nbody-timeout = \"{SILENCE_S}s\"\n\
         send-timeout = \"{SILENCE_S}s\"\nkeep-alive = \"{SILENCE_S}s\"\n"
    );
    let settings = Settings { route: "upgrades = true", tables: &limits, ..Settings::default() };
    tidegate::start(&tidegate::debug_binary(), &settings, origin, None, folder)
}

fn nginx(protocol: Protocol, origin: u16, folder: &Path) -> Result<Server> {
    packages::ensure(&[Needed { program: "nginx", package: "nginx-light" }])?;
    let (port, dir) = (free_port()?, folder.display());
    let http2 = if protocol == Protocol::Http2 { " http2" } else { "" };
    let config = format!(
        "daemon off; user root; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/nginx.log;\n\
         events {{ worker_connections 2048; }}\n\
         http {{ access_log off; reset_timedout_connection on;\n\
         client_header_timeout {SILENCE_S}s; client_body_timeout {SILENCE_S}s;\n\
         send_timeout {SILENCE_S}s; keepalive_timeout {SILENCE_S}s; keepalive_requests 1000000;\n\
         map $http_upgrade $upgrading {{ default upgrade; '' ''; }}\n\
         server {{ listen 127.0.0.1:{port}{http2};\n\
         location / {{ proxy_pass http://127.0.0.1:{origin}; proxy_http_version 1.1;\n\
         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $upgrading; }} }} }}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, config)?;
    Server::start("nginx", program("nginx")?.arg("-c").arg(&file), port, folder)
}

fn haproxy(protocol: Protocol, origin: u16, folder: &Path) -> Result<Server> {
    packages::ensure(&[Needed { program: "haproxy", package: "haproxy" }])?;
    let port = free_port()?;
    let proto = if protocol == Protocol::Http2 { " proto h2" } else { "" };
    let config = format!(
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client {SILENCE_S}s\n  \
         timeout server 60s\n  timeout tunnel 60s\n  timeout http-request {SILENCE_S}s\n  \
         timeout http-keep-alive {SILENCE_S}s\n  http-reuse always\n  option http-buffer-request\n\
         frontend web\n  bind 127.0.0.1:{port}{proto}\n  default_backend origin\n\
         backend origin\n  server one 127.0.0.1:{origin}\n"
    );
    let file = folder.join("haproxy.conf");
    fs::write(&file, config)?;
    Server::start("haproxy", program("haproxy")?.arg("-db").arg("-f").arg(&file), port, folder)
}
