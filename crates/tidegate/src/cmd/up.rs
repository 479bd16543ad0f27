//! `tidegate up`: run a gateway.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use config::{Look, read_gateway};
use gateway::Gateway;
use gateway::params::GatewayParams;
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use web::{Control, Pending, Refusal, Set};

use crate::exit::{Exit, Failed};
use crate::experiments::Running;
use crate::output::style_of_stderr;
use crate::upgrade;

/// Run a gateway: balance, cache, limit and fail over, as one file says
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidegate up --config tidegate.toml\n\n\
    Signals: HUP reads the file again · USR1 opens the access log again · USR2 starts the \
    installed program in its place, without losing a request · TERM and INT drain and end")]
pub(crate) struct UpArgs {
    /// The configuration (docs/reference/gateway.md)
    #[arg(long, short, default_value = "tidegate.toml")]
    config: PathBuf,
}

pub(crate) fn run(args: &UpArgs) -> Result<Exit, Failed> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(style_of_stderr().color)
        .with_target(false)
        .init();
    load::raise_descriptor_limit();
    let params = read(&args.config).map_err(Failed::rendered)?;
    let mut inherited = upgrade::inherited().map_err(|error| Failed::environment(&error))?;
    let admin = params.admin.clone();
    let admin_socket = admin
        .as_ref()
        .map(|admin| socket_of(admin.address, &mut inherited))
        .transpose()
        .map_err(|error| Failed::environment(&error))?;
    let experiments = Running::start(&args.config)?;
    let api_socket = experiments
        .as_ref()
        .map(|experiments| socket_of(experiments.address(), &mut inherited))
        .transpose()
        .map_err(|error| Failed::environment(&error))?;
    let hook = experiments.as_ref().map(Running::hook);
    let gateway = Gateway::start_with(params, inherited, hook)
        .map_err(|error| Failed::environment(&error))?;
    for (name, address) in gateway.addresses() {
        eprintln!("listening on {address} ({name})");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failed::environment(&error))?;
    let operator = Arc::new(Operator {
        gateway: Arc::new(gateway),
        experiments,
        path: args.config.clone(),
        drain: Arc::default(),
    });
    let token = admin.and_then(|admin| admin.token);
    runtime
        .block_on(operate(Arc::clone(&operator), (admin_socket, api_socket), token))
        .map_err(|error| Failed::environment(&error))?;
    operator.gateway.drain();
    operator.experiments.iter().for_each(Running::stop);
    Ok(Exit::Ok)
}

/// The configuration of a file, or its errors as people read them.
fn read(path: &Path) -> Result<GatewayParams, String> {
    read_gateway(path).map_err(|errors| errors.render(Look::of_stderr()))
}

/// The admin socket: a predecessor's, or a new one.
fn socket_of(
    address: SocketAddr,
    inherited: &mut Vec<TcpListener>,
) -> std::io::Result<TcpListener> {
    let known =
        inherited.iter().position(|socket| socket.local_addr().is_ok_and(|local| local == address));
    match known {
        Some(known) => Ok(inherited.swap_remove(known)),
        None => TcpListener::bind(address),
    }
}

