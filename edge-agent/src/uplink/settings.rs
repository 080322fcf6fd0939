//! What the uplink is told.

use std::{path::PathBuf, time::Duration};

use super::{
    TlsSettings,
    link::{Options, Protocol, Transport},
};

/// Where batches go and how.
#[derive(Debug, Clone)]
pub struct UplinkSettings {
    /// Host name or address of the broker.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Which MQTT is spoken.
    pub protocol: Protocol,
    /// TLS, or none.
    pub tls: Option<TlsSettings>,
    /// Most batches without a durable ack.
    pub in_flight_max: usize,
    /// Time without a durable ack after which batches are sent again: one first, and after twice the time
    /// each time, up to two minutes or this if it is longer.
    pub resend_after: Duration,
    /// Time between pings.
    pub keep_alive: Duration,
    /// The file of the vehicle's secret key, when batches are signed.
    pub signing_key_file: Option<PathBuf>,
}

impl Default for UplinkSettings {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 1883,
            protocol: Protocol::default(),
            tls: None,
            in_flight_max: 64,
            resend_after: Duration::from_secs(30),
            keep_alive: Duration::from_secs(30),
            signing_key_file: None,
        }
    }
}

impl UplinkSettings {
    /// A connection by these, without last words and with room for one message.
    pub(super) fn options(&self, client_id: &str, transport: Transport) -> Options {
        Options {
            protocol: self.protocol,
            client_id: client_id.to_owned(),
            host: self.host.clone(),
            port: self.port,
            keep_alive: self.keep_alive,
            transport,
            will: None,
            room: 1,
        }
    }
}
