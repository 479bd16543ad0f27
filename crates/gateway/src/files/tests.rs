use super::*;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;

use proptest::prelude::*;
use tempfile::TempDir;

const SECRET: &str = "outside of the root";

/// A folder with files, beside one that must not be served.
struct Site {
    folder: TempDir,
    files: Files,
}

fn site() -> Site {
    let folder = TempDir::new().unwrap();
    let root = folder.path().join("www");
    for path in ["", "docs", "docs/empty", ".git", ".well-known"] {
        fs::create_dir(root.join(path)).unwrap();
    }
    fs::create_dir(folder.path().join("www-secret")).unwrap();
    for (path, text) in [
        ("index.html", "<h1>home</h1>"),
        ("a b.txt", "0123456789"),
        ("app.js", "plain"),
        ("app.js.br", "brotli"),
        ("app.js.gz", "gzip!"),
        ("docs/index.htm", "docs"),
        ("404.html", "<h1>nothing here</h1>"),
        ("none", ""),
        (".git/config", SECRET),
        (".env", SECRET),
        (".well-known/security.txt", "contact"),
        ("../secret.txt", SECRET),
        ("../www-secret/secret.txt", SECRET),
    ] {
        fs::write(root.join(path), text).unwrap();
    }
    fs::write(root.join("big.bin"), big()).unwrap();
    symlink("../secret.txt", root.join("leak.txt")).unwrap();
    symlink("../www-secret", root.join("leak")).unwrap();
    symlink("app.js", root.join("link.js")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    let files = Files::open(&params::Files {
        root,
        index: vec!["index.html".into(), "index.htm".into()],
        not_found: Some("404.html".into()),
        precompressed: true,
    });
    Site { folder, files: files.unwrap() }
}

fn big() -> Vec<u8> {
    (0..200_000_u32).map(|at| (at % 251) as u8).collect()
}

/// An answer whose body was read.
#[derive(Debug)]
struct Read {
    status: u16,
    fields: BTreeMap<String, String>,
    len: u64,
    body: Vec<u8>,
}

impl Site {
    fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> Read {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (path, query) =
            path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let fields: Fields = fields.iter().copied().collect();
        runtime.block_on(async {
            let mut answer =
                self.files.answer(FileRequest { method, path, query, fields: &fields }).await;
            let len = answer.body.len();
            let mut body = Vec::new();
            while let Some(chunk) = answer.body.next().await.unwrap() {
                assert!(!chunk.is_empty() && chunk.len() <= 64 << 10);
                body.extend_from_slice(&chunk);
            }
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let fields = answer.fields.iter().map(|f| (text(f.name), text(f.value))).collect();
            Read { status: answer.status, fields, len, body }
        })
    }

    fn get(&self, path: &str) -> Read {
        self.ask("GET", path, &[])
    }
}

#[test]
fn files_are_served_with_type_and_validators() {
    let site = site();
    let read = site.get("/");
    assert_eq!((read.status, &read.body[..]), (200, &b"<h1>home</h1>"[..]));
    assert_eq!(read.fields["Content-Type"], "text/html; charset=utf-8");
    assert_eq!(read.fields["X-Content-Type-Options"], "nosniff");
    assert_eq!(read.fields["Accept-Ranges"], "bytes");
    assert!(read.fields["ETag"].starts_with('"') && read.fields["Last-Modified"].ends_with("GMT"));
    assert_eq!(site.get("/a%20b.txt").body, b"0123456789");
    assert_eq!(site.get("/link.js").body, b"plain");
    assert_eq!(site.get("/docs/").body, b"docs");
    assert_eq!(site.get("/.well-known/security.txt").body, b"contact");
    let empty = site.get("/none");
    assert_eq!((empty.status, empty.len, empty.body.len()), (200, 0, 0));
    let big = site.get("/big.bin");
    assert_eq!((big.status, big.len), (200, 200_000));
    assert!(big.body == self::big());
}

#[test]
fn what_is_not_there_hidden_or_outside_is_not_found() {
    let site = site();
    for path in [
        "/nothing",
        "/docs/empty/",
        "/.git/config",
        "/.env",
        "/%2egit/config",
        "/leak.txt",
        "/leak/secret.txt",
        "/leak/",
        "/leak",
        "/loop",
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/a%00",
        "/index.html/",
        "/index.html/x",
        "/app.js.zst",
        &format!("/{}", "x".repeat(300)),
    ] {
        let read = site.get(path);
        assert_eq!((read.status, &read.body[..]), (404, &b"<h1>nothing here</h1>"[..]), "{path}");
        assert_eq!(read.fields["Content-Type"], "text/html; charset=utf-8");
        assert!(!read.fields.contains_key("ETag"));
    }
}

#[test]
fn other_methods_are_refused() {
    let read = site().ask("POST", "/", &[]);
    assert_eq!((read.status, read.fields["Allow"].as_str()), (405, "GET, HEAD"));
}

#[test]
fn folders_without_their_slash_are_redirected() {
    let site = site();
    let read = site.get("/docs?a=%20b");
    assert_eq!((read.status, read.fields["Location"].as_str()), (301, "./docs/?a=%20b"));
    assert_eq!(site.get("/docs/empty").fields["Location"], "./empty/");
}

#[test]
fn head_tells_the_length_without_the_body() {
    let site = site();
    for path in ["/big.bin", "/a%20b.txt", "/nothing"] {
        let (head, get) = (site.ask("HEAD", path, &[]), site.get(path));
        assert_eq!((head.status, head.len, &head.fields), (get.status, get.len, &get.fields));
        assert!(head.body.is_empty() && head.len > 0);
    }
}

#[test]
fn conditions_and_ranges_are_obeyed() {
    let site = site();
    let etag = site.get("/a%20b.txt").fields["ETag"].clone();
    let date = site.get("/a%20b.txt").fields["Last-Modified"].clone();
    for condition in [("If-None-Match", etag.as_str()), ("If-Modified-Since", &date)] {
        let read = site.ask("GET", "/a%20b.txt", &[condition]);
        assert_eq!((read.status, read.body.len(), &read.fields["ETag"]), (304, 0, &etag));
    }
    assert_eq!(site.ask("GET", "/a%20b.txt", &[("If-Match", "\"x\"")]).status, 412);
    let part = site.ask("GET", "/a%20b.txt", &[("Range", "bytes=2-4"), ("If-Range", &etag)]);
    assert_eq!((part.status, part.len, &part.body[..]), (206, 3, &b"234"[..]));
    assert_eq!(part.fields["Content-Range"], "bytes 2-4/10");
    let beyond = site.ask("GET", "/a%20b.txt", &[("Range", "bytes=10-")]);
    assert_eq!((beyond.status, beyond.fields["Content-Range"].as_str()), (416, "bytes */10"));
    let large = site.ask("GET", "/big.bin", &[("Range", "bytes=1-150000")]);
    assert!(large.status == 206 && large.body == big()[1..=150_000]);
}

#[test]
fn compressed_siblings_go_to_who_wants_them() {
    let site = site();
    let plain = site.get("/app.js");
    for (accept, expected, coding) in [
        ("gzip, br, zstd", "brotli", Some("br")),
        ("gzip", "gzip!", Some("gzip")),
        ("zstd, gzip;q=0.5", "gzip!", Some("gzip")),
        ("zstd", "plain", None),
        ("identity", "plain", None),
    ] {
        let read = site.ask("GET", "/app.js", &[("Accept-Encoding", accept)]);
        assert_eq!(read.body, expected.as_bytes(), "{accept}");
        assert_eq!(read.fields.get("Content-Encoding").map(String::as_str), coding, "{accept}");
        assert_eq!(read.fields["Content-Type"], "text/javascript; charset=utf-8");
        assert_eq!(read.fields["Vary"], "Accept-Encoding");
        assert_eq!(read.fields["ETag"] == plain.fields["ETag"], coding.is_none());
    }
}

#[test]
fn a_root_must_be_afolder() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    for name in ["absent", "file"] {
        let params = params::Files {
            root: folder.path().join(name),
            index: Vec::new(),
            not_found: None,
            precompressed: false,
        };
        assert!(Files::open(&params).is_err(), "{name}");
    }
}

#[test]
fn a_file_that_shrinks_is_an_error_and_not_a_short_body() {
    let site = site();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let fields = Fields::new();
    runtime.block_on(async {
        let asked = FileRequest { method: "GET", path: "/big.bin", query: None, fields: &fields };
        let mut answer = site.files.answer(asked).await;
        assert!(answer.body.next().await.unwrap().is_some());
        fs::write(site.folder.path().join("www/big.bin"), "short").unwrap();
        assert!(answer.body.next().await.is_err());
    });
}

#[test]
fn no_path_leaves_the_root() {
    let site = site();
    let part = [
        r"(/|\.\.|%2e|%2f|%5c|\\|%00|secret\.txt|www|www-secret|",
        r"leak|leak\.txt|docs|\.git|config)",
    ]
    .concat();
    let path = proptest::string::string_regex(&format!("{part}{{0,9}}")).unwrap();
    proptest!(|(path in path)| {
        let read = site.get(&format!("/{path}"));
        prop_assert!(read.status != 500);
        prop_assert!(read.body != SECRET.as_bytes(), "{}", path);
    });
}
