//! The lake by the Postgres wire protocol: psql, Grafana, DBeaver, psycopg, JDBC.
//!
//! *Owns* the listener, who may come in and what of the lake a connection sees. *Does not own* the
//! protocol (pgwire), Postgres' dialect and catalog (datafusion-postgres) nor the engine's limits
//! (`engine`). It only reads.
//!
//! A connection has a session of its own. Its tables are names: what they hold is looked up when a
//! statement runs (`tables`), so that a prepared statement sees rows that came after it. A user who may see
//! some vehicles only has tables of their rows alone (`engine::only`).

mod bounds;
mod cancel;
mod connection;
mod guard;
mod login;
mod settings;
mod tables;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use datafusion_postgres::pgwire::{api::ConnectionManager, tokio::process_socket};
use lake::Whose;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde::Deserialize;
use service::{
    Tasks,
    config::{Faults, Secret},
    tasks::TaskError,
};
use tokio::{
    io::Interest,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::Analytics;
use cancel::Cancels;
use connection::Connection;

/// How often it is looked whether the client has gone, and whose time is over.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// After an accept that failed, as when there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// `[postgres]` as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PostgresConfig {
    /// Where it listens; empty for nowhere.
    pub listen: String,
    /// Certificate and key of the server, PEM.
    pub tls_certificate_file: Option<PathBuf>,
    /// The key.
    pub tls_key_file: Option<PathBuf>,
    /// Connections at once.
    pub connections_max: usize,
    /// Who may come in; nobody named: anybody, on loopback only.
    pub users: Vec<UserConfig>,
}

/// `[[postgres.users]]` as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserConfig {
    /// The name.
    pub name: String,
    /// File with the password.
    pub password_file: PathBuf,
    /// The vehicles to be seen, `acme-*,van-7`; all when left out.
    pub vehicles: Option<String>,
}

impl Default for PostgresConfig {
    fn default() -> Self {
        Self {
            listen: String::new(),
            tls_certificate_file: None,
            tls_key_file: None,
            connections_max: 64,
            users: Vec::new(),
        }
    }
}

/// The door, checked and ready.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// TLS, where it is spoken: then nothing else is.
    pub tls: Option<Arc<ServerConfig>>,
    /// The server's certificate as PEM, for channel binding.
    pub certificate_pem: Option<Vec<u8>>,
    /// Connections at once; more are refused.
    pub connections_max: usize,
    /// Who may come in; none: anybody.
    pub users: Vec<User>,
}

/// One who may come in.
#[derive(Debug, Clone)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password.
    pub password: Secret,
    /// The vehicles to be seen; `None` for all.
    pub whose: Option<Whose>,
}

impl PostgresConfig {
    /// Checks it; `None` with faults, or when it does not listen.
    pub(crate) fn check(&self, faults: &mut Faults) -> Option<PostgresSettings> {
        if self.listen.is_empty() {
            return None;
        }
        let listen = faults.check("postgres.listen", self.listen.parse::<SocketAddr>());
        let tls = self.tls(faults);
        let mut users = Vec::with_capacity(self.users.len());
        let mut names = BTreeSet::new();
        for user in &self.users {
            let key = format!("postgres.users {:?}", user.name);
            let password = faults.check(&key, Secret::from_file(&user.password_file));
            let whose = user.vehicles.as_deref().map(str::parse::<Whose>);
            let whose = whose.map(|whose| faults.check(&key, whose));
            if user.name.is_empty() || !names.insert(user.name.as_str()) {
                faults.add(&key, "every user has a name of its own");
            }
            let (Some(password), Some(whose)) = (password, whose.map_or(Some(None), |w| w.map(Some))) else {
                continue;
            };
            users.push(User { name: user.name.clone(), password, whose });
        }
        if self.connections_max == 0 {
            faults.add("postgres.connections_max", "must be more than 0");
        }
        if listen.is_some_and(|l| !l.ip().is_loopback()) {
            if self.users.is_empty() {
                faults.add(
                    "postgres.listen",
                    format_args!(
                        "{} is open to the network; name [[postgres.users]], or listen on 127.0.0.1",
                        self.listen
                    ),
                );
            }
            if self.tls_certificate_file.is_none() {
                faults.add(
                    "postgres.listen",
                    format_args!(
                        "{} would be read by the network; set tls_certificate_file and tls_key_file, or listen on 127.0.0.1",
                        self.listen
                    ),
                );
            }
        }
        let (tls, certificate_pem) = tls?.map_or((None, None), |(tls, pem)| (Some(tls), Some(pem)));
        Some(PostgresSettings {
            listen: listen?,
            tls,
            certificate_pem,
            connections_max: self.connections_max,
            users,
        })
    }

