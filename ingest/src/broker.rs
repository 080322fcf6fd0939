//! The embedded broker: rumqttd in this process. The only file that names it.
//!
//! What it is for: one trust domain (a laptop, a depot box, tests). It has no topic
//! authorization, keeps everything in memory and acknowledges before it appends, so nothing here
//! rests on it: authenticity is in the batches' signatures, durability in our own acks. It cannot
//! be stopped; it ends with the process.

use std::{
    collections::HashMap,
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};

/// More clients than this would end its listener for good (a fault of rumqttd), so it is ample.
const CONNECTIONS_MAX: usize = 100_010;
/// A little over [`wire::batch::PAYLOAD_BYTES_MAX`], for topic and header.
const PAYLOAD_BYTES_MAX: usize = wire::batch::PAYLOAD_BYTES_MAX + 4096;
/// What it keeps of a subscription is in so many parts; the oldest goes whole.
const SEGMENT_COUNT: usize = 4;
/// The smallest part rumqttd bears.
const SEGMENT_BYTES_MIN: usize = 1024;
/// The least that can be kept of a subscription.
pub const MEMORY_BYTES_MIN: usize = SEGMENT_BYTES_MIN * SEGMENT_COUNT;
/// How often, and how long apart, the new listener is tried.
const PROBE_COUNT: u32 = 200;
const PROBE_PAUSE: Duration = Duration::from_millis(25);

/// Why the embedded broker cannot run.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The port is taken, or the address is not ours.
    #[error(
        "cannot listen for MQTT on {listen}; another program may use the port: choose another in broker.embedded_listen"
    )]
    Listen {
        /// Where.
        listen: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The broker's thread ended.
    #[error("the embedded broker did not start on {0}")]
    Start(SocketAddr),
}

/// Starts the broker and returns its address once it accepts connections. Of each subscription it
/// keeps about `memory_bytes_max` of messages that were not taken yet; beyond that the oldest go, and
/// the vehicles send them again.
pub fn start_embedded(listen: SocketAddr, memory_bytes_max: usize) -> Result<SocketAddr, BrokerError> {
    // rumqttd neither reports a taken port nor the port it got for 0: find out first.
    let probe = TcpListener::bind(listen).map_err(|source| BrokerError::Listen { listen, source })?;
    let listen = probe.local_addr().map_err(|source| BrokerError::Listen { listen, source })?;
    drop(probe);

    let connections = ConnectionSettings {
        connection_timeout_ms: 60_000,
        max_payload_size: PAYLOAD_BYTES_MAX,
        max_inflight_count: 100,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    let server = ServerSettings {
        name: "roadlake".to_owned(),
        listen,
        tls: None,
        next_connection_delay_ms: 1,
        connections,
    };
    let config = Config {
        router: RouterConfig {
            max_connections: CONNECTIONS_MAX,
            max_outgoing_packet_count: 200,
            max_segment_size: (memory_bytes_max / SEGMENT_COUNT).max(SEGMENT_BYTES_MIN),
            max_segment_count: SEGMENT_COUNT,
            ..RouterConfig::default()
        },
        v4: Some(HashMap::from([("1".to_owned(), server)])),
        ..Config::default()
    };
    let spawned = std::thread::Builder::new().name("broker".to_owned()).spawn(move || {
        if let Err(error) = Broker::new(config).start() {
            tracing::error!(%error, "embedded broker ended");
        }
    });
    drop(spawned.map_err(|source| BrokerError::Listen { listen, source })?);
    for _ in 0..PROBE_COUNT {
        if TcpStream::connect_timeout(&listen, PROBE_PAUSE).is_ok() {
            return Ok(listen);
        }
        std::thread::sleep(PROBE_PAUSE);
    }
    Err(BrokerError::Start(listen))
}
