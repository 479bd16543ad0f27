//! `tidegate config`: look at a gateway's configuration without running it.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use config::{Look, read_gateway};
use gateway::params::GatewayParams;
use gateway::{Question, explain};

use crate::exit::{Exit, Failed};
use crate::output::print_all;

/// Check a gateway's configuration, or ask what it does with a request
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    verb: ConfigVerb,
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
    /// Say whether a configuration can be used, and what is wrong with it
    #[command(after_help = "Example:\n  tidegate config check tidegate.toml")]
    Check {
        /// The configuration
        #[arg(default_value = "tidegate.toml")]
        file: PathBuf,
    },
    /// Say which route, limits, cache key and upstream a request gets, and why
    #[command(after_help = "Example:\n  tidegate config explain tidegate.toml GET \
        https://shop.example/api/items?page=2 -H 'x-user: 7'")]
    Explain {
        /// The configuration
        file: PathBuf,
        /// The method
        method: String,
        /// The URL, or only its path
        url: String,
        /// A request field, `name: value`; may be given several times
        #[arg(long = "header", short = 'H')]
        headers: Vec<String>,
        /// The client's address
        #[arg(long, default_value = "192.0.2.1")]
        client: IpAddr,
    },
}

pub(crate) fn run(args: ConfigArgs) -> Result<Exit, Failed> {
    match args.verb {
        ConfigVerb::Check { file } => {
            let params = read(&file)?;
            let (routes, upstreams) = (params.routes.len(), params.upstreams.len());
            let listeners = params.listeners.len();
            print_all(&format!(
                "{} can be used: {listeners} listeners, {routes} routes, {upstreams} upstreams\n",
                file.display()
            ));
        }
        ConfigVerb::Explain { file, method, url, headers, client } => {
            let params = read(&file)?;
            let fields = headers
                .iter()
                .map(|header| match header.split_once(':') {
                    Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
                    None => {
                        Err(Failed::usage(format!("`{header}` is no field: write `name: value`")))
                    }
                })
                .collect::<Result<Vec<_>, Failed>>()?;
            let question = Question { method, url, fields, client };
            let explanation = explain(&params, &question).map_err(|error| {
                Failed::usage(format!("the gateway answers {}: {error}", error.status()))
            })?;
            let lines = explanation.iter().map(|(what, text)| format!("{what:<15} {text}\n"));
            print_all(&lines.collect::<String>());
        }
    }
    Ok(Exit::Ok)
}

fn read(file: &std::path::Path) -> Result<GatewayParams, Failed> {
    read_gateway(file).map_err(|errors| Failed::rendered(errors.render(Look::of_stderr())))
}
