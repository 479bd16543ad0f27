//! `cargo xtask test | bench | gen`: everything that is done to the repository itself.

mod bench;
mod packages;
mod test;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask COMMAND

commands:
  test               format, lints, tests, documentation; installs what the tests need
  bench load         the load engine against wrk and oha, on loopback; writes docs/benchmarks.md";

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test"] => test::run(),
        ["bench", "load", rest @ ..] => bench::load::run(rest),
        ["help" | "--help" | "-h"] | [] => {
            eprintln!("{USAGE}");
            Ok(())
        }
        other => bail!("unknown command `{}`\n{USAGE}", other.join(" ")),
    }
}
