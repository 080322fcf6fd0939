//! The connection that takes publishes, in order.
//!
//! When the queue behind it is full it stops reading (*block*); TCP and the broker then hold the
//! rest, and what a broker drops the vehicles send again. When that goes on for long because the lake
//! takes nothing, messages are left instead and their vehicles told to wait ([`crate::pressure`]).

use std::sync::Arc;

use mqtt::{Broker, End, Event, Line};
use service::tasks::TaskError;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use wire::{
    ack::AckMessage,
    ids::VehicleId,
    topics::{self, Channel},
};

use crate::{downlink::Downlink, metrics, pipeline::Counters, pressure::Gate, share::Share};

/// What the library is asked at once: the subscription.
const REQUEST_QUEUE_LEN: usize = 8;

/// The id of a connection, which is another each time: with one name two processes would throw each other out for
/// ever instead of meeting the lake's fence.
pub(crate) fn client_id(what_for: &str) -> String {
    format!("ingest-{what_for}-{}", uuid::Uuid::new_v4().simple())
}

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
    broker: Broker,
    share: Share,
    filters: Vec<String>,
    downlink: Downlink,
    gate: Gate,
    counters: Arc<Counters>,
}

impl Intake {
    /// Prepares a connection for the shards of `share`; what intake itself has to say to a vehicle goes
    /// by `downlink`.
    pub fn new(
        broker: &Broker,
        share: Share,
        downlink: Downlink,
        gate: Gate,
        counters: Arc<Counters>,
    ) -> Self {
        let filters = [Channel::Telemetry, Channel::Catalog]
            .into_iter()
            .flat_map(|channel| share.filters(channel))
            .collect();
        Self { broker: broker.clone(), share, filters, downlink, gate, counters }
    }

    /// Takes messages until stopped; reconnects by itself. `connected` tells each change.
    pub async fn run(
        self,
        queue: mpsc::Sender<Incoming>,
        connected: watch::Sender<bool>,
        stop: CancellationToken,
    ) -> Result<(), TaskError> {
        let mut line = Line::new("intake", connected);
        loop {
            let end = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                end = self.connection(&queue, &mut line) => end,
            };
            line.is_over();
            metrics::broker_disconnected(&end);
            if !line.again(&end, &stop).await {
                // When nobody takes messages any more the pipeline has failed and says why; ending first
                // would hide that.
                stop.cancelled().await;
                return Ok(());
            }
        }
    }

    async fn connection(&self, queue: &mpsc::Sender<Incoming>, line: &mut Line) -> End {
        let id = client_id(&self.share.to_string());
        let (_client, mut events) = self.broker.connection(id, &self.filters, REQUEST_QUEUE_LEN);
        loop {
            match events.next().await {
                Event::Ready => line.is_good(),
                Event::Message { topic, payload } => {
                    let Some((vehicle_id, channel)) = topics::parse(&topic) else {
                        metrics::messages_ignored();
                        continue;
                    };
                    let incoming = Incoming { topic, vehicle_id, channel, payload };
                    if self.hand_on(incoming, queue).await == Handed::Ended {
                        return End::Closed;
                    }
                }
                Event::Ended(end) => return end,
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
