//! Experiments of a running gateway: the store, the live service, the hook of the gateway and the
//! API, wired.

mod bearer;
mod explain;
mod hook;
mod kept;
mod read;
mod request;
mod secret;
mod treat;

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use experiment::automation::{Declared, Operator};
use experiment::event::UnixMicros;
use experiment::ledger::{Change, Control, Journal, Results};
use experiment::live::params::ServiceParams;
use experiment::live::{Keeper, Live, Signer};
use experiment::model::Status;
use store::{Events, Options, SqliteControl};

pub(crate) use self::explain::explain;
use self::hook::Hook;
use self::kept::KeptFile;
pub(crate) use self::read::declared;
use crate::exit::Failed;

/// File of what people change, in the data folder.
pub(crate) const CONTROL_FILE: &str = "control.sqlite";
/// File of kept assignments, in the data folder.
const KEPT_FILE: &str = "kept";

/// The name of the configuration in the audit log.
const BY_FILE: &str = "configuration";

/// Experiments that run.
pub(crate) struct Running {
    live: Arc<Live>,
    operator: Arc<Operator>,
    hook: Arc<Hook>,
    params: ServiceParams,
}

impl Running {
    /// Starts what a configuration declares; `None` when it has no `[experiments]`.
    ///
    /// # Errors
    /// When the configuration is wrong, or the data cannot be used.
    pub(crate) fn start(config: &Path) -> Result<Option<Running>, Failed> {
        let Some((params, declared)) = declared(config).map_err(Failed::rendered)? else {
            return Ok(None);
        };
        let data = &params.data;
        let folder = std::fs::create_dir_all(data);
        folder.map_err(|error| unusable(&format!("{}: {error}", data.display())))?;
        let secret = secret::of(&params).map_err(|error| unusable(&error))?;
        let kept = KeptFile::open(&data.join(KEPT_FILE)).map_err(|error| unusable(&error))?;
        let events = Events::open(data, Options::default());
        let events = Arc::new(events.map_err(|error| Failed::environment(&error))?);
        let control = SqliteControl::open(&data.join(CONTROL_FILE));
        let control: Arc<dyn Control> =
            Arc::new(control.map_err(|error| Failed::environment(&error))?);
        let results = Arc::clone(&events) as Arc<dyn Results>;
        let wrong = |error: &dyn std::fmt::Display| Failed::usage(error.to_string());

        // What was declared before and what happened since are in the store; the file adds to it.
        let before = Operator::new(Arc::clone(&control), Arc::clone(&results), None);
        before.adopt(&declared, &by_file()).map_err(|error| wrong(&error))?;
        let (set, definitions) = before.current().map_err(|error| wrong(&error))?;

        let store = (events as Arc<dyn Journal>, Arc::new(kept) as Arc<dyn Keeper>);
        let signer = Signer::new(&secret);
        let live = Live::start(store, signer, params.limits, (set, &definitions), now_us);
        let live = Arc::new(live.map_err(|error| wrong(&error))?);
        let operator = Operator::new(control, results, Some(Arc::clone(&live)));
        warn_of_leftovers(&live, &operator, &declared);
        let hook = Hook::new(Arc::clone(&live), &params).map_err(|error| wrong(&error))?;
        Ok(Some(Running { live, operator: Arc::new(operator), hook: Arc::new(hook), params }))
    }

    /// What the gateway asks.
    pub(crate) fn hook(&self) -> Arc<dyn gateway::Experiments> {
        Arc::clone(&self.hook) as Arc<dyn gateway::Experiments>
    }

    /// Where the API listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.params.address
    }

    /// Takes the experiments of a configuration that was changed. Where the service listens and
    /// what it may is taken at the start only.
    pub(crate) fn reload(&self, config: &Path) -> Result<(), String> {
        let Some((params, declared)) = declared(config)? else {
            return Err("`[experiments]` cannot be removed while it runs: restart".to_owned());
        };
        if params != self.params {
            tracing::warn!("changes of `[experiments]` itself are taken at the next start");
        }
        self.operator.adopt(&declared, &by_file()).map_err(|error| error.to_string())?;
        warn_of_leftovers(&self.live, &self.operator, &declared);
        Ok(())
    }

    /// What the way to the journal did, in the text format of Prometheus.
    pub(crate) fn metrics(&self) -> String {
        let numbers = self.live.numbers();
        let exposures = [
            ("recorded", numbers.recorded),
            ("overflowed", numbers.overflowed),
            ("failed", numbers.failed),
        ];
        let name = "tidegate_experiment_exposures_total";
        let mut text = format!(
            "# HELP {name} First exposures of the gateway, by what became of them.\n\
             # TYPE {name} counter\n"
        );
        for (result, count) in exposures {
            text.push_str(&format!("{name}{{result=\"{result}\"}} {count}\n"));
        }
        let name = "tidegate_experiment_recording";
        let recording = u8::from(!numbers.failing);
        text.push_str(&format!(
            "# HELP {name} Whether experiments can be recorded: 1 or 0.\n\
             # TYPE {name} gauge\n{name} {recording}\n"
        ));
        text
    }

    /// Serves the API and acts on results until `shutdown` is over.
    pub(crate) async fn serve(
        &self,
        socket: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> std::io::Result<()> {
        let service = (Arc::clone(&self.live), Arc::clone(&self.operator));
        let serve = web::serve_experiments(socket, service, &self.params, shutdown);
        tokio::select! {
            served = serve => served,
            () = self.automate() => Ok(()),
        }
    }

    async fn automate(&self) {
        let mut every = tokio::time::interval(self.params.act_every);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let (operator, now) = (Arc::clone(&self.operator), self.live.now());
            let ticked = tokio::task::spawn_blocking(move || operator.tick(now)).await;
            for (experiment, done) in ticked.unwrap_or_default() {
                match done {
                    Ok(action) => {
                        tracing::info!(experiment, action = action.name(), "{}", action.reason());
                    }
                    Err(error) => tracing::error!(experiment, %error, "cannot act on results"),
                }
            }
        }
    }

    /// Writes what waits.
    pub(crate) fn stop(&self) {
        self.live.stop();
        let numbers = self.live.numbers();
        if numbers.overflowed + numbers.failed > 0 {
            tracing::warn!(
                overflowed = numbers.overflowed,
                failed = numbers.failed,
                "some first exposures were not recorded when they happened"
            );
        }
    }
}

/// The data folder, or something in it, cannot be used.
fn unusable(what: &str) -> Failed {
    Failed::environment(&std::io::Error::other(what.to_owned()))
}

/// Says which experiments run that the configuration declared before and does not any more: they
/// have data, so that somebody must decide about them.
fn warn_of_leftovers(live: &Live, operator: &Operator, declared: &Declared) {
    for experiment in &live.current().source().experiments {
        let key = &experiment.key;
        let is_left = experiment.status == Status::Running
            && declared.set.experiments.iter().all(|it| it.key != *key)
            && operator.declared_by(key).is_ok_and(|who| who.as_deref() == Some(BY_FILE));
        if is_left {
            tracing::warn!(
                "experiment `{key}` is not in the configuration any more and goes on: end it with \
                 `tidegate experiment stop {key}`"
            );
        }
    }
}

/// Who changes what the configuration says.
fn by_file() -> Change<'static> {
    let time_ms = u64::try_from(now_us() / 1_000).unwrap_or(0);
    Change { who: BY_FILE, reason: "the configuration was read", time_ms }
}

/// Microseconds since 1970.
pub(crate) fn now_us() -> UnixMicros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMicros::try_from(since.as_micros()).unwrap_or(UnixMicros::MAX)
}
