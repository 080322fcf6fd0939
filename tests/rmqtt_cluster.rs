//! A cluster of three rmqtt nodes by the sample files: who may do what, and that nothing is lost or
//! doubled while its nodes die. `scripts/test-cluster` builds the node and runs this.
//!
//! `ROADLAKE_CLUSTER_KILLS` says how often the leader is killed, and followers as often.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test: a failure is the message"
)]

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/content.rs"]
mod content;
#[path = "faults/fleet.rs"]
mod fleet;
#[path = "support/pipeline.rs"]
mod pipeline;
#[path = "support/programs.rs"]
mod programs;
#[path = "support/rmqtt.rs"]
mod rmqtt;

use std::{fs, path::Path, time::Duration};

use certificates::Certificates;
use content::content;
use edge_agent::{source::replay::Pace, uplink::ClientCertificate};
use fleet::{Agents, Fleet};
use pipeline::within;
use rmqtt::{Cluster, NODES};
use rumqttc::{
    TlsConfiguration, Transport,
    v5::{
        AsyncClient, ConnectionError, Event, EventLoop, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{ConnectReturnCode, Packet, PubAckReason, SubscribeReasonCode},
        },
    },
};
use service::{Tasks, clock::SystemClock};
use wire::{
    ids::VehicleId,
    topics::{Channel, topic},
};

/// How often the leader is killed, and a follower.
const KILLS: usize = 10;
const BATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Slow enough that vehicles have something to send until the last kill.
const SPEED_UNDER_KILLS: f64 = 0.5;
/// Ingest instance `i` of two listens at node `INGEST_AT[i]`; its vehicles send to the other nodes.
const INGEST_AT: [usize; 2] = [1, 2];
const INSTANCES: u32 = 2;

fn kills() -> usize {
    let Ok(text) = std::env::var("ROADLAKE_CLUSTER_KILLS") else { return KILLS };
    text.parse().unwrap_or_else(|_| panic!("ROADLAKE_CLUSTER_KILLS is {text:?}, which is no number"))
}

/// The node of a vehicle: never that of its ingest.
fn node_of(vehicle_id: &VehicleId) -> usize {
    let shard = vehicle_id.shard();
    let ingest_at = INGEST_AT[(shard % INSTANCES) as usize];
    let others: Vec<usize> = (0..NODES).filter(|node| *node != ingest_at).collect();
    others[(shard / INSTANCES) as usize % others.len()]
}

/// What the agents of a run have done, over all of their starts.
#[derive(Debug, Default)]
struct Sent {
    /// Different ones.
    spooled: u64,
    /// Messages, copies included.
    messages: u64,
    resends: u64,
    reconnects: u64,
}

impl Sent {
    fn add(&mut self, agents: &Agents) {
        for stats in agents.handles.iter().map(|agent| agent.stats()) {
            self.spooled += stats.batches_spooled;
            self.messages += stats.batches_sent;
            self.resends += stats.resends;
            self.reconnects += stats.reconnects;
        }
    }
}