/// Obeys signals and the admin address until the gateway is to end.
async fn operate(
    operator: Arc<Operator>,
    (admin, api): (Option<TcpListener>, Option<TcpListener>),
    token: Option<String>,
) -> std::io::Result<()> {
    let listen = |kind| -> std::io::Result<Signal> { signal(kind) };
    let mut hang_up = listen(SignalKind::hangup())?;
    let mut reopen = listen(SignalKind::user_defined1())?;
    let mut renew = listen(SignalKind::user_defined2())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let copy = admin.as_ref().map(TcpListener::try_clone).transpose()?;
    let stop = Arc::new(Notify::new());
    if let Some(socket) = admin {
        let address = socket.local_addr()?;
        eprintln!("listening on {address} (admin)");
        let control: Arc<dyn Control> = operator.clone();
        let stopped = Arc::clone(&stop);
        tokio::spawn(async move {
            let stopped = async move { stopped.notified().await };
            if let Err(error) = web::serve(socket, token, control, stopped).await {
                tracing::error!(%error, "the admin address is not served any more");
            }
        });
    }
    let stop_api = Arc::new(Notify::new());
    let api = match api {
        Some(socket) => {
            eprintln!("listening on {} (experiments)", socket.local_addr()?);
            let (operator, stopped) = (Arc::clone(&operator), Arc::clone(&stop_api));
            Some(tokio::spawn(async move {
                let stopped = async move { stopped.notified().await };
                let Some(experiments) = &operator.experiments else { return };
                if let Err(error) = experiments.serve(socket, stopped).await {
                    tracing::error!(%error, "the address of experiments is not served any more");
                }
            }))
        }
        None => None,
    };
    upgrade::tell_ready();
    loop {
        tokio::select! {
            _ = hang_up.recv() => match operator.reload_file().await {
                Ok(()) => tracing::info!("the configuration was read again"),
                Err(text) => tracing::error!("the configuration was not taken\n{text}"),
            },
            _ = reopen.recv() => operator.gateway.reopen_log(),
            _ = renew.recv() => match operator.hand_over(copy.as_ref()).await {
                Ok(()) => {
                    // The admin address is the successor's from now on.
                    stop.notify_one();
                    break;
                }
                Err(error) => tracing::error!(%error, "no successor took over"),
            },
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = operator.drain.notified() => break,
        }
    }
    tracing::info!("draining");
    drop(copy);
    tokio::spawn(async move {
        // Whoever asks twice does not want to wait.
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(130);
    });
    let gateway = Arc::clone(&operator.gateway);
    let drained = tokio::task::spawn_blocking(move || gateway.drain()).await;
    stop.notify_one();
    stop_api.notify_one();
    if let Some(api) = api {
        // It ends soon; what goes wrong with it was told.
        let _ = api.await;
    }
    drained.map_err(std::io::Error::other)
}

/// What operators work on.
struct Operator {
    gateway: Arc<Gateway>,
    experiments: Option<Running>,
    path: PathBuf,
    drain: Arc<Notify>,
}

impl Operator {
    async fn reload_file(&self) -> Result<(), String> {
        if self.gateway.is_draining() {
            return Err("the gateway is draining, no configuration is read any more".to_owned());
        }
        let params = read(&self.path)?;
        if let Some(experiments) = &self.experiments {
            experiments.reload(&self.path)?;
        }
        self.gateway.reload(params).await.map_err(|error| error.to_string())
    }

    /// Starts a successor with our sockets, and waits until it serves.
    async fn hand_over(&self, admin: Option<&TcpListener>) -> std::io::Result<()> {
        if self.experiments.is_some() {
            // Two processes cannot write one journal.
            let why = "a gateway with experiments cannot be replaced while it runs, as two \
                       processes cannot write one data folder: this one goes on. To run the \
                       installed program, end this one (TERM: what is under way is finished, and \
                       everything recorded) and start it again; USR2 works for gateways without \
                       experiments";
            return Err(std::io::Error::other(why));
        }
        let mut sockets = self.gateway.sockets().await?;
        sockets.extend(admin.map(TcpListener::try_clone).transpose()?);
        tokio::task::spawn_blocking(move || upgrade::hand_over(&sockets))
            .await
            .map_err(std::io::Error::other)?
    }
}

impl Control for Operator {
    fn metrics(&self) -> String {
        let experiments = self.experiments.as_ref().map(Running::metrics);
        self.gateway.metrics() + &experiments.unwrap_or_default()
    }

    fn status(&self) -> Value {
        self.gateway.status()
    }

    fn is_draining(&self) -> bool {
        self.gateway.is_draining()
    }

    fn reload(&self) -> Pending<'_> {
        Box::pin(async {
            self.reload_file().await.map_err(Refusal::Invalid)?;
            Ok(json!({ "reloaded": true }))
        })
    }

    fn purge(&self, purge: &web::Purge) -> Result<Value, Refusal> {
        crate::admin::purge(&self.gateway, purge)
    }

    fn drain(&self) -> Result<Value, Refusal> {
        self.drain.notify_one();
        Ok(json!({ "draining": true }))
    }

    fn set_server(&self, upstream: &str, server: &str, set: Set) -> Result<Value, Refusal> {
        crate::admin::set_server(&self.gateway, upstream, server, set)
    }
}
