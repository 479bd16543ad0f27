//! What a request's path tells by itself.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

/// Endings of static files, as GoAccess counts them by default.
const STATIC: &[&str] = &[
    "css", "js", "jpg", "png", "gif", "ico", "jpeg", "pdf", "csv", "mpeg", "mpg", "swf", "woff",
    "woff2", "xls", "xlsx", "doc", "docx", "ppt", "pptx", "txt", "zip", "ogg", "mp3", "mp4", "exe",
    "iso", "gz", "rar", "svg", "bmp", "tar", "tgz", "tiff", "tif", "ttf", "flv", "dmg", "xz",
    "zst", "webp", "avif", "eot", "otf", "mjs", "map", "webm", "wasm", "bz2", "7z",
];

/// What scanners look for: a part of the path in lower case, and what it is. At most 64.
const PROBES: &[(&str, &str)] = &[
    ("/.env", "environment files"),
    ("/.git/", "Git repositories"),
    ("/.svn/", "Subversion repositories"),
    ("/.aws/", "cloud credentials"),
    ("/.ssh/", "keys"),
    ("/.ds_store", "folder listings"),
    ("/.htpasswd", "password files"),
    ("/wp-login.php", "WordPress"),
    ("/xmlrpc.php", "WordPress"),
    ("/wp-config", "WordPress"),
    ("/wp-content/plugins/", "WordPress"),
    ("/wlwmanifest.xml", "WordPress"),
    ("phpmyadmin", "phpMyAdmin"),
    ("/pma/", "phpMyAdmin"),
    ("/myadmin", "phpMyAdmin"),
    ("/mysqladmin", "phpMyAdmin"),
    ("phpinfo", "PHP settings"),
    ("/phpunit/", "PHPUnit"),
    ("eval-stdin.php", "PHPUnit"),
    ("/thinkphp", "ThinkPHP"),
    ("/actuator", "Spring actuators"),
    ("/solr/admin", "Solr"),
    ("/manager/html", "Tomcat manager"),
    ("/jmx-console", "JBoss"),
    ("/hudson", "Jenkins"),
    ("/_ignition/", "Laravel"),
    ("/telescope/", "Laravel"),
    ("/server-status", "server status"),
    ("/cgi-bin/", "CGI programs"),
    ("/boaform/", "routers"),
    ("/hnap1", "routers"),
    ("/gponform/", "routers"),
    ("/setup.cgi", "routers"),
    ("/owa/auth", "Exchange"),
    ("/autodiscover/autodiscover", "Exchange"),
    ("/ecp/", "Exchange"),
    ("/remote/fgt_lang", "VPN gateways"),
    ("/dana-na/", "VPN gateways"),
    ("/etc/passwd", "system files"),
    ("..%2f", "system files"),
    ("%2e%2e/", "system files"),
    ("/../", "system files"),
    ("/backup.sql", "database dumps"),
    ("/dump.sql", "database dumps"),
    ("/shell.php", "back doors"),
    ("/c99.php", "back doors"),
    ("/console/login/loginform.jsp", "WebLogic"),
    ("/vtigercrm", "vtiger"),
    ("/.vscode/", "editor settings"),
    ("/web.config", "server settings"),
];

/// Parts of paths where people log in.
const LOGINS: &[&str] = &[
    "login",
    "signin",
    "sign-in",
    "sign_in",
    "/auth",
    "/session",
    "/token",
    "password",
    "xmlrpc.php",
    "/oauth",
    "/saml",
];

/// What a path is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathKind {
    Plain,
    /// People log in there.
    Login,
    /// Only scanners ask for it, unless it is there; which kind, by place in the table.
    Probe(u8),
}

/// What the probes with these bits look for.
pub(crate) fn probe_names(bits: u64) -> Vec<&'static str> {
    let asked = |at: &usize| bits >> at & 1 == 1;
    let mut names: Vec<_> = (0..PROBES.len()).filter(asked).map(|at| PROBES[at].1).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Finds what a path is asked for. WordPress's login is where people log in, and a probe on all other
/// sites, so it is both: the caller tells by method and status.
pub(crate) fn kind_of(path: &[u8]) -> PathKind {
    static FINDER: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
        let texts = PROBES.iter().map(|(text, _)| *text).chain(LOGINS.iter().copied());
        AhoCorasick::builder().ascii_case_insensitive(true).build(texts).ok()
    });
    let Some(finder) = FINDER.as_ref() else { return PathKind::Plain };
    match finder.find_overlapping_iter(path).map(|found| found.pattern().as_usize()).min() {
        None => PathKind::Plain,
        Some(probe) if probe < PROBES.len() => PathKind::Probe(probe as u8),
        Some(_) => PathKind::Login,
    }
}

/// Whether requests to this path may be attempts to log in.
pub(crate) fn is_login(path: &[u8]) -> bool {
    static FINDER: LazyLock<Option<AhoCorasick>> =
        LazyLock::new(|| AhoCorasick::builder().ascii_case_insensitive(true).build(LOGINS).ok());
    FINDER.as_ref().is_some_and(|finder| finder.is_match(path))
}

/// The path of a request target: without scheme, authority and query. `*` and the `host:port` of
/// `CONNECT` stand for themselves.
#[inline]
pub(crate) fn path_of(target: &[u8]) -> &[u8] {
    let target = if target.first() == Some(&b'/') { target } else { without_authority(target) };
    match memchr::memchr2(b'?', b'#', target) {
        Some(end) => &target[..end],
        None => target,
    }
}

fn without_authority(target: &[u8]) -> &[u8] {
    let Some(colon) = memchr::memmem::find(target, b"://") else { return target };
    if colon == 0 || !target[..colon].iter().all(u8::is_ascii_alphanumeric) {
        return target;
    }
    let rest = &target[colon + 3..];
    match memchr::memchr2(b'/', b'?', rest) {
        Some(slash) if rest[slash] == b'/' => &rest[slash..],
        _ => b"/",
    }
}

/// Whether the path's ending is that of a static file.
pub(crate) fn is_static(path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let Some(dot) = memchr::memrchr(b'.', name) else { return false };
    let ending = &name[dot + 1..];
    STATIC.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_targets() {
        for (target, path) in [
            ("/a/b?c=/d", "/a/b"),
            ("/", "/"),
            ("http://shop.example/a?b", "/a"),
            ("http://shop.example", "/"),
            ("http://shop.example?b", "/"),
            ("/go?to=http://x/", "/go"),
            ("/go/http://x/", "/go/http://x/"),
            ("*", "*"),
            ("shop.example:443", "shop.example:443"),
            ("", ""),
        ] {
            assert_eq!(path_of(target.as_bytes()), path.as_bytes(), "{target}");
        }
    }

    #[test]
    fn static_files_by_ending() {
        assert!(is_static(b"/a/style.CSS") && is_static(b"/x.tar.gz"));
        assert!(!is_static(b"/a.css/b") && !is_static(b"/css") && !is_static(b"/a.html"));
    }

    #[test]
    fn probes_and_logins() {
        assert!(matches!(kind_of(b"/app/.env"), PathKind::Probe(_)));
        assert!(matches!(kind_of(b"/PhpMyAdmin/index.php"), PathKind::Probe(_)));
        assert_eq!(kind_of(b"/user/login"), PathKind::Login);
        assert_eq!(kind_of(b"/shop/7"), PathKind::Plain);
        assert!(is_login(b"/wp-login.php"));
        assert!(PROBES.len() <= 64);
        assert_eq!(
            probe_names(0b1000_0000 | 0b1_0000_0000 | 1),
            ["WordPress", "environment files"]
        );
    }
}