/// Waits until every vehicle has had further batches taken by the lake.
async fn all_go_on(agents: &Agents, after: &str) {
    let acked = |agents: &Agents| agents.handles.iter().map(|a| a.stats().batches_acked).collect::<Vec<_>>();
    let before = acked(agents);
    let goes_on = async {
        while acked(agents).iter().zip(&before).any(|(now, then)| now <= then) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(&format!("every vehicle goes on after {after}"), goes_on).await;
    let is_under_load = agents.handles.iter().all(|agent| !agent.stats().is_source_done);
    assert!(is_under_load, "a vehicle had nothing more to send after {after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_whose_nodes_die_again_and_again_loses_and_doubles_nothing() {
    let kills = kills();
    let fleet = Fleet::with_batches_of(BATCH_INTERVAL);
    let expected = fleet.undisturbed().await;
    let (certificates, data) = (Certificates::new(), tempfile::tempdir().unwrap());
    let mut cluster = Cluster::start(&certificates, data.path()).await;

    let (tasks, clock) = (Tasks::new(), SystemClock::shared());
    let mut ingests = Vec::new();
    for (instance, node) in (0..INSTANCES).zip(INGEST_AT) {
        let mut settings = certificates.ingest(data.path(), cluster.mqtt(node), |config| {
            (config.instance, config.instances) = (instance, INSTANCES);
        });
        settings.flush_interval = Duration::from_millis(200);
        ingests.push(ingest::start(settings, &tasks, clock.clone()).await.unwrap());
    }
    for ingest in &ingests {
        within("ingest is subscribed", ingest.connected()).await;
    }
    let start = async |cluster: &Cluster, pace: Pace| {
        let broker = |vehicle_id: &VehicleId| cluster.mqtt(node_of(vehicle_id));
        let secured = |vehicle_id: &VehicleId, settings: &mut edge_agent::agent::Settings| {
            settings.uplink.tls = Some(certificates.client(vehicle_id.as_str()));
        };
        fleet.start_with(data.path(), broker, pace, secured).await
    };
    let agents = start(&cluster, Pace::Recorded(SPEED_UNDER_KILLS)).await;
    all_go_on(&agents, "the start").await;

    for pair in 0..kills {
        // The follower dies while vehicles still come back from the leader's death.
        for victim_leads in [true, false] {
            let leader = cluster.agreed(&[0, 1, 2]).await;
            let followers: Vec<usize> = (0..NODES).filter(|node| *node != leader).collect();
            let victim = if victim_leads { leader } else { followers[pair % followers.len()] };
            cluster.kill(victim);
            let rest: Vec<usize> = (0..NODES).filter(|node| *node != victim).collect();
            cluster.agreed(&rest).await;
            cluster.start_again(victim).await;
            let what = if victim_leads { "leader" } else { "follower" };
            println!("{what} {} of {kills} killed, node {}", pair + 1, victim + 1);
        }
        all_go_on(&agents, &format!("pair {} of kills", pair + 1)).await;
        println!("{} batches durable", agents.acked());
    }
    for node in 0..NODES {
        cluster.end(node).await;
        cluster.start_again(node).await;
        all_go_on(&agents, &format!("the restart of node {}", node + 1)).await;
    }

    let mut sent = Sent::default();
    sent.add(&agents);
    agents.stop().await;
    // The rest of the drive at once.
    let agents = start(&cluster, Pace::FlatOut).await;
    agents.drained().await;
    sent.add(&agents);
    agents.stop().await;

    let (mut received, mut stored, mut duplicate, mut quarantined) = (0, 0, 0, 0);
    for ingest in ingests {
        let stats = ingest.stats();
        received += stats.batches_received;
        stored += stats.samples_stored;
        duplicate += stats.samples_duplicate;
        quarantined += stats.samples_quarantined;
        ingest.stop(Duration::from_secs(30)).await.unwrap();
    }
    tasks.stop(Duration::from_secs(30)).await.unwrap();
    let content = content(&data.path().join("lake")).await;
    println!(
        "{kills} leaders and {kills} followers killed, {NODES} nodes restarted in turn ({} starts in vain); \
         {} batches, sent in {} messages ({} resends, {} reconnects), {received} received; {stored} samples \
         stored, {duplicate} duplicate ones left out, {quarantined} quarantined; {} rows in the lake, {} \
         without disturbance",
        cluster.starts_in_vain,
        sent.spooled,
        sent.messages,
        sent.resends,
        sent.reconnects,
        content.rows,
        expected.rows
    );
    assert!(sent.reconnects > 0);
    assert_eq!(quarantined, 0);
    assert_eq!(&content, expected);
}

/// A connection of MQTT 5 to a node.
fn connect(cluster: &Cluster, client_id: &str, transport: Transport) -> (AsyncClient, EventLoop) {
    let address = cluster.mqtt(0);
    let mut options = MqttOptions::new(client_id, address.ip().to_string(), address.port());
    // What counts is the certificate.
    options.set_credentials("ingest", "ingest");
    options.set_transport(transport);
    AsyncClient::new(options, 10)
}

/// TLS with this certificate, or with none.
fn tls(authority: &Path, certificate: Option<ClientCertificate>) -> Transport {
    service::tls::use_ring();
    let read = |path: &Path| fs::read(path).unwrap();
    Transport::tls_with_config(TlsConfiguration::Simple {
        ca: read(authority),
        alpn: None,
        client_auth: certificate.map(|files| (read(&files.cert_file), read(&files.key_file))),
    })
}

/// The first packet of a kind.
async fn told<T>(events: &mut EventLoop, of: impl Fn(Packet) -> Option<T>) -> Result<T, ConnectionError> {
    within("the broker's answer", async {
        loop {
            if let Event::Incoming(packet) = events.poll().await?
                && let Some(told) = of(packet)
            {
                return Ok(told);
            }
        }
    })
    .await
}

async fn is_let_in(events: &mut EventLoop) -> Result<(), ConnectionError> {
    told(events, |packet| matches!(packet, Packet::ConnAck(_)).then_some(())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_lets_each_certificate_speak_for_itself_alone() {
    let (ours, theirs, data) = (Certificates::new(), Certificates::new(), tempfile::tempdir().unwrap());
    let cluster = Cluster::start_one(&ours, data.path()).await;
    let authority = ours.path("ca.pem");
    let with = |name: &str| tls(&authority, Some(ours.issue(name, Some(name))));
    let of = |vehicle_id: &str, channel| topic(&vehicle_id.parse().unwrap(), channel);

    let (client, mut events) = connect(&cluster, "car-1", with("car-1"));
    is_let_in(&mut events).await.unwrap();
    for (topic, is_taken) in [
        (of("car-1", Channel::Telemetry), true),
        (of("car-2", Channel::Telemetry), false),
        (of("car-1", Channel::Ack), false),
        ("elsewhere".to_owned(), false),
    ] {
        client.publish(&topic, QoS::AtLeastOnce, false, "x").await.unwrap();
        let of_publish = |packet| match packet {
            Packet::PubAck(ack) => Some(ack.reason),
            _ => None,
        };
        let reason = told(&mut events, of_publish).await.unwrap();
        assert_eq!(reason != PubAckReason::NotAuthorized, is_taken, "{topic}: {reason:?}");
    }
    for (filter, is_granted) in [
        (of("car-1", Channel::Ack), true),
        (of("car-2", Channel::Ack), false),
        ("rl/v1/+/+/ack".to_owned(), false),
        ("#".to_owned(), false),
        (format!("$share/group/{}", of("car-2", Channel::Ack)), false),
    ] {
        client.subscribe(&filter, QoS::AtLeastOnce).await.unwrap();
        let of_subscribe = |packet| match packet {
            Packet::SubAck(ack) => Some(ack.return_codes),
            _ => None,
        };
        let codes = told(&mut events, of_subscribe).await.unwrap();
        assert_eq!(matches!(codes[..], [SubscribeReasonCode::Success(_)]), is_granted, "{filter}: {codes:?}");
    }

    // With a certificate of its own, but as somebody else; and with one that names nobody.
    let unnamed = tls(&authority, Some(ours.issue("unnamed", None)));
    for (client_id, transport) in
        [("car-1", with("car-2")), ("ingest-1", with("car-2")), ("ingest-1", unnamed)]
    {
        let (_client, mut events) = connect(&cluster, client_id, transport);
        let refused = is_let_in(&mut events).await;
        assert!(
            matches!(refused, Err(ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized))),
            "{client_id}: {refused:?}"
        );
    }
    // Without a certificate, with one of another authority, without TLS.
    let foreign = tls(&authority, Some(theirs.issue("car-3", Some("car-3"))));
    for transport in [tls(&authority, None), foreign, Transport::tcp()] {
        let (_client, mut events) = connect(&cluster, "car-3", transport);
        let refused = is_let_in(&mut events).await;
        assert!(
            refused.is_err() && !matches!(refused, Err(ConnectionError::ConnectionRefused(_))),
            "{refused:?}"
        );
    }
    // All that did not disturb the vehicle itself.
    client.publish(of("car-1", Channel::Telemetry), QoS::AtLeastOnce, false, "x").await.unwrap();
    told(&mut events, |packet| matches!(packet, Packet::PubAck(_)).then_some(())).await.unwrap();
}
