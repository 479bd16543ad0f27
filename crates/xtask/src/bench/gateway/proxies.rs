//! The proxies of `bench gateway`: each on core 0 with one worker, access log on, in front of the
//! same origin.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::packages::{self, Needed};
use crate::process::{Server, free_port, pinned};
use crate::tidegate::{self, Settings};

/// The core of the proxies; origin and generator have the other one.
const CORE: usize = 0;

/// Who is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Proxy {
    Tidegate,
    Nginx,
    Haproxy,
    Varnish,
}

/// What they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    /// Every request goes to the origin.
    Forward,
    /// Answers come from the cache.
    Hit,
}

impl Proxy {
    /// All that can do a job.
    pub(super) fn all(job: Job) -> &'static [Proxy] {
        match job {
            Job::Forward => &[Proxy::Tidegate, Proxy::Nginx, Proxy::Haproxy],
            Job::Hit => &[Proxy::Tidegate, Proxy::Nginx, Proxy::Varnish],
        }
    }

    /// Its name on the command line and in tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Proxy::Tidegate => "tidegate",
            Proxy::Nginx => "nginx",
            Proxy::Haproxy => "haproxy",
            Proxy::Varnish => "varnish",
        }
    }

    /// Makes sure that it is installed or built.
    pub(super) fn prepare(self) -> Result<()> {
        match self {
            Proxy::Tidegate => tidegate::release_binary().map(drop),
            Proxy::Nginx => ensure("nginx", "nginx-light"),
            Proxy::Haproxy => ensure("haproxy", "haproxy"),
            Proxy::Varnish => ensure("varnishd", "varnish"),
        }
    }

    /// Its name and version.
    pub(super) fn version(self) -> Result<String> {
        let version = match self {
            Proxy::Tidegate => tidegate::version(&tidegate::release_path()),
            Proxy::Nginx => packages::version("nginx", "-v"),
            Proxy::Haproxy => packages::version("haproxy", "-v"),
            Proxy::Varnish => packages::version("varnishd", "-V"),
        };
        Ok(format!("{} {}", self.name(), version?))
    }

    /// Starts it in front of `127.0.0.1:origin`. Varnish writes its access log from a second process,
    /// so there may be two; the first is the proxy.
    pub(super) fn start(self, job: Job, origin: u16, folder: &Path) -> Result<Vec<Server>> {
        fs::create_dir_all(folder)?;
        match self {
            Proxy::Tidegate => tidegate(job, origin, folder),
            Proxy::Nginx => nginx(job, origin, folder),
            Proxy::Haproxy => haproxy(origin, folder),
            Proxy::Varnish => varnish(origin, folder),
        }
    }
}

fn ensure(program: &'static str, package: &'static str) -> Result<()> {
    packages::ensure(&[Needed { program, package }])
}

fn on_core(program: &str) -> Result<Command> {
    let path = packages::find(program).with_context(|| format!("{program} is missing"))?;
    Ok(pinned(CORE, &path))
}

fn tidegate(job: Job, origin: u16, folder: &Path) -> Result<Vec<Server>> {
    let route = if job == Job::Hit { tidegate::CACHE } else { "" };
    let settings = Settings { workers: Some(1), route, ..Settings::default() };
    let binary = tidegate::release_path();
    Ok(vec![tidegate::start(&binary, &settings, origin, Some(CORE), folder)?])
}

fn nginx(job: Job, origin: u16, folder: &Path) -> Result<Vec<Server>> {
    let (port, dir) = (free_port()?, folder.display());
    let (store, cache) = match job {
        Job::Forward => (String::new(), ""),
        Job::Hit => (
            format!(
                "proxy_cache_path {dir}/cache levels=1:2 keys_zone=main:8m max_size=256m;\n\
                 open_file_cache max=1000 inactive=1h; open_file_cache_valid 1h;\n"
            ),
            "proxy_cache main;",
        ),
    };
    // The log is buffered, as tidegate's is.
    let config = format!(
        "daemon off; user root; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/error.log;\n\
         worker_rlimit_nofile 65536; events {{ worker_connections 8192; }}\n\
         http {{ access_log {dir}/access.log combined buffer=64k flush=1s;\n\
         sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 600s;\n{store}\
         upstream origin {{ server 127.0.0.1:{origin}; keepalive 256; keepalive_requests 1000000000; }}\n\
         server {{ listen 127.0.0.1:{port} backlog=4096;\n\
         location / {{ proxy_pass http://origin; proxy_http_version 1.1; {cache}\n\
         proxy_set_header Connection \"\"; proxy_set_header Host $host;\n\
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }} }}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, config)?;
    Ok(vec![Server::start("nginx", on_core("nginx")?.arg("-c").arg(&file), port, folder)?])
}

fn haproxy(origin: u16, folder: &Path) -> Result<Vec<Server>> {
    let port = free_port()?;
    // HAProxy does not write files; its standard output is one.
    let config = format!(
        "global\n  nbthread 1\n  maxconn 4000\n  log stdout format raw local0\n\
         defaults\n  mode http\n  log global\n  option httplog\n  option forwardfor\n  timeout connect 5s\n  \
         timeout client 60s\n  timeout server 60s\n  http-reuse always\n\
         frontend web\n  bind 127.0.0.1:{port}\n  default_backend origin\n\
         backend origin\n  server one 127.0.0.1:{origin}\n"
    );
    let file = folder.join("haproxy.conf");
    fs::write(&file, config)?;
    let mut command = on_core("haproxy")?;
    Ok(vec![Server::start("haproxy", command.arg("-db").arg("-f").arg(&file), port, folder)?])
}

fn varnish(origin: u16, folder: &Path) -> Result<Vec<Server>> {
    let port = free_port()?;
    let name = folder.join("varnish");
    let mut command = on_core("varnishd")?;
    command
        .args(["-F", "-j", "none", "-T", "none", "-s", "malloc,256m", "-n"])
        .arg(&name)
        .args(["-a", &format!("127.0.0.1:{port}"), "-b", &format!("127.0.0.1:{origin}")])
        .args(["-p", "thread_pools=1"]);
    let varnish = Server::start("varnish", &mut command, port, folder)?;
    let mut command = on_core("varnishncsa")?;
    command.arg("-n").arg(&name).arg("-w").arg(folder.join("access.log"));
    // The port is varnish's: the log writer has none.
    let log = Server::start("varnishncsa", &mut command, port, folder)?;
    Ok(vec![varnish, log])
}
