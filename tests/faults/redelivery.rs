//! The same batches again, in any order, hours late, before and after a restart of ingest.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use edge_agent::{agent, source::replay::Pace};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use service::{
    Tasks,
    clock::{ManualClock, SystemClock},
};
use wire::{
    ack::AckMessage,
    batch::{Batch, Envelope},
    ids::StreamId,
};

use crate::{
    content::content,
    fleet::{Draw, Fleet},
    mosquitto::Mosquitto,
    pipeline::{PATIENCE, ingest_settings, within},
};

const LATE: Duration = Duration::from_secs(7 * 3600);

/// A message as it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Recorded {
    topic: String,
    payload: Vec<u8>,
}

/// What a listener at the broker has heard.
#[derive(Debug, Default)]
struct Heard {
    batches: BTreeMap<(StreamId, u64), Recorded>,
    catalogs: BTreeMap<String, Recorded>,
    /// Per stream, up to where it is durable.
    acked: HashMap<StreamId, u64>,
}

impl Heard {
    fn take(&mut self, message: Recorded) {
        match message.topic.rsplit('/').next().unwrap() {
            "telemetry" => {
                let envelope = Envelope::decode(&message.payload).unwrap();
                let batch = Batch::decode_body(&envelope.body).unwrap();
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

    fn is_acked(&self, (stream_id, sequence): (StreamId, u64)) -> bool {
        self.acked.get(&stream_id).is_some_and(|&up_to| sequence <= up_to)
    }
}

/// A client that hears everything and publishes what it is given.
struct Client {
    client: AsyncClient,
    heard: Arc<Mutex<Heard>>,
}

impl Client {
    async fn connect(broker: &Mosquitto, tasks: &Tasks) -> Self {
        let address = broker.address();
        let mut options = MqttOptions::new("listener", address.ip().to_string(), address.port());
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut events) = AsyncClient::new(options, 10_000);
        client.try_subscribe("rl/v1/#", QoS::AtLeastOnce).unwrap();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let (is_subscribed, mut subscribed) = tokio::sync::watch::channel(false);
        let (stop, taking) = (tasks.stop_token(), Arc::clone(&heard));
        tasks.spawn("listener", async move {
            loop {
                let event = tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    event = events.poll() => event?,
                };
                match event {
                    Event::Incoming(Packet::SubAck(_)) => drop(is_subscribed.send_replace(true)),
                    Event::Incoming(Packet::Publish(p)) => {
                        let message = Recorded { topic: p.topic, payload: p.payload.to_vec() };
                        taking.lock().unwrap().take(message);
                    }
                    _ => {}
                }
            }
        });
        within("the listener's subscription", async {
            subscribed.wait_for(|is| *is).await.unwrap();
        })
        .await;
        Self { client, heard }
    }

    async fn publish(&self, message: &Recorded) {
        let (topic, payload) = (message.topic.clone(), message.payload.clone());
        self.client.publish(topic, QoS::AtLeastOnce, false, payload).await.unwrap();
    }

    /// Waits until `is_so`; `false` when it is not for a while.
    async fn until(&self, patience: Duration, is_so: impl Fn(&Heard) -> bool) -> bool {
        let wait = async {
            while !is_so(&self.heard.lock().unwrap()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(patience, wait).await.is_ok()
    }
}

/// Everything the fleet publishes while nobody acknowledges.
async fn record(fleet: &Fleet, broker: &Mosquitto) -> Heard {
    let tasks = Tasks::new();
    let listener = Client::connect(broker, &tasks).await;
    let spools = tempfile::tempdir().unwrap();
    let mut agents = Vec::new();
    for vehicle_id in &fleet.vehicles {
        let mut settings = fleet.settings(vehicle_id, spools.path(), broker.address(), Pace::FlatOut);
        settings.uplink.in_flight_max = 10_000;
        settings.uplink.resend_after = PATIENCE;
        agents.push(agent::start(settings, &tasks, SystemClock::shared()).await.unwrap());
    }
    let made = || -> Option<usize> {
        let stats: Vec<_> = agents.iter().map(agent::Handle::stats).collect();
        let is_done = stats.iter().all(|s| s.is_source_done);
        is_done.then(|| stats.iter().map(|s| s.batches_spooled as usize).sum())
    };
    let is_whole = |heard: &Heard| Some(heard.batches.len()) == made();
    assert!(listener.until(PATIENCE, is_whole).await, "{:?} batches were made", made());
    tasks.stop(Duration::from_secs(10)).await.unwrap();
    std::mem::take(&mut *listener.heard.lock().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_in_any_order_and_hours_late_are_stored_once() {
    let fleet = Fleet::new();
    let expected = fleet.undisturbed().await;
    let broker = Mosquitto::start();
    let recorded = record(&fleet, &broker).await;
    let seed = u64::from(std::process::id());
    println!("seed {seed}, {} batches", recorded.batches.len());
    let mut draw = Draw::new(seed);

    let data = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(SystemClock::shared().now_us());
    let tasks = Tasks::new();
    let client = Client::connect(&broker, &tasks).await;
    let address = broker.address();
    let start = || async {
        let mut settings = ingest_settings(data.path());
        settings.flush_interval = Duration::from_millis(100);
        settings.broker = ingest::config::BrokerSettings::External(ingest::config::ExternalBroker {
            host: address.ip().to_string(),
            port: address.port(),
            login: None,
            tls: None,
        });
        let stage = Tasks::new();
        let handle = ingest::start(settings, &stage, clock.clone()).await.unwrap();
        handle.connected().await;
        (handle, stage)
    };
    let mut all: Vec<_> = recorded.batches.iter().collect();
    let mut running = start().await;
    for catalog in recorded.catalogs.values() {
        client.publish(catalog).await;
    }
    for round in 0.. {
        assert!(round < 20, "seed {seed}: not all is acknowledged");
        draw.shuffle(&mut all);
        // At first half of them only, so that the rest comes before and after a restart.
        let published = if round == 0 { all.len() / 2 } else { all.len() };
        for (place, (_, message)) in all.iter().enumerate().take(published) {
            client.publish(message).await;
            if draw.below(4) == 0 {
                client.publish(all[draw.index(place + 1)].1).await;
            }
        }
        let is_all = |heard: &Heard| all.iter().all(|(key, _)| heard.is_acked(**key));
        let patience = Duration::from_secs(if round == 0 { 1 } else { 10 });
        if client.until(patience, is_all).await {
            break;
        }
        let (handle, stage) = running;
        handle.stop(Duration::from_secs(30)).await.unwrap();
        stage.stop(Duration::from_secs(30)).await.unwrap();
        clock.advance(LATE);
        running = start().await;
        for catalog in recorded.catalogs.values() {
            client.publish(catalog).await;
        }
    }
    let (handle, stage) = running;
    assert!(handle.stats().samples_duplicate > 0);
    handle.stop(Duration::from_secs(30)).await.unwrap();
    stage.stop(Duration::from_secs(30)).await.unwrap();
    tasks.stop(Duration::from_secs(10)).await.unwrap();
    assert_eq!(&content(&data.path().join("lake")).await, expected, "seed {seed}");
}
