//! `edge-agent campaign`: check a set against a vehicle's files, try it on a log, sign it.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use service::{clock::SystemClock, exit, logs::chain};
use wire::{
    campaigns::{self, SetPayload, SetPayloadError},
    ids::VehicleId,
    signature::BatchSigner,
    time::Timestamp,
};

use crate::{
    agent,
    campaign::{Bounds, CampaignError, CampaignSet, Plan, Spent, desk, engine::Engine},
    collect::{CollectSettings, Collector},
    config::{self, Config},
    dbc::{Dbc, DbcError},
    decode::{CompileDbcError, Decoder},
    keygen::{self, KeygenError},
    map::{MapError, MappedDecoder, SignalMap},
    source::{LogReader, Source, SourceError},
    spool::Lane,
};

/// Of a set that is for every vehicle it does not matter which.
const ANY_VEHICLE: &str = "any";

/// Arguments of `edge-agent campaign`.
#[derive(Debug, Clone, Args)]
pub struct CampaignArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: CampaignCommand,
}

/// What can be done with campaign sets.
#[derive(Debug, Clone, Subcommand)]
pub enum CampaignCommand {
    /// Check a set against a vehicle's DBC and map files, and print what it collects.
    Check(CheckArgs),
    /// Print the signed form of a set, as it is delivered.
    Sign(SignArgs),
    /// Make a key pair that signs sets.
    Keygen(KeygenArgs),
}

/// Arguments of `edge-agent campaign check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// The set, TOML or JSON, signed or not.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The agent's configuration: its vehicle, its files, and the signals the agent has itself.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dbc", "map"])]
    pub config: Option<PathBuf>,
    /// DBC file; may be given more than once.
    #[arg(long, value_name = "FILE.dbc", required_unless_present = "config")]
    pub dbc: Vec<PathBuf>,
    /// Map file; may be given more than once.
    #[arg(long, value_name = "FILE.toml", required_unless_present = "config")]
    pub map: Vec<PathBuf>,
    /// The vehicle's id, for a set that is for certain vehicles. [default: that of --config, or any]
    #[arg(long, value_name = "ID")]
    pub vehicle: Option<String>,
    /// The key that must have signed it.
    #[arg(long, value_name = "FILE")]
    pub public_key: Option<PathBuf>,
    /// Try it on this candump log: what would have been collected?
    #[arg(long, value_name = "LOG")]
    pub log: Option<PathBuf>,
}

/// Arguments of `edge-agent campaign sign`.
#[derive(Debug, Clone, Args)]
pub struct SignArgs {
    /// The set, TOML or JSON.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The secret key, 64 hexadecimal digits.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
}

