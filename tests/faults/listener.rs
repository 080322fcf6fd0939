//! A client at the broker that hears what vehicles and ingest say, and can say it again.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use service::Tasks;
use wire::{
    ack::AckMessage,
    batch::{Batch, Envelope},
    ids::StreamId,
};

use crate::{fleet::Draw, pipeline::within};

/// Messages that may wait for the connection.
const QUEUE_LEN: usize = 10_000;

/// A message as it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
}

/// What a listener at the broker has heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) batches: BTreeMap<(StreamId, u64), Recorded>,
    pub(crate) catalogs: BTreeMap<String, Recorded>,
    /// Per stream, up to where it is durable.
    acked: HashMap<StreamId, u64>,
}

impl Heard {
    fn take(&mut self, message: Recorded) {
        match message.topic.rsplit('/').next().unwrap() {
            "telemetry" => {
                let envelope = Envelope::decode(&message.payload).unwrap();
                let batch = Batch::decode_body(envelope.body).unwrap();
                self.batches.insert((batch.stream_id, batch.sequence), message);
            }
            "catalog" => drop(self.catalogs.insert(message.topic.clone(), message)),
            "ack" => {
                for ack in AckMessage::decode(&message.payload).unwrap().durable {
                    let acked = self.acked.entry(ack.stream_id).or_default();
                    *acked = ack.up_to_sequence.max(*acked);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn is_acked(&self, (stream_id, sequence): (StreamId, u64)) -> bool {
        self.acked.get(&stream_id).is_some_and(|&up_to| sequence <= up_to)
    }
}

/// A client that hears everything and publishes what it is given.
pub(crate) struct Client {
    client: AsyncClient,
    pub(crate) heard: Arc<Mutex<Heard>>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr, tasks: &Tasks) -> Self {
        let mut options = MqttOptions::new("listener", address.ip().to_string(), address.port());
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut events) = AsyncClient::new(options, QUEUE_LEN);
        let heard = Arc::new(Mutex::new(Heard::default()));
        let (is_subscribed, mut subscribed) = tokio::sync::watch::channel(false);
        let (stop, taking, subscribing) = (tasks.stop_token(), Arc::clone(&heard), client.clone());
        tasks.spawn("listener", async move {
            loop {
                let event = tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    event = events.poll() => event,
                };
                match event {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        subscribing.try_subscribe("rl/v1/#", QoS::AtLeastOnce)?;
                    }
                    Ok(Event::Incoming(Packet::SubAck(_))) => drop(is_subscribed.send_replace(true)),
                    Ok(Event::Incoming(Packet::Publish(p))) => {
                        let message = Recorded { topic: p.topic, payload: p.payload.to_vec() };
                        taking.lock().unwrap().take(message);
                    }
                    Ok(_) => {}
                    // The broker is gone for a moment.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        });
        within("the listener's subscription", async {
            subscribed.wait_for(|is| *is).await.unwrap();
        })
        .await;
        Self { client, heard }
    }

    pub(crate) fn publish(&self, message: &Recorded) {
        let (topic, payload) = (message.topic.clone(), message.payload.clone());
        self.client.try_publish(topic, QoS::AtLeastOnce, false, payload).unwrap();
    }

    /// Publishes copies of what was heard, in any order; what there is no room for is left out.
    pub(crate) fn publish_copies(&self, count: usize, draw: &mut Draw) {
        let heard: Vec<Recorded> = self.heard.lock().unwrap().batches.values().cloned().collect();
        for _ in 0..count.min(heard.len()) {
            let Recorded { topic, payload } = heard[draw.index(heard.len())].clone();
            drop(self.client.try_publish(topic, QoS::AtLeastOnce, false, payload));
        }
    }

    /// Waits until `is_so`; `false` when it is not for a while.
    pub(crate) async fn until(&self, patience: Duration, is_so: impl Fn(&Heard) -> bool) -> bool {
        let wait = async {
            while !is_so(&self.heard.lock().unwrap()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(patience, wait).await.is_ok()
    }
}
