//! Where experiments are: in a tidegate that runs, or in the data folder when none does.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use config::{Look, read_experiments, read_gateway};
use experiment::automation::{Answer, Command, OperateError, Operator};
use experiment::ledger::{Control, Results};
use store::{Events, OpenError, Options, SqliteControl};

use super::client;
use crate::exit::{Exit, Failed};
use crate::experiments::{CONTROL_FILE, now_us};

/// The variable that holds the token.
const TOKEN_VARIABLE: &str = "TIDEGATE_TOKEN";

/// Where experiments are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where")]
pub(super) struct Reach {
    /// The configuration of the gateway, which names address, token and data folder
    #[arg(long, short, value_name = "FILE", default_value = "tidegate.toml", global = true)]
    config: PathBuf,
    /// Ask this address only; the token is taken from TIDEGATE_TOKEN
    #[arg(long, value_name = "ADDRESS", conflicts_with = "data", global = true)]
    api: Option<SocketAddr>,
    /// Open this data folder; no tidegate may use it meanwhile
    #[arg(long, value_name = "FOLDER", global = true)]
    data: Option<PathBuf>,
}

impl Reach {
    /// Names of the gateway's upstreams; `None` when its configuration is not known.
    pub(super) fn upstreams(&self) -> Option<Vec<String>> {
        if self.api.is_some() || self.data.is_some() {
            return None;
        }
        let gateway = read_gateway(&self.config).ok()?;
        Some(gateway.upstreams.into_iter().map(|upstream| upstream.name).collect())
    }

    /// Asks for something.
    ///
    /// # Errors
    /// When nobody can be asked, or the answer is no.
    pub(super) fn ask(&self, command: &Command) -> Result<Answer, Failed> {
        let from_variable = || std::env::var(TOKEN_VARIABLE).ok();
        if let Some(address) = self.api {
            return client::ask(address, from_variable().as_deref(), command)?
                .ok_or_else(|| environment(&format!("nobody answers at {address}")));
        }
        if let Some(folder) = &self.data {
            return in_folder(folder, command);
        }
        let read = read_experiments(&self.config);
        let read = read.map_err(|errors| Failed::rendered(errors.render(Look::of_stderr())))?;
        let Some((service, _)) = read else {
            let file = self.config.display();
            let what = format!("{file} has no experiments: name another with --config");
            return Err(Failed::usage(what));
        };
        let token = service.token.or_else(from_variable);
        if let Some(answer) = client::ask(service.address, token.as_deref(), command)? {
            return Ok(answer);
        }
        in_folder(&service.data, command)
    }
}

/// Opens a data folder, which keeps everybody else out meanwhile.
fn in_folder(folder: &Path, command: &Command) -> Result<Answer, Failed> {
    if command.only_looks() && !folder.join(CONTROL_FILE).exists() {
        let folder = folder.display();
        return Err(environment(&format!("{folder}: nothing was recorded here, and nobody runs")));
    }
    let open = |error: OpenError| match error {
        OpenError::Locked { path } => environment(&format!(
            "{}: a tidegate uses this folder: ask it, with --api ADDRESS",
            path.display()
        )),
        other => Failed::environment(&other),
    };
    let events = Events::open(folder, Options::default()).map_err(open)?;
    let control = SqliteControl::open(&folder.join(CONTROL_FILE)).map_err(open)?;
    let control: Arc<dyn Control> = Arc::new(control);
    let events: Arc<dyn Results> = Arc::new(events);
    let operator = Operator::new(control, events, None);
    let now = u64::try_from(now_us() / 1_000).unwrap_or(0);
    operator.run(command, &who(), now).map_err(|error| refused(&error))
}

/// Who asks, for the audit log.
pub(super) fn who() -> String {
    let user = std::env::var("USER").unwrap_or_default();
    let plain: String = user.chars().filter(|c| !c.is_control()).take(64).collect();
    if plain.is_empty() { "operator".to_owned() } else { plain }
}

fn refused(error: &OperateError) -> Failed {
    let message = format!("error: {error}");
    let exit = match error {
        OperateError::Refused(_) => Exit::No,
        OperateError::Document(_) => Exit::Environment,
        OperateError::Unknown(_)
        | OperateError::Problems(_)
        | OperateError::Apply(_)
        | OperateError::Live(_) => Exit::Usage,
    };
    Failed { exit, message }
}

pub(super) fn environment(what: &str) -> Failed {
    Failed { exit: Exit::Environment, message: format!("error: {what}") }
}
