//! Experiments of a running gateway: the store, the live service, the hook of the gateway and the
//! API, wired.

mod bearer;
mod hook;
mod kept;
mod read;
mod request;
mod secret;

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use experiment::event::UnixMicros;
use experiment::ledger::Journal;
use experiment::live::params::ServiceParams;
use experiment::live::{Keeper, Live, Signer};
use store::{Events, Options};

use self::hook::Hook;
use self::kept::KeptFile;
use self::read::{Declared, declared};
use crate::exit::Failed;

/// Folder of the events in the data folder.
pub(crate) const EVENTS_FOLDER: &str = "events";
/// File of kept assignments in the data folder.
const KEPT_FILE: &str = "kept";

/// Experiments that run.
pub(crate) struct Running {
    live: Arc<Live>,
    events: Arc<Events>,
    hook: Arc<Hook>,
    params: ServiceParams,
}

impl Running {
    /// Starts what a configuration declares; `None` when it declares no `[experiments]`.
    ///
    /// # Errors
    /// When the configuration is wrong, or the data cannot be used.
    pub(crate) fn start(config: &Path) -> Result<Option<Running>, Failed> {
        let Some(declared) = declared(config).map_err(Failed::rendered)? else { return Ok(None) };
        let Declared { params, set, definitions } = declared;
        let fail = |error: &dyn std::fmt::Display| Failed::environment(&error.to_string());
        let data = &params.data;
        std::fs::create_dir_all(data)
            .map_err(|error| fail(&format!("{}: {error}", data.display())))?;
        let secret = secret::of(&params).map_err(|error| fail(&error))?;
        let events = Events::open(&data.join(EVENTS_FOLDER), Options::default());
        let events = Arc::new(events.map_err(|error| fail(&error))?);
        let kept = KeptFile::open(&data.join(KEPT_FILE)).map_err(|error| fail(&error))?;
        let journal = Arc::clone(&events) as Arc<dyn Journal>;
        let store = (journal, Arc::new(kept) as Arc<dyn Keeper>);
        let signer = Signer::new(&secret);
        let live = Live::start(store, signer, params.limits, (set, &definitions), now_us);
        let live = Arc::new(live.map_err(|error| Failed::rendered(error.to_string()))?);
        let hook = Hook::new(Arc::clone(&live), &params).map_err(Failed::rendered)?;
        Ok(Some(Running { live, events, hook: Arc::new(hook), params }))
    }

    /// What the gateway asks.
    pub(crate) fn hook(&self) -> Arc<dyn gateway::Experiments> {
        Arc::clone(&self.hook) as Arc<dyn gateway::Experiments>
    }

    /// Where the API listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.params.address
    }

    /// What was recorded, for whoever analyses it.
    pub(crate) fn events(&self) -> &Arc<Events> {
        &self.events
    }

    /// The live service.
    pub(crate) fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Takes the experiments of a configuration that was changed. Where the service listens and
    /// what it may is taken at the start only.
    pub(crate) fn reload(&self, config: &Path) -> Result<(), String> {
        let Some(Declared { params, set, definitions }) = declared(config)? else {
            return Err("`[experiments]` cannot be removed while it runs: restart".to_owned());
        };
        if params != self.params {
            tracing::warn!("changes of `[experiments]` itself are taken at the next start");
        }
        self.live.replace(set, &definitions).map_err(|error| error.to_string())
    }

    /// Serves the API until `shutdown` is over.
    pub(crate) async fn serve(
        &self,
        socket: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> std::io::Result<()> {
        web::serve_experiments(socket, Arc::clone(&self.live), &self.params, shutdown).await
    }

    /// Writes what waits.
    pub(crate) fn stop(&self) {
        self.live.stop();
        let numbers = self.live.numbers();
        let lost = numbers.overflowed + numbers.failed;
        if lost > 0 {
            tracing::warn!(
                overflowed = numbers.overflowed,
                failed = numbers.failed,
                "some first exposures were not recorded when they happened"
            );
        }
    }
}

/// Microseconds since 1970.
pub(crate) fn now_us() -> UnixMicros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMicros::try_from(since.as_micros()).unwrap_or(UnixMicros::MAX)
}
