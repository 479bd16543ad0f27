//! `tidegate config`: look at a gateway's configuration without running it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use config::{Look, read_gateway};
use experiment::automation::Declared;
use experiment::live::params::ServiceParams;
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
            let (params, experiments) = read(&file)?;
            let (routes, upstreams) = (params.routes.len(), params.upstreams.len());
            let listeners = params.listeners.len();
            let file = file.display();
            let experiments = experiments.map_or_else(String::new, |(_, declared)| {
                let (count, metrics) = (declared.set.experiments.len(), declared.metrics.len());
                format!(", {count} experiments, {metrics} metrics")
            });
            print_all(&format!(
                "{file} can be used: {listeners} listeners, {routes} routes, {upstreams} \
                 upstreams{experiments}\n"
            ));
        }
        ConfigVerb::Explain { file, method, url, headers, client } => {
            let (params, experiments) = read(&file)?;
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
            let about = |asked: &gateway::Asked<'_>| {
                let declared = experiments.map(|(service, declared)| (service, declared.set));
                declared.map(|it| crate::experiments::explain(it, asked)).unwrap_or_default()
            };
            let explanation = explain(&params, &question, about).map_err(|error| {
                Failed::usage(format!("the gateway answers {}: {error}", error.status()))
            })?;
            let lines = explanation.iter().map(|(what, text)| format!("{what:<15} {text}\n"));
            print_all(&lines.collect::<String>());
        }
    }
    Ok(Exit::Ok)
}

/// What a file says of the gateway and of experiments, or everything that is wrong with either.
fn read(file: &Path) -> Result<(GatewayParams, Option<(ServiceParams, Declared)>), Failed> {
    let gateway = read_gateway(file).map_err(|errors| errors.render(Look::of_stderr()));
    let experiments = crate::experiments::declared(file);
    match (gateway, experiments) {
        (Ok(gateway), Ok(experiments)) => Ok((gateway, experiments)),
        (Ok(_), Err(text)) | (Err(text), Ok(_)) => Err(Failed::rendered(text)),
        // A file that is no TOML is told of once.
        (Err(one), Err(other)) if one == other => Err(Failed::rendered(one)),
        (Err(one), Err(other)) => Err(Failed::rendered(format!("{one}\n{other}"))),
    }
}