    /// `None` with a fault; within it, `None` without TLS.
    #[allow(clippy::option_option, reason = "a fault is not the same as no TLS")]
    fn tls(&self, faults: &mut Faults) -> Option<Option<(Arc<ServerConfig>, Vec<u8>)>> {
        let (certificate_file, key_file) = match (&self.tls_certificate_file, &self.tls_key_file) {
            (None, None) => return Some(None),
            (Some(certificate), Some(key)) => (certificate, key),
            _ => {
                faults.add("postgres", "tls_certificate_file and tls_key_file go together");
                return None;
            }
        };
        let named = |path: &PathBuf, e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        let pem = std::fs::read(certificate_file).map_err(|e| named(certificate_file, &e));
        let pem = faults.check("postgres.tls_certificate_file", pem)?;
        let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
        let chain =
            faults.check("postgres.tls_certificate_file", chain.map_err(|e| named(certificate_file, &e)))?;
        let key = PrivateKeyDer::from_pem_file(key_file).map_err(|e| named(key_file, &e));
        let key = faults.check("postgres.tls_key_file", key)?;
        service::tls::use_ring();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
        let mut config = faults.check("postgres.tls_certificate_file", config)?;
        // Direct TLS of PostgreSQL 17 asks for it.
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Some(Some((Arc::new(config), pem)))
    }
}

/// Opens the door; the address is where it listens.
pub async fn start(
    analytics: &Analytics,
    settings: PostgresSettings,
    tasks: &Tasks,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(settings.listen).await?;
    let address = listener.local_addr()?;
    tracing::info!(%address, users = settings.users.len(), has_tls = settings.tls.is_some(), "SQL by the Postgres protocol");
    let connections = Arc::new(ConnectionManager::new());
    let door = Door {
        analytics: analytics.clone(),
        tls: settings.tls.clone().map(TlsAcceptor::from),
        settings: Arc::new(settings),
        cancels: Arc::new(Cancels::new(Arc::clone(&connections))),
        connections,
    };
    tasks.spawn("postgres door", door.run(listener, tasks.stop_token()));
    Ok(address)
}

struct Door {
    analytics: Analytics,
    tls: Option<TlsAcceptor>,
    settings: Arc<PostgresSettings>,
    /// Who can be asked to cancel.
    connections: Arc<ConnectionManager>,
    cancels: Arc<Cancels>,
}

impl Door {
    async fn run(self, listener: TcpListener, stop: CancellationToken) -> Result<(), TaskError> {
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some(_) = open.join_next(), if !open.is_empty() => {}
                accepted = listener.accept() => match accepted {
                    Ok((socket, peer)) if open.len() < self.settings.connections_max => {
                        let connection =
                            Arc::new(Connection::new(
                            &self.analytics,
                            &self.settings,
                            &self.connections,
                            &self.cancels,
                        ));
                        open.spawn(serve(socket, peer, self.tls.clone(), connection));
                    }
                    Ok((socket, peer)) => {
                        tracing::warn!(%peer, connections_max = self.settings.connections_max, "connection refused");
                        drop(socket);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }
}

/// One connection to its end. What it is at ends when the client has gone.
async fn serve(socket: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, connection: Arc<Connection>) {
    let (socket, watched) = match watched(socket) {
        Ok(both) => both,
        Err(error) => {
            tracing::warn!(%peer, %error, "connection lost before it began");
            return;
        }
    };
    let gone = async {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            connection.give_up_overdue();
            let ready = watched.ready(Interest::READABLE);
            let is_closed = tokio::select! {
                biased;
                ready = ready => ready.map_or(true, |ready| ready.is_read_closed()),
                () = std::future::ready(()) => false,
            };
            if is_closed {
                return;
            }
        }
    };
    tokio::select! {
        ended = process_socket(socket, tls, Arc::clone(&connection)) => {
            if let Err(error) = ended {
                tracing::debug!(%peer, %error, "connection ended");
            }
        }
        () = gone => {}
    }
}

/// The socket, and a second handle of it that only tells whether the other side has closed.
fn watched(socket: TcpStream) -> io::Result<(TcpStream, TcpStream)> {
    socket.set_nodelay(true)?;
    let socket = socket.into_std()?;
    let second = TcpStream::from_std(socket.try_clone()?)?;
    Ok((TcpStream::from_std(socket)?, second))
}
