//! What stays open with `--keep`: the shop, the gateway, and the gateway's admin address.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use gateway::Gateway;
use serde_json::Value;
use tokio::sync::oneshot;
use web::{Control, Pending, Refusal, Set};

use crate::demo::front::{CONFIG_NAME, LOG_NAME};
use crate::demo::lesson;
use crate::demo::shop::Shop;
use crate::demo::trial::Trial;
use crate::exit::Failed;
use crate::signals;

/// Leaves everything open until a signal comes.
///
/// # Errors
/// When the admin address cannot be had.
pub(crate) fn keep(
    gateway: Gateway,
    address: SocketAddr,
    shop: &Shop,
    (folder, trial): (&Path, &Trial),
) -> Result<(), Failed> {
    let failed = |error: std::io::Error| Failed::environment(&error);
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
    let admin = socket.local_addr().map_err(failed)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let control: Arc<dyn Control> = Arc::new(Desk(gateway));
    let (close, closed) = oneshot::channel::<()>();
    let thread = std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
        runtime.block_on(web::serve(socket, None, control, async {
            // An error tells only that the sender is gone, which is the sign to close.
            let _ = closed.await;
        }))
    });
    let thread = thread.map_err(failed)?;
    let (config, log) = (folder.join(CONFIG_NAME), folder.join(LOG_NAME));
    let (config, log) = (config.display(), log.display());
    eprintln!("\nAll of it stays open until Ctrl-C. Try:\n");
    eprintln!("  the shop            curl -i http://{address}/product/7");
    for (number, server) in shop.servers().iter().enumerate() {
        eprintln!("  its server {}        http://{}/", number + 1, server.address());
    }
    eprintln!("  how it is           curl http://{admin}/status");
    eprintln!("  metrics             curl http://{admin}/metrics");
    eprintln!(
        "  empty the cache     curl -X POST http://{admin}/purge -H 'content-type: application/json' -d '{{\"all\":true}}'"
    );
    eprintln!("  the configuration   tidegate config explain {config} GET /product/7");
    eprintln!("  the day once more   tidegate load --from-log {log} -H http://{address} --speed 5");
    eprint!("{}", lesson::commands(trial));
    signals::wait();
    drop(close);
    match thread.join() {
        Ok(served) => served.map_err(failed),
        // A panic has been printed already.
        Err(_) => Ok(()),
    }
}

/// The operator's desk of the demo's gateway.
struct Desk(Gateway);

impl Control for Desk {
    fn metrics(&self) -> String {
        self.0.metrics()
    }

    fn status(&self) -> Value {
        self.0.status()
    }

    fn is_draining(&self) -> bool {
        self.0.is_draining()
    }

    fn reload(&self) -> Pending<'_> {
        let why = "the demo's configuration does not change; `tidegate up` reads its file again";
        Box::pin(async move { Err(Refusal::Unavailable(why.to_owned())) })
    }

    fn purge(&self, purge: &web::Purge) -> Result<Value, Refusal> {
        crate::admin::purge(&self.0, purge)
    }

    fn drain(&self) -> Result<Value, Refusal> {
        Err(Refusal::Unavailable("Ctrl-C ends the demo".to_owned()))
    }

    fn set_server(&self, upstream: &str, server: &str, set: Set) -> Result<Value, Refusal> {
        crate::admin::set_server(&self.0, upstream, server, set)
    }
}
