//! `edge-agent run`: one agent by a file, or by flags for a quick try.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Args;
use service::{
    Tasks,
    clock::SystemClock,
    config::{ConfigError, Loaded},
    exit,
    logs::{self, LogFormat, chain},
    tasks::StopError,
};
use tracing::info;
use wire::time::Timestamp;

use crate::{
    agent::{self, Settings, StartError},
    config::{self, Config},
    source::SourceError,
    spool::OpenFolderError,
    unit::systemd::Notifier,
};

/// How long a stop may take.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// Log kept in memory for a command that asks for it.
const LOG_KEPT_BYTES: usize = 128 * 1024;
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// Arguments of `edge-agent run`. A flag overrides the file.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Configuration file, as configs/edge-agent.toml.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The vehicle's id.
    #[arg(long, value_name = "ID")]
    pub vehicle: Option<String>,
    /// The broker.
    #[arg(long, value_name = "HOST:PORT")]
    pub broker: Option<String>,
    /// Folder of the spool.
    #[arg(long, value_name = "DIR")]
    pub spool: Option<PathBuf>,
    /// Read this live CAN interface; may be given more than once.
    #[arg(long, value_name = "IFACE", conflicts_with = "replay")]
    pub can: Vec<String>,
    /// Read this GNSS receiver beside the CAN interfaces: gpsd://HOST, tcp://HOST:PORT, a device.
    #[arg(long, value_name = "RECEIVER", conflicts_with = "replay")]
    pub gnss: Option<String>,
    /// Replay this log (candump, ASC or BLF).
    #[arg(long, value_name = "LOG")]
    pub replay: Option<PathBuf>,
    /// DBC file; may be given more than once.
    #[arg(long, value_name = "FILE.dbc")]
    pub dbc: Vec<PathBuf>,
    /// Map file; may be given more than once.
    #[arg(long, value_name = "FILE.toml")]
    pub map: Vec<PathBuf>,
    /// Times faster than recorded: 1, 60, or flat.
    #[arg(long, value_name = "SPEED")]
    pub speed: Option<String>,
    /// End when the source has ended and everything is durable in the lake.
    #[arg(long)]
    pub exit_when_done: bool,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Something could not be opened.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A task failed, or would not stop.
    #[error(transparent)]
    Stop(#[from] StopError),
    /// No threads.
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
}

impl RunError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => exit::CONFIG,
            Self::Start(StartError::Folder(OpenFolderError::InUse { .. })) => exit::CONFLICT,
            Self::Start(
                StartError::Folder(_) | StartError::Spool(_) | StartError::Tls(_) | StartError::Book(_),
            ) => exit::UNAVAILABLE,
            Self::Start(StartError::Listen(_)) => exit::UNAVAILABLE,
            Self::Start(
                StartError::Source(SourceError::Open { .. })
                | StartError::SigningKey { .. }
                | StartError::Campaigns(_),
            ) => exit::UNAVAILABLE,
            Self::Start(StartError::Live(_)) => exit::UNAVAILABLE,
            Self::Start(StartError::Thread(_)) | Self::Runtime(_) => exit::FAILURE,
            Self::Start(_) => exit::DATA,
            Self::Stop(StopError::HeldOn(_)) => exit::CONFLICT,
            Self::Stop(_) => exit::FAILURE,
        }
    }
}

/// Runs an agent until it is stopped, or done.
pub fn main(args: &RunArgs) -> ExitCode {
    logs::keep_recent(LOG_KEPT_BYTES);
    logs::init(logs::DEFAULT_FILTER, LogFormat::Text);
    match run(args) {
        Ok(End::Done) => ExitCode::SUCCESS,
        Ok(End::Restart) => ExitCode::from(exit::RESTART),
        Err(error) => {
            eprintln!("edge-agent: {}", chain(&error));
            ExitCode::from(error.exit_code())
        }
    }
}

/// How a run ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    /// A command asked for it; the supervisor starts the agent again.
    Restart,
}

fn run(args: &RunArgs) -> Result<End, RunError> {
    let clock = SystemClock::shared();
    let settings = settings(args, Timestamp(clock.now_us()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(RunError::Runtime)?;
    let outcome = runtime.block_on(async {
        let tasks = Tasks::new();
        let handle = agent::start(settings, &tasks, clock).await?;
        let done = async {
            if args.exit_when_done {
                handle.drained().await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        let progress = async {
            loop {
                tokio::time::sleep(PROGRESS_INTERVAL).await;
                let s = handle.stats();
                let (count, waiting) = (s.batches_acked, s.batches_in_spool);
                let (frames, lost) = (s.frames, s.frames_lost);
                info!(frames, lost, count, waiting, stage = s.link.name(), "progress");
            }
        };
        let notifier = Notifier::from_env();
        let attended = async {
            match &notifier {
                Some(notifier) => notifier.attend(&handle).await,
                None => std::future::pending().await,
            }
        };
        let result = tokio::select! {
            result = tasks.until_signal() => result.map(|()| End::Done),
            () = done => Ok(End::Done),
            () = handle.restart_asked() => Ok(End::Restart),
            () = progress => Ok(End::Done),
            () = attended => Ok(End::Done),
        };
        if let Some(notifier) = &notifier {
            notifier.send("STOPPING=1");
        }
        let stopped = tasks.stop(SHUTDOWN_GRACE).await;
        let s = handle.stats();
        let (collected, dropped) = (s.samples_collected_total(), s.samples_dropped_total());
        let (frames, lost) = (s.frames, s.frames_lost);
        info!(
            frames,
            lost,
            collected,
            acked = s.samples_acked,
            waiting = s.samples_in_spool,
            dropped,
            "agent stopped"
        );
        result.and_then(|end| stopped.map(|()| end)).map_err(RunError::from)
    });
    // What still runs on a thread of its own (an updater) is not waited for.
    runtime.shutdown_background();
    outcome
}

fn settings(args: &RunArgs, now: Timestamp) -> Result<Settings, ConfigError> {
    let Loaded { mut config, origin } =
        service::config::load::<Config>("edge-agent", args.config.as_deref())?;
    let mut by_flag = false;
    let mut put = |is_given: bool| by_flag |= is_given;
    put(args.vehicle.is_some());
    config.vehicle_id = args.vehicle.clone().unwrap_or(config.vehicle_id);
    put(args.broker.is_some());
    config.uplink.broker = args.broker.clone().unwrap_or(config.uplink.broker);
    put(args.spool.is_some());
    config.spool_folder = args.spool.clone().unwrap_or(config.spool_folder);
    put(args.speed.is_some());
    config.source.speed = args.speed.clone().unwrap_or(config.source.speed);
    if let Some(log) = &args.replay {
        put(true);
        config.source.kind = config::SourceKind::Replay;
        config.source.log_file = Some(log.clone());
    }
    if !args.can.is_empty() || args.gnss.is_some() {
        put(true);
        config.source.kind = config::SourceKind::SocketCan;
    }
    if !args.can.is_empty() {
        config.source.interfaces.clone_from(&args.can);
    }
    if args.gnss.is_some() {
        config.source.gnss.clone_from(&args.gnss);
    }
    if !args.dbc.is_empty() {
        put(true);
        config.dbc_files.clone_from(&args.dbc);
    }
    if !args.map.is_empty() {
        put(true);
        config.map_files.clone_from(&args.map);
    }
    let origin = if by_flag { format!("{origin} with flags") } else { origin };
    config::check(Loaded { config, origin }, now)
}
