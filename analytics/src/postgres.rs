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
pub(crate) mod tests;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use datafusion_postgres::pgwire::{api::ConnectionManager, tokio::process_socket};
use service::{Tasks, tasks::TaskError};
use tokio::{
    io::Interest,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{Analytics, doors::DoorSettings};
use cancel::Cancels;
use connection::Connection;

/// What direct TLS of PostgreSQL 17 asks for.
const ALPN: &[u8] = b"postgresql";
/// How often it is looked whether the client has gone, and whose time is over.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// After an accept that failed, as when there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Opens the door; the address is where it listens.
pub async fn start(analytics: &Analytics, settings: DoorSettings, tasks: &Tasks) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(settings.listen).await?;
    let address = listener.local_addr()?;
    tracing::info!(%address, users = settings.users.len(), has_tls = settings.tls.is_some(), "SQL by the Postgres protocol");
    let connections = Arc::new(ConnectionManager::new());
    let door = Door {
        analytics: analytics.clone(),
        tls: settings.tls.as_ref().map(|tls| TlsAcceptor::from(tls.speaking(ALPN))),
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
    settings: Arc<DoorSettings>,
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
