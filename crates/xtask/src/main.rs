//! `cargo xtask test | bench | conformance`: everything that is done to the repository itself.

mod bench;
mod conformance;
mod origin;
mod packages;
mod process;
mod section;
mod test;
mod tidegate;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask COMMAND

commands:
  test                    format, lints, tests, documentation, conformance; installs what they need
  bench load              the load engine against wrk and oha, on loopback; writes docs/benchmarks.md
  bench gateway           the gateway against nginx, HAProxy and Varnish; writes docs/benchmarks.md
    --rounds N, --seconds N, --proxies NAME,NAME (try it without tidegate; writes nothing)
  bench experiment        decisions, durable events, analysis, memory; writes docs/benchmarks.md
  bench logs              reading a large access log, against GoAccess
  bench plan              scaling policies on recorded traces; writes docs/benchmarks.md
  bench soak              memory under random traffic
    --minutes N, --proxy tidegate|nginx
  conformance cache       the npm suite http-cache-tests; compares with docs/cache-conformance.json
    --against NAME,NAME   measures nginx, varnish, haproxy, squid, httpd instead
    --against URL --origin PORT   a cache that runs already, in front of that port
  conformance manifests   what `plan --emit` writes, against schemas of Kubernetes, KEDA, Knative and AWS
  conformance websocket   Autobahn's cases through a tunnel to an echo server
  conformance slow        slow clients: headers, bodies, reads, ranges
  conformance h2          many HTTP/2 streams
    --proxy tidegate|nginx|haproxy (these three)
  conformance all         all of these against tidegate, as `test` does

UPDATE_CONFORMANCE=1 stores tidegate's results of the cache suite as the ones to keep.";

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test"] => test::run(),
        ["bench", "load", rest @ ..] => bench::load::run(rest),
        ["bench", "gateway", rest @ ..] => bench::gateway::run(rest),
        ["bench", "experiment", rest @ ..] => bench::experiment::run(rest),
        ["bench", "logs"] => bench::logs::run(),
        ["bench", "plan"] => bench::plan::run(),
        ["bench", "soak", rest @ ..] => bench::soak::run(rest),
        ["conformance", rest @ ..] => conformance::run(rest),
        ["help" | "--help" | "-h"] | [] => {
            eprintln!("{USAGE}");
            Ok(())
        }
        other => bail!("unknown command `{}`\n{USAGE}", other.join(" ")),
    }
}

/// Reads `--name VALUE` pairs; every name must be one of `known`.
fn options<'a>(args: &[&'a str], known: &[&str]) -> Result<Vec<(&'a str, &'a str)>> {
    args.chunks(2)
        .map(|pair| match *pair {
            [name, value] if known.contains(&name) => Ok((name, value)),
            [name, _] => bail!("unknown option `{name}`; there are {}", known.join(", ")),
            [name] => {
                bail!("`{name}` needs a value, or is not known; there are {}", known.join(", "))
            }
            _ => bail!("no option"),
        })
        .collect()
}
