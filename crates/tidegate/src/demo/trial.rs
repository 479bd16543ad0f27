//! An experiment in the shop: visitors, orders, and what becomes of three versions of the cart.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use config::{Look, read_gateway};
use experiment::automation::{Answer, Command, Shown, Stage};
use gateway::Gateway;
use load::Control;
use load::params::{LoadParams, Model};
use policy::{Curve, Stage as Climb};
use tokio::sync::oneshot;

use crate::cmd::{ask, execute_with};
use crate::demo::cart::Witness;
use crate::demo::front::{self, Folder};
use crate::demo::lesson;
use crate::demo::shop::Shop;
use crate::demo::till::Till;
use crate::exit::Failed;
use crate::experiments::{Running, now_us};
use crate::output::Output;

/// The configuration, as people may copy it, and who comes.
const TEXT: &str = include_str!("experiment.toml");
const VISITORS: &str = include_str!("visitors.toml");
/// The address of the API in it, which the demo replaces by a free one.
const API: &str = "127.0.0.1:9190";
/// The configuration in the demo's folder.
pub(crate) const FILE_NAME: &str = "experiment.toml";
/// The experiment, its control, and the version that breaks.
pub(crate) const NAME: &str = "cart";
pub(crate) const CONTROL: &str = "today";
pub(crate) const HARMFUL: &str = "express";
/// New visitors per second.
pub(crate) const ARRIVALS_PER_S: u32 = 100;
/// How long they come at most: it ends sooner, once the winner is out.
const TIME_MAX: Duration = Duration::from_secs(40);
/// How long they go on coming once the winner is out.
const AFTERWARDS: Duration = Duration::from_millis(2_500);
/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A gateway with an experiment, and its API. Closes when dropped.
pub(crate) struct Trial {
    /// Where the gateway is.
    pub(crate) address: SocketAddr,
    /// Where the API is.
    pub(crate) api: SocketAddr,
    /// The configuration.
    pub(crate) file: PathBuf,
    running: Arc<Running>,
    // Goes before the experiments that it asks.
    gateway: Option<Gateway>,
    close: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

/// What became of it.
pub(crate) struct Outcome {
    /// What `tidegate experiment status` shows at the end.
    pub(crate) shown: Shown,
    /// When the first visitor came, milliseconds since 1970.
    pub(crate) began_ms: u64,
    /// What the shop saw.
    pub(crate) witness: Witness,
}

impl Trial {
    /// Starts the gateway and the API of experiments on free ports.
    ///
    /// # Errors
    /// When there is no port, thread or room on the disk.
    pub(crate) fn open(shop: &Shop, folder: &Folder) -> Result<Trial, Failed> {
        let failed = |error: std::io::Error| Failed::environment(&error);
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let api = socket.local_addr().map_err(failed)?;
        let file = folder.path().join(FILE_NAME);
        let text = front::with_addresses(TEXT, shop).replace(API, &api.to_string());
        std::fs::write(&file, text).map_err(failed)?;
        let rendered = |errors: config::Errors| Failed::rendered(errors.render(Look::of_stderr()));
        let params = read_gateway(&file).map_err(rendered)?;
        let missing = || Failed::usage("the demo's file has no experiments");
        let running = Arc::new(Running::start(&file)?.ok_or_else(missing)?);
        let (gateway, address) = front::start(params, Some(running.hook()))?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (close, closed) = oneshot::channel::<()>();
        let served = Arc::clone(&running);
        let thread = thread::Builder::new().name("experiments-api".to_owned()).spawn(move || {
            runtime.block_on(served.serve(socket, async {
                // An error tells only that the sender is gone, which is the sign to close.
                let _ = closed.await;
            }))
        });
        let thread = thread.map_err(failed)?;
        Ok(Trial {
            address,
            api,
            file,
            running,
            gateway: Some(gateway),
            close: Some(close),
            thread: Some(thread),
        })
    }

    /// Lets visitors come until the winner is out, or the time is over.
    ///
    /// # Errors
    /// When the load cannot be started, or the API does not answer.
    pub(crate) fn run(&self, shop: &Shop, quiet: bool) -> Result<Outcome, Failed> {
        let params = params(self.address)?;
        let till =
            Till::open(shop.desk(), self.api).map_err(|error| Failed::environment(&error))?;
        let began_ms = u64::try_from(now_us() / 1_000).unwrap_or(0);
        thread::scope(|scope| {
            let (over, is_over) = sync_channel::<()>(0);
            let result = execute_with(params, &mut Output::silent(), |control| {
                scope.spawn(move || self.watch(&control, &is_over, quiet));
            });
            drop(over);
            result
        })?;
        // What is in the till counts.
        drop(till);
        let (shown, witness) = (self.look()?, shop.desk().witness());
        Ok(Outcome { shown, began_ms, witness })
    }

    /// Says once a second how it stands, and sends the visitors home in the end.
    fn watch(&self, control: &Control, is_over: &Receiver<()>, quiet: bool) {
        let start = Instant::now();
        let (mut told, mut out) = (0, None);
        while is_over.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
            // What is wrong now is told by the last look.
            let Ok(shown) = self.look() else { continue };
            if !quiet {
                let news = shown.audit.iter().rev().filter(|line| line.number > told);
                for line in news.filter(|line| line.who == "tidegate") {
                    eprintln!("        {} {}", line.action, line.reason);
                }
                eprintln!("  {:>2} s  {}", start.elapsed().as_secs(), lesson::line(&shown));
            }
            told = shown.audit.first().map_or(told, |line| line.number);
            if matches!(shown.state.stage, Stage::Shipped { .. }) {
                let out = out.get_or_insert_with(Instant::now);
                if out.elapsed() >= AFTERWARDS {
                    control.stop();
                }
            }
        }
    }

    /// What `tidegate experiment status` asks.
    fn look(&self) -> Result<Shown, Failed> {
        let command = Command::Status { experiment: NAME.to_owned() };
        match ask(self.api, None, &command)? {
            Some(Answer::Shown(shown)) => Ok(*shown),
            _ => Err(Failed::usage(format!("{} does not tell how the experiment is", self.api))),
        }
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        drop(self.gateway.take());
        drop(self.close.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed already.
            let _ = thread.join();
        }
        self.running.stop();
    }
}

/// Visitors who keep coming, each with a browser of its own.
fn params(address: SocketAddr) -> Result<LoadParams, Failed> {
    let mut params = front::load_params("visitors.toml", VISITORS, address)?;
    params.stop.run_time = Some(TIME_MAX);
    let all = f64::from(ARRIVALS_PER_S) * TIME_MAX.as_secs_f64();
    // The numbers are finite.
    if let Ok(users) = Curve::staged(0.0, &[Climb { target: all, duration: TIME_MAX }]) {
        params.model = Model::Closed { users };
    }
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_experiment_starts_with_addresses_of_its_own_and_can_be_asked() {
        let (shop, folder) = (Shop::open().unwrap(), Folder::make().unwrap());
        let trial = Trial::open(&shop, &folder).unwrap_or_else(|failed| panic!("{failed:?}"));
        let text = std::fs::read_to_string(&trial.file).unwrap();
        assert!(!text.contains(API) && !text.contains(":8080") && !text.contains(":9001"));
        let shown = trial.look().unwrap_or_else(|failed| panic!("{failed:?}"));
        let arms: Vec<&str> =
            shown.analysis.health.arms.iter().map(|arm| arm.variant.as_str()).collect();
        assert_eq!(arms, [CONTROL, "one-page", HARMFUL]);
        assert!(params(trial.address).is_ok());
    }
}
