//! The MQTT client: takes publishes in order, publishes acks. The only file that names rumqttc.
//!
//! When the queue behind it is full it stops reading (*block*); TCP and the broker then hold the
//! rest, and what a broker drops the vehicles send again. When that goes on for long because the lake
//! takes nothing, messages are left instead and their vehicles told to wait ([`crate::pressure`]).

use std::{sync::Arc, time::Duration};

use rumqttc::{
    AsyncClient, ConnectionError, Event, MqttOptions, Packet, QoS, SubscribeFilter, SubscribeReasonCode,
    TlsConfiguration, Transport,
};
use service::tasks::TaskError;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use wire::{
    ack::AckMessage,
    ids::VehicleId,
    topics::{self, Channel},
};

use crate::{config::ExternalBroker, metrics, pipeline::Counters, pressure::Gate, share::Share};

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

/// Publishes towards vehicles by the connection there is.
#[derive(Debug, Clone)]
pub struct Downlink(watch::Receiver<Option<AsyncClient>>);

/// Connections to a broker, one after the other.
pub struct Intake {
    options: MqttOptions,
    filters: Vec<String>,
    /// The client of the connection, once it is subscribed for.
    client: watch::Sender<Option<AsyncClient>>,
    gate: Gate,
    counters: Arc<Counters>,
}

/// How a connection ended.
enum End {
    /// Nobody takes messages any more.
    Closed,
    Lost(ConnectionError),
    /// The broker did not grant subscriptions: a cluster that chooses a leader, or a lack of rights.
    /// Without all of them some vehicles would never be heard.
    Refused {
        refused: usize,
        asked: usize,
    },
}

impl Intake {
    /// Prepares a connection for the shards of `share`.
    pub fn new(broker: &ExternalBroker, share: Share, gate: Gate, counters: Arc<Counters>) -> Self {
        // A name of its own each time: with one name two processes would throw each other out
        // for ever instead of meeting the lake's fence.
        let client_id = format!("ingest-{share}-{}", uuid::Uuid::new_v4().simple());
        let mut options = MqttOptions::new(client_id, broker.host.clone(), broker.port);
        options
            .set_keep_alive(KEEP_ALIVE)
            .set_clean_session(true)
            .set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX);
        if let Some((user, password)) = &broker.login {
            options.set_credentials(user.clone(), password.expose().to_owned());
        }
        if let Some(tls) = &broker.tls {
            service::tls::use_ring();
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Simple {
                ca: tls.ca.clone(),
                alpn: None,
                client_auth: tls.identity.clone(),
            }));
        }
        let filters = [Channel::Telemetry, Channel::Catalog]
            .into_iter()
            .flat_map(|channel| share.filters(channel))
            .collect();
        Self { options, filters, client: watch::Sender::new(None), gate, counters }
    }

    /// Publishes by these connections.
    pub fn downlink(&self) -> Downlink {
        Downlink(self.client.subscribe())
    }

    /// Takes messages until stopped; reconnects by itself. `connected` tells each change.
    pub async fn run(
        self,
        queue: mpsc::Sender<Incoming>,
        connected: watch::Sender<bool>,
        stop: CancellationToken,
    ) -> Result<(), TaskError> {
        let mut pause = RETRY_MIN;
        loop {
            let ended = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                ended = self.connection(&queue, &connected, &mut pause) => ended?,
            };
            self.client.send_replace(None);
            connected.send_replace(false);
            let pause_ms = pause.as_millis();
            match ended {
                End::Closed => {
                    // The pipeline has failed and says why; ending first would hide that.
                    stop.cancelled().await;
                    return Ok(());
                }
                End::Lost(error) => {
                    tracing::warn!(error = %service::logs::chain(&error), pause_ms, "broker connection lost");
                }
                End::Refused { refused, asked } => {
                    tracing::warn!(
                        refused,
                        asked,
                        pause_ms,
                        "the broker refused subscriptions, connecting anew"
                    );
                }
            }
            metrics::broker_disconnects();
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    /// One connection. Both ends of the library are made anew for each: one that has lost its
    /// connection can go on waiting for the answer to a message of that connection, and sends
    /// nothing any more, not even the subscription.
    async fn connection(
        &self,
        queue: &mpsc::Sender<Incoming>,
        connected: &watch::Sender<bool>,
        pause: &mut Duration,
    ) -> Result<End, TaskError> {
        let (client, mut events) = AsyncClient::new(self.options.clone(), REQUEST_QUEUE_LEN);
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    // Nothing else is in its queue yet, so there is room.
                    let filters =
                        self.filters.iter().map(|f| SubscribeFilter::new(f.clone(), QoS::AtLeastOnce));
                    client.try_subscribe_many(filters)?;
                    self.client.send_replace(Some(client.clone()));
                }
                Ok(Event::Incoming(Packet::SubAck(granted))) => {
                    let refused = granted.return_codes.iter().filter(|c| **c == SubscribeReasonCode::Failure);
                    match refused.count() {
                        0 => {
                            *pause = RETRY_MIN;
                            connected.send_replace(true);
                        }
                        refused => return Ok(End::Refused { refused, asked: self.filters.len() }),
                    }
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
                    if self.hand_on(incoming, queue).await == Handed::Ended {
                        return Ok(End::Closed);
                    }
                }
                Ok(_) => {}
                Err(error) => return Ok(End::Lost(error)),
            }
        }
    }

    /// Puts a message into the queue; leaves it when the queue is full of what the lake does not
    /// take.
    async fn hand_on(&self, incoming: Incoming, queue: &mpsc::Sender<Incoming>) -> Handed {
        let vehicle_id = incoming.vehicle_id.clone();
        let room = tokio::select! {
            biased;
            room = queue.reserve() => room.map(Some),
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
            self.downlink().publish(&vehicle_id, Channel::Ack, message.encode());
            metrics::wait_told();
            tracing::debug!(%vehicle_id, wait_s, "vehicle told to wait");
        }
        Handed::On
    }
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
enum Handed {
    /// It waits for its commit, or was left.
    On,
    /// Nobody takes messages any more.
    Ended,
}

impl Downlink {
    /// Publishes to a vehicle. Without a connection, or with a full queue, it is dropped and counted:
    /// every message down is one that ingest gives again when the vehicle asks by resending.
    pub fn publish(&self, vehicle_id: &VehicleId, channel: Channel, payload: Vec<u8>) {
        let topic = topics::topic(vehicle_id, channel);
        let client = self.0.borrow();
        let sent = client.as_ref().map(|c| c.try_publish(topic, QoS::AtLeastOnce, false, payload));
        if !matches!(sent, Some(Ok(()))) {
            metrics::downlink_dropped();
        }
    }
}
