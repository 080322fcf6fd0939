//! `[uplink]`: where batches go.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;
use service::config::{DurationText, Faults};

use crate::{
    spool::CatchUp,
    uplink::{ClientCertificate, Protocol, TlsSettings, UplinkSettings},
};

/// `[uplink]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UplinkConfig {
    /// `host:port` of the broker.
    pub broker: String,
    /// Version of MQTT.
    pub protocol: ProtocolName,
    /// Most batches without a durable ack.
    pub in_flight_max: usize,
    /// Time without an ack after which batches are sent again.
    pub resend_after: DurationText,
    /// Time between pings.
    pub keep_alive: DurationText,
    /// What is sent first after an outage.
    pub catch_up: CatchUp,
    /// Authority of the broker's certificate: turns TLS on.
    pub ca_file: Option<PathBuf>,
    /// The vehicle's certificate.
    pub cert_file: Option<PathBuf>,
    /// Its private key.
    pub key_file: Option<PathBuf>,
    /// The vehicle's signing key.
    pub signing_key_file: Option<PathBuf>,
}

/// A version of MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum ProtocolName {
    /// MQTT 3.1.1.
    #[serde(rename = "3.1.1")]
    V311,
    /// MQTT 5.
    #[serde(rename = "5")]
    V5,
}

impl From<ProtocolName> for Protocol {
    fn from(name: ProtocolName) -> Self {
        match name {
            ProtocolName::V311 => Self::V311,
            ProtocolName::V5 => Self::V5,
        }
    }
}

impl Default for UplinkConfig {
    fn default() -> Self {
        let settings = UplinkSettings::default();
        Self {
            broker: format!("{}:{}", settings.host, settings.port),
            protocol: ProtocolName::V311,
            in_flight_max: settings.in_flight_max,
            resend_after: DurationText(settings.resend_after),
            keep_alive: DurationText(settings.keep_alive),
            catch_up: CatchUp::OldestFirst,
            ca_file: None,
            cert_file: None,
            key_file: None,
            signing_key_file: None,
        }
    }
}

impl UplinkConfig {
    pub(super) fn check(self, faults: &mut Faults) -> Option<UplinkSettings> {
        let address = faults.check("uplink.broker", parse_address(&self.broker));
        if !(1..=10_000).contains(&self.in_flight_max) {
            faults.add("uplink.in_flight_max", "must be between 1 and 10000 batches");
        }
        if self.keep_alive.0 < Duration::from_secs(5) {
            faults.add("uplink.keep_alive", "is too short; write at least \"5s\"");
        }
        let client = match (self.cert_file, self.key_file) {
            (Some(cert_file), Some(key_file)) => Some(ClientCertificate { cert_file, key_file }),
            (None, None) => None,
            _ => {
                faults.add("uplink.cert_file", "and uplink.key_file go together; give both or none");
                None
            }
        };
        if self.ca_file.is_none() && client.is_some() {
            faults.add("uplink.ca_file", "is missing; a certificate is used with TLS only");
        }
        let (host, port) = address?;
        Some(UplinkSettings {
            host,
            port,
            protocol: self.protocol.into(),
            tls: self.ca_file.map(|ca_file| TlsSettings { ca_file, client }),
            in_flight_max: self.in_flight_max,
            resend_after: self.resend_after.0,
            keep_alive: self.keep_alive.0,
            signing_key_file: self.signing_key_file,
        })
    }
}

/// `host:port`, `[::1]:1883`.
pub fn parse_address(text: &str) -> Result<(String, u16), String> {
    let split = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    match split {
        Some((host, port)) if !host.is_empty() && port != 0 => {
            Ok((host.trim_start_matches('[').trim_end_matches(']').to_owned(), port))
        }
        _ => Err(format!("{text:?} is no address; write one like \"broker.example:1883\"")),
    }
}
