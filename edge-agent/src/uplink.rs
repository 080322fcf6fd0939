//! The way to the cloud: MQTT, and the only file that names its client library.
//!
//! One *session* is one connection: birth, catalogues (again when campaigns change them), then batches by [`Spool`]'s order. The
//! window counts batches without a durable ack; a PUBACK releases nothing. The client library
//! throws its pending messages away when a broker forgot the session, so nothing is left to it:
//! on any error client and event loop are built anew and everything above the last durable ack
//! is sent again. Bounds: `in_flight_max` batches, back-off of 1 s to 60 s with jitter.
//!
//! [`Spool`]: crate::spool::Spool

mod tls;

use std::{
    collections::{HashMap, VecDeque},
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use rumqttc::{AsyncClient, ClientError, Event, EventLoop, LastWill, MqttOptions, Packet, QoS, Transport};
use service::{SharedClock, clock::micros, logs::chain, tasks::TaskError};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use wire::{
    ack::{AckMessage, VehicleStatus},
    batch::{Batch, DecodeBatchError, EncodeBatchError, Envelope, PAYLOAD_BYTES_MAX},
    ids::{BootId, CatalogHash, StreamId, VehicleId},
    signature::BatchSigner,
    time::Timestamp,
    topics::{Channel, topic},
};

use crate::{
    agent::shared::{Shared, add},
    campaign::{Desk, desk::Delivery},
    metrics,
    spool::{SpoolError, StoredBatch},
};

pub use tls::{ClientCertificate, TlsError, TlsSettings};

/// Beside its payload a packet has a topic and a header.
const PACKET_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 1024;
/// Requests that may wait for the client library, beyond the window.
const REQUEST_ROOM: usize = 64;
/// Batches read from the spool at once.
const READ_COUNT_MAX: usize = 32;
const BACK_OFF_MIN: Duration = Duration::from_secs(1);
const BACK_OFF_MAX: Duration = Duration::from_secs(60);
/// How often time itself is looked at: syncs, ages, resends.
const TICK: Duration = Duration::from_millis(250);
/// How long a stop may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// Where batches go and how.
#[derive(Debug, Clone)]
pub struct UplinkSettings {
    /// Host name or address of the broker.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// TLS, or none.
    pub tls: Option<TlsSettings>,
    /// Most batches without a durable ack.
    pub in_flight_max: usize,
    /// Time without a durable ack after which the window is sent again.
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
            tls: None,
            in_flight_max: 64,
            resend_after: Duration::from_secs(30),
            keep_alive: Duration::from_secs(30),
            signing_key_file: None,
        }
    }
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error("no connection to broker {host}:{port}")]
    Connection { host: String, port: u16, source: Box<rumqttc::ConnectionError> },
    #[error("cannot hand a message to the client")]
    Client(#[source] Box<ClientError>),
    #[error("cannot use the spool")]
    Spool(#[from] SpoolError),
    #[error("cannot read a batch back from the spool")]
    Decode(#[from] DecodeBatchError),
    #[error("cannot write a batch")]
    Encode(#[from] EncodeBatchError),
    #[error("a blocking task failed")]
    Blocking(#[from] tokio::task::JoinError),
}

/// Sends what the spool holds until it is stopped.
pub(crate) struct Uplink {
    pub(crate) vehicle_id: VehicleId,
    pub(crate) boot_id: BootId,
    pub(crate) campaigns: Arc<Desk>,
    pub(crate) settings: UplinkSettings,
    pub(crate) signer: Option<BatchSigner>,
    pub(crate) transport: Transport,
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: SharedClock,
}

/// The state of one connection.
#[derive(Default)]
struct Session {
    is_connected: bool,
    /// Whether the spool may have more to send.
    has_more: bool,
    sent: HashMap<StreamId, u64>,
    in_flight: VecDeque<(StreamId, u64)>,
    /// Monotonic time of the last durable ack, or of the first batch in an empty window.
    progress_us: i64,
    /// What `status` and the catalogues told last, by [`Desk::told`].
    told: u64,
}

/// How a session went on.
enum Step {
    Event(Result<Event, rumqttc::ConnectionError>),
    Stop,
    Appended,
    Tick,
}

impl Uplink {
    /// The transport of these settings, its files read and checked.
    pub(crate) fn transport(settings: &UplinkSettings) -> Result<Transport, TlsError> {
        match &settings.tls {
            None => Ok(Transport::tcp()),
            Some(tls) => {
                Ok(Transport::tls_with_config(rumqttc::TlsConfiguration::Rustls(tls.client_config()?)))
            }
        }
    }

    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), TaskError> {
        let mut back_off = BACK_OFF_MIN;
        loop {
            let mut session = Session::default();
            let result = self.session(&mut session, &stop).await;
            self.set_online(false);
            let Err(error) = result else { return Ok(()) };
            if session.is_connected {
                back_off = BACK_OFF_MIN;
            }
            let wait = jittered(back_off);
            let wait_ms = micros(wait) / 1000;
            warn!(vehicle_id = %self.vehicle_id, error = %chain(&error), wait_ms, "uplink lost, trying again");
            back_off = (back_off * 2).min(BACK_OFF_MAX);
            if self.wait_between(wait, &stop).await {
                return Ok(());
            }
        }
    }

    /// Waits, still minding the spool; `true` when stopped.
    async fn wait_between(&self, wait: Duration, stop: &CancellationToken) -> bool {
        let until = tokio::time::sleep(wait);
        tokio::pin!(until);
        loop {
            tokio::select! {
                () = stop.cancelled() => return true,
                () = &mut until => return false,
                () = tokio::time::sleep(TICK) => {
                    if let Err(error) = self.maintain().await {
                        warn!(error = %chain(&error), "spool upkeep failed");
                    }
                }
            }
        }
    }

    async fn session(&self, session: &mut Session, stop: &CancellationToken) -> Result<(), SessionError> {
        let (client, mut event_loop) =
            AsyncClient::new(self.options(), self.settings.in_flight_max + REQUEST_ROOM);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // The poll in progress is kept across ticks: dropping it would drop a connection
            // being made or a packet half written.
            let mut poll = Box::pin(event_loop.poll());
            let event = loop {
                let step = tokio::select! {
                    event = &mut poll => Step::Event(event),
                    () = stop.cancelled() => Step::Stop,
                    () = self.shared.appended.notified() => Step::Appended,
                    _ = ticks.tick() => Step::Tick,
                };
                match step {
                    Step::Event(event) => break Some(event),
                    Step::Stop => break None,
                    Step::Appended => session.has_more = true,
                    Step::Tick => {
                        self.maintain().await?;
                        self.resend_if_due(session);
                        // What could not be read a moment ago may be readable now.
                        session.has_more |= session.in_flight.is_empty();
                    }
                }
                self.tell_changes(session, &client).await?;
                self.feed(session, &client).await?;
            };
            drop(poll);
            match event {
                None => return self.say_goodbye(session, &client, event_loop).await,
                Some(Ok(event)) => self.on_event(session, &client, event).await?,
                Some(Err(source)) => {
                    let (host, port) = (self.settings.host.clone(), self.settings.port);
                    return Err(SessionError::Connection { host, port, source: Box::new(source) });
                }
            }
            self.feed(session, &client).await?;
        }
    }

    fn options(&self) -> MqttOptions {
        let mut options = MqttOptions::new(self.vehicle_id.as_str(), &self.settings.host, self.settings.port);
        options.set_keep_alive(self.settings.keep_alive);
        options.set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX);
        options.set_clean_session(true);
        options.set_transport(self.transport.clone());
        let will = LastWill::new(self.topic(Channel::Status), self.status(false), QoS::AtLeastOnce, true);
        options.set_last_will(will);
        options
    }

    fn topic(&self, channel: Channel) -> String {
        topic(&self.vehicle_id, channel)
    }

    fn status(&self, is_online: bool) -> Vec<u8> {
        let status = VehicleStatus {
            is_online,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id: self.boot_id,
            catalog_hash: self.campaigns.catalog_hash(),
            since: Timestamp(self.clock.now_us()),
            campaigns: self.campaigns.status().0,
        };
        status.encode()
    }

    fn set_online(&self, is_online: bool) {
        self.shared.counters.is_online.store(is_online, Ordering::Relaxed);
    }

    async fn on_event(
        &self,
        session: &mut Session,
        client: &AsyncClient,
        event: Event,
    ) -> Result<(), SessionError> {
        match event {
            Event::Incoming(Packet::ConnAck(_)) => {
                session.is_connected = true;
                session.has_more = true;
                session.progress_us = self.clock.monotonic_us();
                add(&self.shared.counters.connects, 1);
                metrics::connected();
                self.set_online(true);
                for channel in [Channel::Ack, Channel::Campaigns] {
                    let subscribed = client.try_subscribe(self.topic(channel), QoS::AtLeastOnce);
                    subscribed.map_err(|e| SessionError::Client(Box::new(e)))?;
                }
                session.told = self.campaigns.told();
                self.publish(client, Channel::Status, true, self.status(true))?;
                self.publish_catalogs(client, None).await?;
                info!(vehicle_id = %self.vehicle_id, host = self.settings.host, "uplink connected");
            }
            Event::Incoming(Packet::Publish(message)) if message.topic == self.topic(Channel::Campaigns) => {
                self.on_campaigns(message.payload.to_vec()).await?;
            }
            Event::Incoming(Packet::Publish(message)) => match AckMessage::decode(&message.payload) {
                Ok(acks) => self.on_acks(session, client, acks).await?,
                Err(error) => {
                    warn!(vehicle_id = %self.vehicle_id, error = %chain(&error), "ack not understood")
                }
            },
            _ => {}
        }
        Ok(())
    }

    /// Looks at a delivered campaign set; what came of it is told in `status`.
    async fn on_campaigns(&self, payload: Vec<u8>) -> Result<(), SessionError> {
        // A retained message that was cleared: nothing is delivered, the set in force stays.
        if payload.is_empty() {
            return Ok(());
        }
        let desk = Arc::clone(&self.campaigns);
        // A refusal is logged and told by the desk.
        tokio::task::spawn_blocking(move || drop(desk.deliver(&payload, Delivery::Mqtt))).await?;
        Ok(())
    }

    /// Publishes status and catalogue again when campaigns changed them.
    async fn tell_changes(&self, session: &mut Session, client: &AsyncClient) -> Result<(), SessionError> {
        let told = self.campaigns.told();
        if session.is_connected && told != session.told {
            session.told = told;
            self.publish(client, Channel::Status, true, self.status(true))?;
            let own = self.campaigns.catalog_hash();
            self.publish_catalogs(client, Some(&[own])).await?;
        }
        Ok(())
    }

    async fn on_acks(
        &self,
        session: &mut Session,
        client: &AsyncClient,
        acks: AckMessage,
    ) -> Result<(), SessionError> {
        let durable = acks.durable.clone();
        let count = self
            .with_spool(move |spool| {
                let mut count = 0;
                for ack in &durable {
                    count += spool.ack(ack.stream_id, ack.up_to_sequence)?;
                }
                Ok(count)
            })
            .await?;
        for ack in &acks.durable {
            session.in_flight.retain(|(id, sequence)| *id != ack.stream_id || *sequence > ack.up_to_sequence);
        }
        if count > 0 {
            session.progress_us = self.clock.monotonic_us();
            session.has_more = true;
            metrics::acked(count);
            self.shared.ring_settled();
            debug!(vehicle_id = %self.vehicle_id, count, "batches durable");
        }
        if !acks.need_catalog.is_empty() {
            debug!(vehicle_id = %self.vehicle_id, "catalogue asked for");
            self.publish_catalogs(client, Some(&acks.need_catalog)).await?;
            session.send_again();
        }
        Ok(())
    }

    /// Publishes the catalogues of all that waits and of what is to come, or those asked for.
    async fn publish_catalogs(
        &self,
        client: &AsyncClient,
        only: Option<&[CatalogHash]>,
    ) -> Result<(), SessionError> {
        let own = self.campaigns.catalog_hash();
        let wanted: Option<Vec<CatalogHash>> = only.map(<[_]>::to_vec);
        let catalogs = self
            .with_spool(move |spool| {
                let mut hashes = spool.catalog_hashes();
                if !hashes.contains(&own) {
                    hashes.push(own);
                }
                hashes.retain(|h| wanted.as_ref().is_none_or(|w| w.contains(h)));
                Ok(hashes.into_iter().filter_map(|h| spool.catalog(h)).collect::<Vec<_>>())
            })
            .await?;
        for catalog in catalogs {
            self.publish(client, Channel::Catalog, false, catalog)?;
        }
        Ok(())
    }

    fn publish(
        &self,
        client: &AsyncClient,
        channel: Channel,
        retain: bool,
        payload: Vec<u8>,
    ) -> Result<(), SessionError> {
        client
            .try_publish(self.topic(channel), QoS::AtLeastOnce, retain, payload)
            .map_err(|e| SessionError::Client(Box::new(e)))
    }

    /// Fills the window.
    async fn feed(&self, session: &mut Session, client: &AsyncClient) -> Result<(), SessionError> {
        while session.is_connected && session.has_more {
            let room =
                self.settings.in_flight_max.saturating_sub(session.in_flight.len()).min(READ_COUNT_MAX);
            if room == 0 {
                return Ok(());
            }
            let sent = session.sent.clone();
            let batches = self.with_spool(move |spool| spool.next_batches(&sent, room)).await?;
            session.has_more = batches.len() == room;
            for batch in batches {
                let (stream_id, sequence) = (batch.stream_id, batch.meta.sequence);
                let payload = self.payload(batch)?;
                let bytes = payload.len() as u64;
                let topic = self.topic(Channel::Telemetry);
                match client.try_publish(topic, QoS::AtLeastOnce, false, payload) {
                    Ok(()) => {}
                    // The library is busy; the next event comes here again.
                    Err(ClientError::TryRequest(_)) => {
                        session.has_more = true;
                        return Ok(());
                    }
                    Err(e) => return Err(SessionError::Client(Box::new(e))),
                }
                if session.in_flight.is_empty() {
                    session.progress_us = self.clock.monotonic_us();
                }
                session.in_flight.push_back((stream_id, sequence));
                session.sent.insert(stream_id, sequence);
                add(&self.shared.counters.batches_sent, 1);
                add(&self.shared.counters.bytes_sent, bytes);
                metrics::sent(bytes);
            }
        }
        Ok(())
    }

    /// The bytes to publish: signed now, and where older batches of the stream were dropped
    /// since, with the lowest sequence that may still come.
    fn payload(&self, stored: StoredBatch) -> Result<Vec<u8>, SessionError> {
        let body = match stored.floor {
            Some(floor) if floor > stored.meta.oldest_sequence => {
                let mut batch = Batch::decode_body(&stored.body)?;
                batch.oldest_sequence = floor.min(batch.sequence);
                batch.encode_body()?
            }
            _ => stored.body,
        };
        let signature = self.signer.as_ref().map(|s| s.sign(&body)).unwrap_or_default();
        Ok(Envelope { body, signature }.encode()?)
    }

    fn resend_if_due(&self, session: &mut Session) {
        let waited_us = self.clock.monotonic_us().saturating_sub(session.progress_us);
        if !session.in_flight.is_empty() && waited_us >= micros(self.settings.resend_after) {
            session.progress_us = self.clock.monotonic_us();
            session.send_again();
            add(&self.shared.counters.resends, 1);
            metrics::resent();
            warn!(vehicle_id = %self.vehicle_id, "no durable ack, sending again");
        }
    }

    async fn maintain(&self) -> Result<(), SessionError> {
        let (now_us, monotonic_us) = (self.clock.now_us(), self.clock.monotonic_us());
        let dropped = self
            .with_spool(move |spool| {
                let before = spool.counts().dropped_batches;
                spool.maintain(now_us, monotonic_us)?;
                Ok(spool.counts().dropped_batches - before)
            })
            .await?;
        if dropped > 0 {
            self.shared.ring_settled();
        }
        Ok(())
    }

    async fn with_spool<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut crate::spool::Spool) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SessionError> {
        let shared = Arc::clone(&self.shared);
        Ok(tokio::task::spawn_blocking(move || work(&mut shared.spool())).await??)
    }

    /// Tells the cloud that the agent goes, if it can be told quickly.
    async fn say_goodbye(
        &self,
        session: &Session,
        client: &AsyncClient,
        mut event_loop: EventLoop,
    ) -> Result<(), SessionError> {
        if !session.is_connected {
            return Ok(());
        }
        self.publish(client, Channel::Status, true, self.status(false))?;
        client.try_disconnect().map_err(|e| SessionError::Client(Box::new(e)))?;
        let flush = async {
            while let Ok(event) = event_loop.poll().await {
                if matches!(event, Event::Outgoing(rumqttc::Outgoing::Disconnect)) {
                    break;
                }
            }
        };
        // Not said in time: the last will says it.
        drop(tokio::time::timeout(GOODBYE, flush).await);
        Ok(())
    }
}

impl Session {
    /// Everything above the last durable ack is to be sent again.
    fn send_again(&mut self) {
        self.sent.clear();
        self.in_flight.clear();
        self.has_more = true;
    }
}

/// Between half of the wait and all of it.
fn jittered(wait: Duration) -> Duration {
    let random = uuid::Uuid::new_v4().as_bytes()[0];
    wait.mul_f64(0.5 + f64::from(random) / 510.0)
}

#[cfg(test)]
mod tests;
