//! The origin behind servers under test: an nginx on one core that answers from memory.
//!
//! `/small` has 100 bytes, `/large` 16 KiB, `/big` 1 MiB; other paths answer like `/small`. All may
//! be cached for an hour. `/upload` answers like `/small` once the whole request body is there.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::packages::{self, Needed};
use crate::process::{Server, free_port, pinned};

/// What [`start`] needs.
pub(crate) const NEEDED: [Needed; 2] = [
    Needed { program: "nginx", package: "nginx-light" },
    Needed { program: "taskset", package: "util-linux" },
];
/// Bytes of `/large`.
pub(crate) const LARGE: usize = 16 << 10;
/// Bytes of `/small`.
pub(crate) const SMALL: usize = 100;
const BIG: usize = 1 << 20;

/// Where the origin notes requests when told to: a line each.
pub(crate) fn log(folder: &Path) -> PathBuf {
    folder.join("origin.access.log")
}

/// Starts the origin on core 1.
pub(crate) fn start(folder: &Path, with_log: bool) -> Result<Server> {
    let port = free_port()?;
    let files = folder.join("files");
    fs::create_dir_all(&files)?;
    fs::write(files.join("large"), "l".repeat(LARGE))?;
    fs::write(files.join("big"), "b".repeat(BIG))?;
    let small = "s".repeat(SMALL);
    let dir = folder.display();
    let access = if with_log { log(folder).display().to_string() } else { "off".to_owned() };
    // Few ranges: nginx answers thousands of them from memory, which no test asks of it.
    let config = format!(
        "daemon off; user root; worker_processes 1; pid {dir}/origin.pid; error_log {dir}/origin.log;\n\
         worker_rlimit_nofile 65536; events {{ worker_connections 20000; }}\n\
         http {{ access_log {access}; keepalive_requests 1000000000; keepalive_timeout 600s;\n\
         sendfile on; tcp_nopush on; open_file_cache max=100 inactive=1h; open_file_cache_valid 1h;\n\
         max_ranges 5; default_type text/plain; add_header Cache-Control max-age=3600;\n\
         server {{ listen 127.0.0.1:{port} backlog=4096; root {dir}/files;\n\
         location / {{ return 200 \"{small}\"; }}\n\
         location = /large {{ }} location = /big {{ }}\n\
         location = /upload {{ proxy_pass http://127.0.0.1:{port}/small; }} }} }}\n"
    );
    let file = folder.join("origin.conf");
    fs::write(&file, config)?;
    let nginx = packages::find("nginx").context("nginx is missing")?;
    Server::start("origin", pinned(1, &nginx).arg("-c").arg(&file), port, folder)
}
