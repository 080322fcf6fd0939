//! `edge-agent enrol` and `edge-agent renew`: the unit's certificates, from the api.

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use service::{
    clock::SystemClock,
    config::ConfigError,
    exit,
    logs::{self, LogFormat, chain},
};
use wire::time::Timestamp;

use crate::{
    config::Config,
    enrol::{self, Asked, EnrolError, Enrolled, Renewed, api::ApiError, files::FilesError},
};

/// A token has some seventy characters.
const TOKEN_BYTES_MAX: u64 = 4096;

/// Arguments of `edge-agent enrol`.
#[derive(Debug, Clone, Args)]
pub struct EnrolArgs {
    /// The api: `https://…`, or `http://…` on this machine.
    #[arg(long, value_name = "URL")]
    pub api: String,
    /// PEM file of the authority of the api's certificate [default: those of the system].
    #[arg(long, value_name = "FILE")]
    pub api_ca: Option<PathBuf>,
    /// File with the device's token; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub token_file: PathBuf,
    /// Configuration file, as configs/edge-agent.toml; its section `uplink` says where the files go.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// Arguments of `edge-agent renew`.
#[derive(Debug, Clone, Args)]
pub struct RenewArgs {
    /// The api [default: the one enrolled at].
    #[arg(long, value_name = "URL")]
    pub api: Option<String>,
    /// PEM file of the authority of the api's certificate [default: as enrolled].
    #[arg(long, value_name = "FILE", requires = "api")]
    pub api_ca: Option<PathBuf>,
    /// Configuration file, as configs/edge-agent.toml.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Renew though it is early: two thirds of the certificate's time are not over.
    #[arg(long)]
    pub force: bool,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("cannot read the token from {path}")]
    Token { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Enrol(#[from] EnrolError),
}

impl CommandError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Enrol(EnrolError::Files(FilesError::NoPlace(_)))
            | Self::Enrol(EnrolError::OtherVehicle { .. } | EnrolError::NoSigningKey) => exit::CONFIG,
            Self::Enrol(EnrolError::Api(ApiError::Url(_) | ApiError::Clear(_))) => exit::USAGE,
            Self::Enrol(
                EnrolError::Api(ApiError::Refused { .. } | ApiError::Answer(_)) | EnrolError::OtherKey,
            ) => exit::DATA,
            Self::Token { .. }
            | Self::Enrol(
                EnrolError::Api(_)
                | EnrolError::Files(_)
                | EnrolError::NotEnrolled(_)
                | EnrolError::NoBroker
                | EnrolError::SigningKey(_)
                | EnrolError::Keygen(_),
            ) => exit::UNAVAILABLE,
            Self::Enrol(EnrolError::Request(_)) => exit::FAILURE,
        }
    }
}

/// Enrols this unit by a token.
pub fn enrol(args: &EnrolArgs) -> ExitCode {
    let enrolled = || -> Result<(), CommandError> {
        let config = config(&args.config)?;
        let token = token(&args.token_file)
            .map_err(|source| CommandError::Token { path: args.token_file.clone(), source })?;
        let asked = Asked { url: args.api.clone(), ca_file: args.api_ca.clone() };
        let enrolled = enrol::enrol(&config, &asked, &token)?;
        tell("enrolled", &enrolled, &config);
        if config.uplink.signing_key_file.is_none() {
            println!(
                "set uplink.signing_key_file and enrol anew for batches that are proven, and for renewals"
            );
        }
        Ok(())
    };
    ended(enrolled())
}

/// Renews this unit's certificate, if it is time.
pub fn renew(args: &RenewArgs) -> ExitCode {
    let renewed = || -> Result<(), CommandError> {
        let config = config(&args.config)?;
        let asked = args.api.clone().map(|url| Asked { url, ca_file: args.api_ca.clone() });
        let now = Timestamp(service::Clock::now_us(&*SystemClock::shared()));
        match enrol::renew(&config, (asked, args.force), now)? {
            Renewed::Done(enrolled) => tell("renewed", &enrolled, &config),
            Renewed::NotYet(Enrolled { vehicle_name, not_after, renew_after, .. }) => {
                println!("{vehicle_name}: good until {not_after}, to be renewed from {renew_after} on");
            }
        }
        Ok(())
    };
    ended(renewed())
}

fn ended(outcome: Result<(), CommandError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("edge-agent: {}", chain(&error));
            ExitCode::from(error.exit_code())
        }
    }
}

/// As written: files that it names need not be there yet.
fn config(path: &Path) -> Result<Config, ConfigError> {
    logs::init(logs::DEFAULT_FILTER, LogFormat::Text);
    Ok(service::config::load::<Config>("edge-agent", Some(path))?.config)
}

fn token(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().take(TOKEN_BYTES_MAX).read_to_string(&mut text)?;
    } else {
        std::fs::File::open(path)?.take(TOKEN_BYTES_MAX).read_to_string(&mut text)?;
    }
    Ok(text.trim().to_owned())
}

fn tell(what: &str, enrolled: &Enrolled, config: &Config) {
    println!("{}: {what}, good until {}", enrolled.vehicle_name, enrolled.not_after);
    let Some(broker) = &enrolled.broker else { return };
    println!("broker: {broker}");
    if *broker != config.uplink.broker {
        println!("set uplink.broker = {broker:?}; the configuration says {:?}", config.uplink.broker);
    }
}