/// Arguments of `edge-agent campaign keygen`.
#[derive(Debug, Clone, Args)]
pub struct KeygenArgs {
    /// Where the secret key goes; the public one goes beside it, with `.pub` added.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CampaignCliError {
    #[error(transparent)]
    Campaign(#[from] CampaignError),
    #[error("the set in {path} is refused")]
    Payload { path: PathBuf, source: SetPayloadError },
    #[error("{0} is signed already; give the set itself")]
    Signed(PathBuf),
    #[error("--vehicle")]
    Vehicle(#[from] wire::ids::IdError),
    #[error("cannot use a DBC file")]
    Dbc(#[from] DbcError),
    #[error("cannot compile the DBC files")]
    Compile(#[from] CompileDbcError),
    #[error("cannot use the signal maps")]
    Map(#[from] MapError),
    #[error(transparent)]
    Config(#[from] service::config::ConfigError),
    #[error("cannot use the files of the configuration")]
    Files(#[source] agent::StartError),
    #[error("cannot read the log")]
    Log(#[from] SourceError),
    #[error(transparent)]
    Keygen(#[from] KeygenError),
    #[error("cannot print")]
    Print(#[source] io::Error),
}

impl CampaignCliError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Campaign(CampaignError::Open { .. }) | Self::Keygen(KeygenError::Write { .. }) => {
                exit::UNAVAILABLE
            }
            Self::Print(_) | Self::Keygen(KeygenError::Random) => exit::FAILURE,
            Self::Vehicle(_) | Self::Config(_) => exit::CONFIG,
            _ => exit::DATA,
        }
    }
}

/// Runs the command.
pub fn main(args: &CampaignArgs) -> ExitCode {
    let mut out = io::stdout().lock();
    let result = match &args.command {
        CampaignCommand::Check(args) => check(args, &mut out),
        CampaignCommand::Sign(args) => sign(args, &mut out),
        CampaignCommand::Keygen(args) => keygen(args, &mut out),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("edge-agent: {}", chain(&error));
            ExitCode::from(error.exit_code())
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CampaignError> {
    fs::read(path).map_err(|source| CampaignError::Open { path: path.to_owned(), source })
}

fn check(args: &CheckArgs, out: &mut impl Write) -> Result<(), CampaignCliError> {
    let bytes = read(&args.file)?;
    let refused = |source| CampaignCliError::Payload { path: args.file.clone(), source };
    let payload = SetPayload::split(&bytes).map_err(refused)?;
    if let Some(path) = &args.public_key {
        payload.verify(&desk::read_public_key(path)?).map_err(refused)?;
    }
    let set = CampaignSet::parse(payload.text)?;
    let (decoder, of_config) = decoder(args)?;
    let vehicle_id = match (&args.vehicle, of_config) {
        (Some(id), _) => id.parse()?,
        (None, Some(id)) => id,
        (None, None) => ANY_VEHICLE.parse()?,
    };
    let plan = Plan::compile(&set, &vehicle_id, decoder.catalog(), Bounds::default())?;
    let signed = match (payload.is_signed(), &args.public_key) {
        (true, Some(_)) => "signature good",
        (true, None) => "signed, not checked (--public-key)",
        (false, _) => "not signed",
    };
    print_plan(&set, &plan, signed, out).map_err(CampaignCliError::Print)?;
    match &args.log {
        Some(log) => try_on(plan, decoder, LogReader::open(log)?, out),
        None => Ok(()),
    }
}

/// What the vehicle's frames mean, and which vehicle it is if a configuration says so.
fn decoder(args: &CheckArgs) -> Result<(MappedDecoder, Option<VehicleId>), CampaignCliError> {
    if let Some(path) = &args.config {
        let loaded = service::config::load::<Config>("edge-agent", Some(path))?;
        let settings = config::check(loaded, Timestamp(SystemClock::shared().now_us()))?;
        let decoder = agent::decoder(&settings).map_err(CampaignCliError::Files)?;
        return Ok((decoder, Some(settings.vehicle_id)));
    }
    let dbcs: Vec<Dbc> = args.dbc.iter().map(|path| Dbc::open(path)).collect::<Result<_, _>>()?;
    let maps: Vec<SignalMap> = args.map.iter().map(|path| SignalMap::open(path)).collect::<Result<_, _>>()?;
    Ok((MappedDecoder::new(Decoder::compile(&dbcs)?, &maps)?, None))
}

fn print_plan(set: &CampaignSet, plan: &Plan, signed: &str, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "set {} revision {}, {signed}, sha256 {}...", set.id, set.revision, plan.hash())?;
    let mut campaign = String::new();
    for line in plan.lines() {
        if line.campaign != campaign {
            writeln!(out, "{}  {}", line.campaign, line.when)?;
            campaign.clone_from(&line.campaign);
        }
        writeln!(out, "    {:<28} {}", line.what, line.signals.join(" "))?;
    }
    Ok(())
}

/// Runs the set over a log as an agent would.
#[allow(clippy::cast_precision_loss, reason = "for people")]
fn try_on(
    plan: Plan,
    mut decoder: MappedDecoder,
    mut source: LogReader,
    out: &mut impl Write,
) -> Result<(), CampaignCliError> {
    let intervals: Vec<_> = decoder.columns().iter().map(|c| c.min_interval).collect();
    let min_interval = |id: u32| intervals.get(id as usize).copied().flatten();
    let mut collector =
        Collector::new(decoder.catalog(), CollectSettings::default(), min_interval, [None; Lane::COUNT]);
    let (mut samples, mut cuts) = (Vec::new(), Vec::new());
    collector.install(Engine::new(plan.into(), &Spent::default()), &mut cuts);
    let (mut first, mut last) = (None, None);
    loop {
        match source.next() {
            Ok(Some(frame)) => {
                samples.clear();
                decoder.samples(&frame, &mut samples);
                collector.observe(frame.time, frame.id.raw, &samples, &mut cuts);
                first = first.or(Some(frame.time));
                last = Some(frame.time);
                cuts.clear();
            }
            Ok(None) => break,
            Err(error) if error.is_passing() => {}
            Err(error) => return Err(error.into()),
        }
    }
    collector.finish(&mut cuts);
    let Some((counts, spent)) = collector.campaigns() else { return Ok(()) };
    let hours = first.zip(last).map_or(0.0, |(first, last)| last.since_us(first) as f64 / 3600e6);
    let told = [
        format!("over {hours:.2} h of log: {} triggers", counts.triggers),
        format!("{} too soon", counts.suppressed),
        format!("{} cut short by the ring", counts.cut_short),
        format!("{} samples", counts.samples),
        format!("{} over a cap", counts.capped),
        format!("{} bytes before compression on its last day", spent.bytes),
    ];
    writeln!(out, "{}", told.join(", ")).map_err(CampaignCliError::Print)
}

fn sign(args: &SignArgs, out: &mut impl Write) -> Result<(), CampaignCliError> {
    let bytes = read(&args.file)?;
    let refused = |source| CampaignCliError::Payload { path: args.file.clone(), source };
    let payload = SetPayload::split(&bytes).map_err(refused)?;
    if payload.is_signed() {
        return Err(CampaignCliError::Signed(args.file.clone()));
    }
    // What no vehicle would read is not signed.
    CampaignSet::parse(payload.text)?;
    let signer = BatchSigner::from_secret(&desk::read_key(&args.key)?);
    out.write_all(&campaigns::sign(payload.text, &signer)).map_err(CampaignCliError::Print)
}

fn keygen(args: &KeygenArgs, out: &mut impl Write) -> Result<(), CampaignCliError> {
    let public_path = keygen::make(&args.out)?;
    writeln!(out, "secret key {}, public key {}", args.out.display(), public_path.display())
        .map_err(CampaignCliError::Print)
}
