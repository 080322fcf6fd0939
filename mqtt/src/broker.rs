//! How a broker is reached.

use std::{path::Path, sync::Arc, time::Duration};

use rumqttc::{AsyncClient, MqttOptions, TlsConfiguration, Transport};
use service::config::{Faults, Secret};

use crate::{Client, Events};

/// Room for a batch (256 KiB) with its topic and head.
const PACKET_BYTES_MAX: usize = (256 << 10) + 8192;
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How a broker is reached.
#[derive(Debug, Clone)]
pub struct Broker {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User name and password.
    pub login: Option<(String, Secret)>,
    /// PEM of the authority, and of our certificate and key.
    pub tls: Option<TlsFiles>,
}

/// TLS material, read.
#[derive(Clone)]
pub struct TlsFiles {
    /// PEM of the authority.
    pub ca: Vec<u8>,
    /// PEM of certificate and key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl std::fmt::Debug for TlsFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsFiles(***)")
    }
}

/// A broker as configurations name it; `section` goes before the keys in faults.
#[derive(Debug, Clone, Copy)]
pub struct BrokerKeys<'a> {
    /// What the keys are below, such as `broker.`.
    pub section: &'a str,
    /// The key of the address.
    pub address_key: &'a str,
    /// `host:port`.
    pub address: &'a str,
    /// `user`.
    pub user: Option<&'a str>,
    /// `password_file`.
    pub password_file: Option<&'a Path>,
    /// `ca_file`, which turns TLS on.
    pub ca_file: Option<&'a Path>,
    /// `cert_file`.
    pub cert_file: Option<&'a Path>,
    /// `key_file`.
    pub key_file: Option<&'a Path>,
}

impl Broker {
    /// A broker without login and TLS.
    pub fn plain(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, login: None, tls: None }
    }

    /// Checks what a configuration says, and reads its files.
    pub fn check(keys: BrokerKeys<'_>, faults: &mut Faults) -> Option<Self> {
        let key = |name: &str| format!("{}{name}", keys.section);
        let parts = keys.address.rsplit_once(':');
        let parts = parts.and_then(|(host, port)| Some((host.to_owned(), port.parse::<u16>().ok()?)));
        let (host, port) = faults.check(
            &key(keys.address_key),
            parts.ok_or_else(|| {
                format!("{:?} is no host:port; write one like \"broker.example.org:8883\"", keys.address)
            }),
        )?;
        let login = match (keys.user, keys.password_file) {
            (None, _) => None,
            (Some(_), None) => {
                faults.add(&key("password_file"), format!("must be set when {} is", key("user")));
                None
            }
            (Some(user), Some(path)) => {
                let secret = faults.check(&key("password_file"), Secret::from_file(path))?;
                Some((user.to_owned(), secret))
            }
        };
        let mut read = |name: &str, path: &Path| {
            let read = std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()));
            faults.check(&key(name), read)
        };
        let tls = match keys.ca_file {
            None => None,
            Some(ca) => {
                let ca = read("ca_file", ca)?;
                let identity = match (keys.cert_file, keys.key_file) {
                    (Some(cert), Some(key)) => Some((read("cert_file", cert)?, read("key_file", key)?)),
                    _ => None,
                };
                Some(TlsFiles { ca, identity })
            }
        };
        Some(Self { host, port, login, tls })
    }

    /// Both ends of a connection, which begins with [`Events::next`]. It subscribes to `filters` with QoS 1;
    /// `queue_len` messages may wait to be sent, which are lost with it.
    pub fn connection(&self, client_id: String, filters: &[String], queue_len: usize) -> (Client, Events) {
        // The subscription takes a place too.
        let (client, events) = AsyncClient::new(self.options(client_id), queue_len.max(1));
        let unconfirmed = Arc::default();
        let sender = Client::new(client.clone(), Arc::clone(&unconfirmed));
        (sender, Events::new(client, events, (filters.to_vec(), unconfirmed)))
    }

    fn options(&self, client_id: String) -> MqttOptions {
        let mut options = MqttOptions::new(client_id, self.host.clone(), self.port);
        options
            .set_keep_alive(KEEP_ALIVE)
            .set_clean_session(true)
            .set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX);
        if let Some((user, password)) = &self.login {
            options.set_credentials(user.clone(), password.expose().to_owned());
        }
        if let Some(tls) = &self.tls {
            service::tls::use_ring();
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Simple {
                ca: tls.ca.clone(),
                alpn: None,
                client_auth: tls.identity.clone(),
            }));
        }
        options
    }
}
