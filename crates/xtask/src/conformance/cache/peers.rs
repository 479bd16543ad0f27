//! Other caches from Debian, configured as their users would for this suite: everything may be
//! cached on the origin's word, nothing without it, memory only where that is possible.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::packages::{self, Needed};
use crate::process::{Server, free_port, program};

/// A cache that can be measured.
struct Peer {
    name: &'static str,
    needed: Needed,
    /// The flag that prints its version.
    version: &'static str,
}

const PEERS: [Peer; 5] = [
    peer("nginx", "nginx", "nginx-light", "-v"),
    peer("varnish", "varnishd", "varnish", "-V"),
    peer("haproxy", "haproxy", "haproxy", "-v"),
    peer("squid", "squid", "squid", "-v"),
    peer("httpd", "apache2", "apache2-bin", "-v"),
];

const fn peer(
    name: &'static str,
    program: &'static str,
    package: &'static str,
    version: &'static str,
) -> Peer {
    Peer { name, needed: Needed { program, package }, version }
}

fn find(name: &str) -> Result<&'static Peer> {
    let names: Vec<&str> = PEERS.iter().map(|peer| peer.name).collect();
    PEERS
        .iter()
        .find(|peer| peer.name == name)
        .with_context(|| format!("no cache `{name}`; there are {}", names.join(", ")))
}

/// The version that a peer says it has.
pub(super) fn version(name: &str) -> Result<String> {
    let peer = find(name)?;
    packages::ensure(&[peer.needed])?;
    packages::version(peer.needed.program, peer.version)
}

/// Starts a peer in front of `127.0.0.1:origin`.
pub(super) fn start(name: &str, origin: u16, folder: &Path) -> Result<Server> {
    let port = free_port()?;
    let peer = find(name)?;
    packages::ensure(&[peer.needed])?;
    let dir = folder.display();
    let file = folder.join(format!("{name}.conf"));
    let mut command = program(peer.needed.program)?;
    match name {
        "nginx" => {
            fs::write(&file, nginx(&dir.to_string(), port, origin))?;
            command.arg("-c").arg(&file);
        }
        "haproxy" => {
            fs::write(&file, haproxy(port, origin))?;
            command.arg("-db").arg("-f").arg(&file);
        }
        "varnish" => {
            // No default time to live and no default grace; entries stay for revalidation.
            command
                .args(["-F", "-j", "none", "-T", "none", "-s", "malloc,256m", "-n"])
                .arg(folder.join("varnish"))
                .args(["-a", &format!("127.0.0.1:{port}"), "-b", &format!("127.0.0.1:{origin}")])
                .args(["-p", "default_ttl=0", "-p", "default_grace=0", "-p", "default_keep=3600"]);
        }
        "squid" => {
            fs::write(&file, squid(&dir.to_string(), port, origin))?;
            command.arg("-N").arg("-f").arg(&file);
        }
        "httpd" => {
            fs::create_dir_all(folder.join("httpd"))?;
            fs::write(&file, httpd(&dir.to_string(), port, origin))?;
            command.args(["-D", "FOREGROUND", "-f"]).arg(&file);
        }
        other => bail!("`{other}` cannot be started"),
    }
    Server::start(name, &mut command, port, folder)
}

fn nginx(dir: &str, port: u16, origin: u16) -> String {
    format!(
        "daemon off; user root; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/nginx.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off;\n\
         proxy_cache_path {dir}/nginx-cache levels=1:2 keys_zone=main:8m max_size=256m inactive=600m;\n\
         upstream origin {{ server 127.0.0.1:{origin}; keepalive 64; }}\n\
         server {{ listen 127.0.0.1:{port};\n\
         location / {{ proxy_pass http://origin; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; proxy_set_header Host $http_host;\n\
         proxy_next_upstream off;\n\
         proxy_cache main; proxy_cache_revalidate on; proxy_cache_background_update on; }} }} }}\n"
    )
}

fn haproxy(port: u16, origin: u16) -> String {
    format!(
        "global\n  nbthread 1\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  retries 0\n\
         cache main\n  total-max-size 256\n  max-object-size 1000000\n  max-age 86400\n  process-vary on\n\
         frontend web\n  bind 127.0.0.1:{port}\n  default_backend origin\n\
         backend origin\n  http-request cache-use main\n  http-response cache-store main\n  \
         server one 127.0.0.1:{origin}\n"
    )
}

fn squid(dir: &str, port: u16, origin: u16) -> String {
    format!(
        "http_port 127.0.0.1:{port} accel defaultsite=localhost no-vhost\n\
         cache_peer 127.0.0.1 parent {origin} 0 no-query no-digest originserver default name=origin\n\
         cache_peer_access origin allow all\nhttp_access allow all\n\
         cache_mem 256 MB\nshutdown_lifetime 1 second\nconnect_retries 0\n\
         access_log none\ncache_log /dev/null\ncache_store_log none\npid_filename {dir}/squid.pid\n\
         coredump_dir {dir}\npinger_enable off\n"
    )
}

fn httpd(dir: &str, port: u16, origin: u16) -> String {
    let modules: String =
        ["mpm_event", "authz_core", "proxy", "proxy_http", "cache", "cache_disk", "headers"]
            .iter()
            .map(|name| {
                format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n")
            })
            .collect();
    format!(
        "ServerRoot {dir}\nServerName localhost\nListen 127.0.0.1:{port}\nPidFile {dir}/httpd.pid\n\
         DefaultRuntimeDir {dir}\nErrorLog {dir}/httpd.log\n{modules}\
         StartServers 1\nServerLimit 1\nThreadsPerChild 200\nThreadLimit 200\nMaxRequestWorkers 200\n\
         <IfModule unixd_module>\nUser www-data\n</IfModule>\n\
         ProxyPass \"/\" \"http://127.0.0.1:{origin}/\"\nProxyPreserveHost on\n\
         CacheEnable disk /\nCacheRoot {dir}/httpd\nCacheDirLevels 2\nCacheDirLength 1\n\
         CacheDefaultExpire 0\nCacheIgnoreNoLastMod On\nCacheStoreExpired On\nCacheHeader Off\n"
    )
}
