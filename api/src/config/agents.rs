//! `[agents]`: how the agents in the vehicles are reached, and the keys they know the server by.

use std::{path::PathBuf, sync::Arc};

use mqtt::{Broker, BrokerKeys};
use serde::Deserialize;
use service::config::{Faults, Secret};
use wire::{campaigns::from_hex, signature::BatchSigner};

use crate::agents::Keys;

/// The section as written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentsConfig {
    /// The broker, `host:port`.
    pub broker: Option<String>,
    /// User name there.
    pub user: Option<String>,
    /// File with the password.
    pub password_file: Option<PathBuf>,
    /// PEM file of the authority that signed the broker's certificate: turns TLS on.
    pub ca_file: Option<PathBuf>,
    /// PEM file of our client certificate.
    pub cert_file: Option<PathBuf>,
    /// PEM file of its key.
    pub key_file: Option<PathBuf>,
    /// The secret key that signs campaign sets, 64 hexadecimal digits.
    pub campaigns_key_file: Option<PathBuf>,
    /// The secret key that signs commands.
    pub commands_key_file: Option<PathBuf>,
}

/// The section, checked.
#[derive(Debug, Clone, Default)]
pub struct AgentsSettings {
    /// How the broker is reached; without one agents are neither heard nor told.
    pub broker: Option<Broker>,
    /// What signs.
    pub keys: Keys,
}

impl AgentsConfig {
    /// Checks it, and reads its files.
    pub(super) fn check(&self, faults: &mut Faults) -> AgentsSettings {
        let broker = self.broker.as_deref().and_then(|address| {
            let keys = BrokerKeys {
                section: "agents.",
                address_key: "broker",
                address,
                user: self.user.as_deref(),
                password_file: self.password_file.as_deref(),
                ca_file: self.ca_file.as_deref(),
                cert_file: self.cert_file.as_deref(),
                key_file: self.key_file.as_deref(),
            };
            Broker::check(keys, faults)
        });
        let mut signer = |key: &str, file: Option<&PathBuf>| {
            let path = file?;
            let secret = faults.check(key, Secret::from_file(path))?;
            let bytes = from_hex::<32>(secret.expose().as_bytes()).ok_or_else(|| {
                format!(
                    "{} must hold 64 hexadecimal digits; make one with `edge-agent campaign keygen` or \
                     `edge-agent command keygen`",
                    path.display()
                )
            });
            Some(Arc::new(BatchSigner::from_secret(&faults.check(key, bytes)?)))
        };
        let keys = Keys {
            campaigns: signer("agents.campaigns_key_file", self.campaigns_key_file.as_ref()),
            commands: signer("agents.commands_key_file", self.commands_key_file.as_ref()),
        };
        AgentsSettings { broker, keys }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_together_and_a_key_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let (good, bad) = (folder.path().join("good.key"), folder.path().join("bad.key"));
        std::fs::write(&good, format!("{}\n", "0a".repeat(32))).unwrap();
        std::fs::write(&bad, "0a0b\n").unwrap();
        let config = AgentsConfig {
            broker: Some("nowhere".to_owned()),
            campaigns_key_file: Some(good),
            commands_key_file: Some(bad),
            ..AgentsConfig::default()
        };
        let mut faults = Faults::of("api.toml");
        let settings = config.check(&mut faults);
        assert!(settings.keys.campaigns.is_some() && settings.keys.commands.is_none());
        let message = faults.finish(None::<()>).unwrap_err().to_string();
        for part in ["agents.broker: \"nowhere\" is no host:port", "agents.commands_key_file", "64 hex"] {
            assert!(message.contains(part), "{part} in {message}");
        }
    }
}
