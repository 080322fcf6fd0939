//! The MQTT client: takes publishes in order, publishes acks. The only file that names rumqttc.
//!
//! When the queue behind it is full it stops reading (*block*); TCP and the broker then hold the
//! rest, and what a broker drops the vehicles send again. When that goes on for long because the lake
//! takes nothing, messages are left instead and their vehicles told to wait ([`crate::pressure`]).

use std::{sync::Arc, time::Duration};

use rumqttc::{
    AsyncClient, ClientError, ConnectionError, Event, EventLoop, MqttOptions, Packet, QoS, SubscribeFilter,
    TlsConfiguration, Transport,
};
use service::tasks::TaskError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wire::{
    ack::AckMessage,
    ids::VehicleId,
    topics::{self, Channel},
};

use crate::{config::ExternalBroker, metrics, pipeline::Counters, pressure::Gate};

const PACKET_BYTES_MAX: usize = wire::batch::PAYLOAD_BYTES_MAX + 8192;
const REQUEST_QUEUE_LEN: usize = 4096;
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// One message from a vehicle.
#[derive(Debug)]
pub struct Incoming {
    /// Its topic.
    pub topic: String,
    /// Whose topic it is.
    pub vehicle_id: VehicleId,
    /// Which channel.
    pub channel: Channel,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// Publishes towards vehicles.
#[derive(Debug, Clone)]
pub struct Downlink(AsyncClient);

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
enum Handed {
    /// It waits for its commit, or was left.
    On,
    /// Nobody takes messages any more.
    Ended,
}

/// A connection to a broker, not yet polled.
pub struct Intake {
    client: AsyncClient,
    events: EventLoop,
    filters: Vec<String>,
    door: Door,
}

/// Between a connection and the queue.
struct Door {
    gate: Gate,
    counters: Arc<Counters>,
    downlink: Downlink,
}

impl Intake {
    /// Prepares a connection for instance `instance` of `instances`.
    pub fn new(
        broker: &ExternalBroker,
        (instance, instances): (u32, u32),
        gate: Gate,
        counters: Arc<Counters>,
    ) -> Self {
        // A name of its own each time: with one name two processes would throw each other out
        // for ever instead of meeting the lake's fence.
        let client_id = format!("ingest-{instance}-of-{instances}-{}", uuid::Uuid::new_v4().simple());
        let mut options = MqttOptions::new(client_id, broker.host.clone(), broker.port);
        options
            .set_keep_alive(KEEP_ALIVE)
            .set_clean_session(true)
            .set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX);
        if let Some((user, password)) = &broker.login {
            options.set_credentials(user.clone(), password.expose().to_owned());
        }
        if let Some(tls) = &broker.tls {
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Simple {
                ca: tls.ca.clone(),
                alpn: None,
                client_auth: tls.identity.clone(),
            }));
        }
        let (client, events) = AsyncClient::new(options, REQUEST_QUEUE_LEN);
        let filters = [Channel::Telemetry, Channel::Catalog]
            .into_iter()
            .flat_map(|channel| topics::filters(channel, instance, instances))
            .collect();
        let door = Door { gate, counters, downlink: Downlink(client.clone()) };
        Self { client, events, filters, door }
    }

    /// Publishes by this connection.
    pub fn downlink(&self) -> Downlink {
        Downlink(self.client.clone())
    }

    /// Takes messages until stopped; reconnects by itself. `connected` tells each change.
    pub async fn run(
        mut self,
        queue: mpsc::Sender<Incoming>,
        connected: tokio::sync::watch::Sender<bool>,
        stop: CancellationToken,
    ) -> Result<(), TaskError> {
        let mut pause = RETRY_MIN;
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                event = self.events.poll() => event,
            };
            match event {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    pause = RETRY_MIN;
                    self.subscribe()?;
                }
                Ok(Event::Incoming(Packet::SubAck(_))) => {
                    connected.send_replace(true);
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    let Some((vehicle_id, channel)) = topics::parse(&publish.topic) else {
                        metrics::messages_ignored();
                        continue;
                    };
                    let incoming = Incoming {
                        topic: publish.topic,
                        vehicle_id,
                        channel,
                        payload: publish.payload.to_vec(),
                    };
                    if self.door.hand_on(incoming, &queue, &stop).await == Handed::Ended {
                        return Ok(());
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    connected.send_replace(false);
                    tracing::warn!(error = %service::logs::chain(&error), pause_ms = pause.as_millis(), "broker connection lost");
                    metrics::broker_disconnects();
                    if matches!(error, ConnectionError::RequestsDone) {
                        return Ok(());
                    }
                    tokio::select! {
                        () = stop.cancelled() => return Ok(()),
                        () = tokio::time::sleep(pause) => {}
                    }
                    pause = (pause * 2).min(RETRY_MAX);
                }
            }
        }
    }

    fn subscribe(&self) -> Result<(), TaskError> {
        let filters = self.filters.iter().map(|f| SubscribeFilter::new(f.clone(), QoS::AtLeastOnce));
        match self.client.try_subscribe_many(filters) {
            Ok(()) => Ok(()),
            // The queue is full of acks for a connection that is gone: they are sent again.
            Err(ClientError::TryRequest(_)) => Err("request queue full at connect".into()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Door {
    /// Puts a message into the queue; leaves it when the queue is full of what the lake does not
    /// take.
    async fn hand_on(
        &self,
        incoming: Incoming,
        queue: &mpsc::Sender<Incoming>,
        stop: &CancellationToken,
    ) -> Handed {
        let vehicle_id = incoming.vehicle_id.clone();
        let room = tokio::select! {
            biased;
            room = queue.reserve() => room.map(Some),
            () = stop.cancelled() => return Handed::Ended,
            () = self.gate.closed() => Ok(None),
        };
        match room {
            Err(_) => return Handed::Ended,
            Ok(Some(room)) => room.send(incoming),
            Ok(None) => {
                metrics::message_shed();
                self.counters.message_shed();
            }
        }
        if let Some(wait_s) = self.gate.wait_for(&vehicle_id) {
            let message = AckMessage { wait_s, ..AckMessage::default() };
            self.downlink.publish(&vehicle_id, Channel::Ack, message.encode());
            metrics::wait_told();
            tracing::debug!(%vehicle_id, wait_s, "vehicle told to wait");
        }
        Handed::On
    }
}

impl Downlink {
    /// Publishes to a vehicle. A full queue drops it, counted: every message down is one that
    /// ingest gives again when the vehicle asks by resending.
    pub fn publish(&self, vehicle_id: &VehicleId, channel: Channel, payload: Vec<u8>) {
        let topic = topics::topic(vehicle_id, channel);
        if self.0.try_publish(topic, QoS::AtLeastOnce, false, payload).is_err() {
            metrics::downlink_dropped();
        }
    }
}
