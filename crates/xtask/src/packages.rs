//! System packages that tests and benchmarks need: installed when allowed, named when not.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A program and the Debian package that holds it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needed {
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
}

/// Makes sure that every program can be run.
pub(crate) fn ensure(needed: &[Needed]) -> Result<()> {
    let missing = missing(needed);
    if missing.is_empty() {
        return Ok(());
    }
    install(&missing)?;
    let still: Vec<&str> = self::missing(needed).iter().map(|needed| needed.package).collect();
    if !still.is_empty() {
        bail!("could not install {0}\ninstall them yourself: apt-get install {0}", still.join(" "));
    }
    Ok(())
}

/// Installs packages, whether their programs are there or not.
pub(crate) fn install(needed: &[Needed]) -> Result<()> {
    let packages: Vec<&str> = needed.iter().map(|needed| needed.package).collect();
    let Some(prefix) = apt_prefix() else {
        bail!(
            "these packages are missing: {0}\ninstall them, for example: apt-get install {0}",
            packages.join(" ")
        );
    };
    eprintln!("installing {}", packages.join(" "));
    let apt = |args: &[&str]| {
        let mut words =
            prefix.iter().copied().chain(["apt-get", "-qq"]).chain(args.iter().copied());
        let program = words.next().unwrap_or("apt-get");
        Command::new(program)
            .args(words)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    // The lists may be fresh enough; if they are not, installing says so.
    apt(&["update"]);
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(&packages);
    apt(&install);
    Ok(())
}

/// Whether a program is on the path (or where Debian keeps daemons).
pub(crate) fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(Into::into))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// The version in what a program says with `flag`, such as `1.22.1`.
///
/// # Errors
/// Fails when it cannot be run or names no version.
pub(crate) fn version(program: &str, flag: &str) -> Result<String> {
    let path = find(program).with_context(|| format!("{program} is missing"))?;
    let output = Command::new(path).arg(flag).output()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let found = text.split_whitespace().find_map(version_of);
    found.with_context(|| format!("{program} {flag} named no version: {text}"))
}

/// The version in a word such as `nginx/1.22.1` or `(varnish-7.1.1`.
fn version_of(word: &str) -> Option<String> {
    let rest = &word[word.find(|letter: char| letter.is_ascii_digit())?..];
    let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let number = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
    number.contains('.').then(|| number.to_owned())
}

fn missing(needed: &[Needed]) -> Vec<Needed> {
    needed.iter().copied().filter(|needed| find(needed.program).is_none()).collect()
}

/// How to run apt with the rights it needs; `None` when that is not possible.
fn apt_prefix() -> Option<Vec<&'static str>> {
    find("apt-get")?;
    let is_root = Path::new("/proc/self").exists()
        && std::fs::read_to_string("/proc/self/status")
            .is_ok_and(|status| status.lines().any(|line| line.starts_with("Uid:\t0\t")));
    if is_root {
        return Some(Vec::new());
    }
    let may_sudo = Command::new("sudo")
        .args(["-n", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    may_sudo.then(|| vec!["sudo", "-n"])
}

#[cfg(test)]
mod tests {
    use super::version_of;

    #[test]
    fn versions_stand_in_words_of_many_shapes() {
        for (word, version) in [
            ("nginx/1.22.1", Some("1.22.1")),
            ("2.6.12-1+deb12u4", Some("2.6.12")),
            ("(varnish-7.1.1", Some("7.1.1")),
            ("Apache/2.4.71", Some("2.4.71")),
            ("version:", None),
            ("2026", None),
        ] {
            assert_eq!(version_of(word).as_deref(), version, "{word}");
        }
    }
}
