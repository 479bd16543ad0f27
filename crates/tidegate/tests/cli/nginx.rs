//! A real peer: nginx of the system, over HTTP/1.1.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::command::json_of;

/// nginx, which Debian keeps outside of the path.
pub(crate) fn program() -> Command {
    let places = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"];
    let place = places.into_iter().find(|place| fs::exists(place).unwrap_or(false));
    Command::new(place.unwrap_or("nginx"))
}

struct Nginx {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Nginx {
    fn start() -> Nginx {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = folder.path().display();
        let config = format!(
            "daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log;\n\
             events {{ worker_connections 512; }}\n\
             http {{ access_log off; gzip on; gzip_min_length 1; gzip_types text/html;\n\
             client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;\n\
             uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;\n\
             server {{ listen 127.0.0.1:{port}; root {dir}/www; keepalive_requests 20; }} }}\n"
        );
        fs::create_dir(folder.path().join("www")).unwrap();
        fs::write(folder.path().join("www/index.html"), "<p>the tide</p>".repeat(100)).unwrap();
        let path = folder.path().join("nginx.conf");
        fs::write(&path, config).unwrap();
        let mut child = program()
            .arg("-c")
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is missing: cargo xtask test installs it");
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(child.try_wait().unwrap().is_none(), "nginx ended at once");
            std::thread::yield_now();
        }
        Nginx { child, port, _folder: folder }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn nginx_is_loaded_with_keep_alive_and_compression() {
    let nginx = Nginx::start();
    let url = format!("http://127.0.0.1:{}/", nginx.port);
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("tide.toml");
    fs::write(&scenario, "[[task]]\nget = \"/\"\nexpect = { body-contains = \"the tide\" }\n")
        .unwrap();
    let (_, run) = json_of(&[
        "load",
        scenario.to_str().unwrap(),
        "-H",
        &url,
        "-u",
        "5",
        "-n",
        "500",
        "--compressed",
    ]);
    assert_eq!(
        (&run["totals"]["requests"], &run["totals"]["failures"]),
        (&500.into(), &0.into()),
        "{}",
        run["errors"]
    );
    // Bodies come compressed: fewer bytes than the page has.
    assert!(run["totals"]["body-bytes"].as_u64().unwrap() < 500 * 1_500);
    let (_, missing) = json_of(&["load", &format!("{url}nothing"), "-n", "10"]);
    assert_eq!(missing["errors"][0]["detail"], "404");
}
