//! `[unit]` and `[commands]`: what the unit shows, and what the cloud may ask of it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use service::{
    config::{DurationText, Faults},
    logs::chain,
};
use wire::signature::BatchVerifier;

use crate::{
    agent,
    command::{CommandSettings, Updater},
    unit::UnitSettings,
};

/// `[commands]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CommandConfig {
    /// The key that signs commands; none is taken without it.
    pub public_key_file: Option<PathBuf>,
    /// Whether a command may clear faults.
    pub allow_clear_dtcs: bool,
    /// The program that brings the unit to another version, and its first arguments.
    pub update_program: Vec<String>,
    /// Longest it may take.
    pub update_time_max: DurationText,
}

impl Default for CommandConfig {
    fn default() -> Self {
        Self {
            public_key_file: None,
            allow_clear_dtcs: false,
            update_program: Vec::new(),
            update_time_max: DurationText(Duration::from_mins(30)),
        }
    }
}

/// `[unit]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UnitConfig {
    /// Loopback address of the HTTP responder; none when absent.
    pub listen: Option<SocketAddr>,
}

impl UnitConfig {
    pub(super) fn check(&self, faults: &mut Faults) -> UnitSettings {
        if self.listen.is_some_and(|address| !address.ip().is_loopback()) {
            faults.add(
                "unit.listen",
                "must be a loopback address such as \"127.0.0.1:9464\"; it asks nobody who they are",
            );
        }
        UnitSettings { listen: self.listen }
    }
}

impl CommandConfig {
    pub(super) fn check(&self, faults: &mut Faults, spool_folder: &Path) -> CommandSettings {
        let key = "commands.public_key_file";
        let verifier = self.public_key_file.as_ref().and_then(|path| {
            let key_bytes = faults.check(key, agent::read_key(path).map_err(|e| chain(&e).to_string()))?;
            faults.check(key, BatchVerifier::from_public(&key_bytes))
        });
        if self.allow_clear_dtcs && self.public_key_file.is_none() {
            faults.add(key, "is missing; without it no command is taken, allowed or not");
        }
        let updater = self.update_program.split_first().map(|(program, arguments)| Updater {
            program: program.into(),
            arguments: arguments.to_vec(),
            time_max: self.update_time_max.0,
            log_file: spool_folder.join("update.log"),
        });
        if let Some(updater) = &updater {
            let key = "commands.update_program";
            if !updater.program.is_absolute() {
                faults.add(key, "must begin with an absolute path, so that it is the same for every start");
            } else if !updater.program.is_file() {
                faults.add(key, format!("names {}, which is no file", updater.program.display()));
            }
        }
        CommandSettings { verifier, allow_clear_dtcs: self.allow_clear_dtcs, updater }
    }
}
