//! The MQTT client: takes publishes in order, publishes acks. The only file that names rumqttc.
//!
//! When the queue behind it is full it stops reading (*block*); TCP and the broker then hold the
//! rest, and what a broker drops the vehicles send again. When that goes on for long because the lake
//! takes nothing, messages are left instead and their vehicles told to wait ([`crate::pressure`]).

use std::{convert::Infallible, sync::Arc, time::Duration};

use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Packet, QoS, SubscribeFilter,
    SubscribeReasonCode, TlsConfiguration, Transport,
};
use service::tasks::TaskError;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use wire::{
    ack::AckMessage,
    ids::VehicleId,
    topics::{self, Channel},
};

use crate::{
    config::ExternalBroker, downlink::Downlink, metrics, pipeline::Counters, pressure::Gate, share::Share,
};

const PACKET_BYTES_MAX: usize = wire::batch::PAYLOAD_BYTES_MAX + 8192;
/// What the library has taken and not sent: lost with the connection, so not more than keeps it busy.
const REQUEST_QUEUE_LEN: usize = 256;
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

/// Connections to a broker, one after the other.
pub struct Intake {
    options: MqttOptions,
    filters: Vec<String>,
    downlink: Downlink,
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
        Self { options, filters, downlink: Downlink::default(), gate, counters }
    }

    /// What is told by these connections.
    pub fn downlink(&self) -> Downlink {
        self.downlink.clone()
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
        let (client, events) = AsyncClient::new(self.options.clone(), REQUEST_QUEUE_LEN);
        let may_tell = Notify::new();
        tokio::select! {
            ended = self.take(&client, events, (queue, connected, pause), &may_tell) => ended,
            never = self.tell(&client, &may_tell) => match never? {},
        }
    }

    /// Hands what vehicles are to be told to the connection, as fast as it goes.
    async fn tell(&self, client: &AsyncClient, may_tell: &Notify) -> Result<Infallible, TaskError> {
        may_tell.notified().await;
        loop {
            let (vehicle_id, message) = self.downlink.next().await;
            let topic = topics::topic(&vehicle_id, Channel::Ack);
            client.publish(topic, QoS::AtLeastOnce, false, message.encode()).await?;
        }
    }

    /// Takes what a connection brings until it ends.
    async fn take(
        &self,
        client: &AsyncClient,
        mut events: EventLoop,
        (queue, connected, pause): (&mpsc::Sender<Incoming>, &watch::Sender<bool>, &mut Duration),
        may_tell: &Notify,
    ) -> Result<End, TaskError> {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    // Nothing else is in its queue yet, so there is room.
                    let filters =
                        self.filters.iter().map(|f| SubscribeFilter::new(f.clone(), QoS::AtLeastOnce));
                    client.try_subscribe_many(filters)?;
                    may_tell.notify_one();
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
            self.downlink.tell(&vehicle_id, AckMessage { wait_s, ..AckMessage::default() });
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
