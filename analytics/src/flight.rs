//! The lake by Arrow Flight SQL: ADBC and JDBC, for notebooks and programs that want columns.
//!
//! *Owns* the listener, who may come in, and the answers of Flight SQL's commands. *Does not own* the protocol
//! (arrow-flight on tonic) nor what a query may see and take (`engine`). It only reads.
//!
//! Nothing is kept between two calls: a ticket and a prepared statement are the text and its values
//! (`statement`), the token that a password is changed for is signed by that password (`login`). So any process
//! with the same users answers what another one began.

mod catalog;
mod commands;
mod connection;
mod keys;
mod login;
mod statement;

#[cfg(test)]
mod tests;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use arrow_flight::flight_service_server::FlightServiceServer;
use service::{Tasks, tasks::TaskError};
use tokio::net::TcpListener;
use tonic::transport::{Identity, Server, ServerTlsConfig, server::Router};

use crate::{Analytics, doors::DoorSettings};
use commands::Door;
use login::Login;

/// A client that does not answer for two of these has gone, and its queries end.
const LOOK_INTERVAL: Duration = Duration::from_secs(15);
/// How long answers may go on that were under way when the process is to stop.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// Largest message of a client: a statement and its values.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Opens the door; the address is where it listens.
pub async fn start(analytics: &Analytics, settings: DoorSettings, tasks: &Tasks) -> io::Result<SocketAddr> {
    let router = router(analytics, &settings, tasks).map_err(io::Error::other)?;
    let listener = TcpListener::bind(settings.listen).await?;
    let address = listener.local_addr()?;
    tracing::info!(%address, users = settings.users.len(), has_tls = settings.tls.is_some(), "SQL by Arrow Flight");
    let (stop, stopped) = (tasks.stop_token(), tasks.stop_token());
    let incoming = connection::incoming(listener, settings.connections_max);
    tasks.spawn("flight door", async move {
        let served = router.serve_with_incoming_shutdown(incoming, async move { stop.cancelled().await });
        let late = async {
            stopped.cancelled().await;
            tokio::time::sleep(STOP_GRACE).await;
        };
        tokio::select! {
            served = served => served.map_err(TaskError::from),
            () = late => Ok(()),
        }
    });
    Ok(address)
}

fn router(
    analytics: &Analytics,
    settings: &DoorSettings,
    tasks: &Tasks,
) -> Result<Router, tonic::transport::Error> {
    let mut server = Server::builder()
        .tcp_nodelay(true)
        .http2_keepalive_interval(Some(LOOK_INTERVAL))
        .http2_keepalive_timeout(Some(LOOK_INTERVAL));
    if let Some(tls) = &settings.tls {
        let identity = Identity::from_pem(&tls.certificate_pem, &tls.key_pem);
        server = server.tls_config(ServerTlsConfig::new().identity(identity))?;
    }
    let login = Arc::new(Login::new(settings.users.clone(), Arc::clone(analytics.clock())));
    let door = Door::new(analytics.clone(), Arc::clone(&login), tasks.stop_token());
    let service = FlightServiceServer::new(door).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let service = tonic::service::interceptor::InterceptedService::new(service, login::Check(login));
    Ok(server.add_service(service))
}
