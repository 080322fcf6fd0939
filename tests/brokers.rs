//! What brokers do to messages: the embedded one with hardly any memory, and mosquitto with the
//! sample configuration, which lets each client only do what its certificate says.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/content.rs"]
mod content;
#[path = "support/mosquitto.rs"]
mod mosquitto;
#[path = "support/pipeline.rs"]
mod pipeline;

use std::{
    cell::Cell,
    fs,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use certificates::Certificates;
use content::content;
use edge_agent::{
    agent,
    source::replay::Pace,
    uplink::{TlsSettings, UplinkSettings},
};
use ingest::config::BrokerSettings;
use mosquitto::Mosquitto;
use pipeline::{Pipeline, REAL_CAR, real_car, root, within};
use service::{Tasks, clock::SystemClock};

/// Far less than the window of one vehicle.
const MEMORY_BYTES: usize = 16 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn what_the_embedded_broker_evicts_is_sent_again() {
    let undisturbed = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start(undisturbed.path()).await;
    let spool = undisturbed.path().join("spool");
    let agent = pipeline.agent(real_car(&spool, pipeline.broker(), Pace::FlatOut)).await;
    within("the undisturbed run drained", agent.drained()).await;
    pipeline.stop().await;
    let expected = content(&undisturbed.path().join("lake")).await;

    let data = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start_with(data.path(), |ingest| {
        // Ingest takes a message at a time and stops for each commit.
        ingest.intake_queue_len_max = 1;
        ingest.flush_interval = Duration::from_millis(200);
        if let BrokerSettings::Embedded { memory_bytes_max, .. } = &mut ingest.broker {
            *memory_bytes_max = MEMORY_BYTES;
        }
    })
    .await;
    // All of the log waits when the vehicle comes back, and goes out at once.
    let spool = data.path().join("spool");
    spool_all(real_car(&spool, ([127, 0, 0, 1], 9).into(), Pace::FlatOut)).await;
    let mut settings = real_car(&spool, pipeline.broker(), Pace::FlatOut);
    settings.uplink =
        UplinkSettings { in_flight_max: 4096, resend_after: Duration::from_secs(1), ..settings.uplink };
    let agent = pipeline.agent(settings).await;
    within("the disturbed run drained", agent.drained()).await;
    let (sent, received) = (agent.stats().batches_sent, pipeline.ingest.stats().batches_received);
    println!("{sent} messages sent, {received} received");
    assert!(received < sent, "nothing was evicted: {received} of {sent}");
    assert_eq!(agent.stats().samples_dropped_total(), 0);
    pipeline.stop().await;
    assert_eq!(content(&data.path().join("lake")).await, expected);
}

/// An agent with nobody to send to, until all of its log is on its disk.
async fn spool_all(settings: agent::Settings) {
    let tasks = Tasks::new();
    let agent = agent::start(settings, &tasks, SystemClock::shared()).await.unwrap();
    within("the log is spooled", async {
        while !agent.stats().is_source_done {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    tasks.stop(Duration::from_secs(20)).await.unwrap();
}

/// mosquitto by the sample files, at ports of this machine and with these certificates; and where the
/// cloud's side connects.
fn mosquitto(certificates: &Certificates) -> (Mosquitto, SocketAddr) {
    certificates.issue("broker", Some("broker"));
    let sample = |name: &str| fs::read_to_string(root().join("configs/brokers").join(name)).unwrap();
    fs::write(certificates.path("mosquitto.acl"), sample("mosquitto.acl")).unwrap();
    let folder = certificates.folder().to_string_lossy().into_owned();
    let inside = Cell::new(None);
    let broker = Mosquitto::start_with(|address, _| {
        let own = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        inside.set(Some(own));
        let mut config = sample("mosquitto.conf").replace("/etc/roadlake/broker", &folder);
        for (listener, address) in [("listener 8883", address), ("listener 8884 127.0.0.1", own)] {
            assert!(config.contains(listener));
            config = config.replace(listener, &format!("listener {} {}", address.port(), address.ip()));
        }
        // Started by root it would take another user, who cannot read here.
        format!("user root\nlog_dest none\n{config}")
    });
    (broker, inside.get().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_lets_each_certificate_speak_for_itself_alone() {
    let (certificates, data) = (Certificates::new(), tempfile::tempdir().unwrap());
    let (tasks, clock) = (Tasks::new(), SystemClock::shared());
    let (broker, inside) = mosquitto(&certificates);
    let settings = certificates.ingest(data.path(), inside, |_| ());
    let ingest = ingest::start(settings, &tasks, clock.clone()).await.unwrap();
    within("ingest is subscribed over TLS", ingest.connected()).await;
    let car = |spool: &str, tls: Option<TlsSettings>| {
        let mut settings = real_car(&data.path().join(spool), broker.address(), Pace::FlatOut);
        settings.uplink.tls = tls;
        settings
    };
    let start = |settings: agent::Settings| agent::start(settings, &tasks, clock.clone());

    // Of the same authority, but another vehicle, which calls itself by this one's client id: it may
    // connect, and is not heard.
    let thief = start(car("thief", Some(certificates.client("thief")))).await.unwrap();
    within("the thief sends", async {
        while thief.stats().batches_sent == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    // Without a certificate, and without TLS: neither comes in.
    let nobody = TlsSettings { ca_file: certificates.path("ca.pem"), client: None };
    let (nobody, plain) =
        (start(car("nobody", Some(nobody))).await.unwrap(), start(car("plain", None)).await.unwrap());

    let own = start(car("own", Some(certificates.client(REAL_CAR)))).await.unwrap();
    within("the vehicle itself drained", own.drained()).await;
    let (stats, sent) = (ingest.stats(), own.stats());
    assert_eq!(stats.samples_stored, sent.samples_collected_total());
    assert_eq!(stats.samples_quarantined, 0);
    assert!(stats.batches_received <= sent.batches_sent, "{stats:?} {sent:?}");
    // Neither ended the other's connection.
    assert_eq!((thief.stats().samples_acked, thief.stats().reconnects, sent.reconnects), (0, 0, 0));
    for stranger in [nobody, plain] {
        assert_eq!((stranger.stats().batches_sent, stranger.stats().samples_acked), (0, 0));
    }
    ingest.stop(Duration::from_secs(30)).await.unwrap();
    tasks.stop(Duration::from_secs(30)).await.unwrap();
}

/// A broker whose certificate another authority signed is not told anything.
#[tokio::test(flavor = "multi_thread")]
async fn ingest_does_not_speak_with_a_broker_of_another_authority() {
    let (ours, theirs, data) = (Certificates::new(), Certificates::new(), tempfile::tempdir().unwrap());
    let (tasks, (_broker, inside)) = (Tasks::new(), mosquitto(&theirs));
    let settings = ours.ingest(data.path(), inside, |_| ());
    let ingest = ingest::start(settings, &tasks, SystemClock::shared()).await.unwrap();
    // Tried and refused within the second; the right one is connected to in a tenth of it.
    let connected = tokio::time::timeout(Duration::from_secs(1), ingest.connected()).await;
    assert!(connected.is_err() && !ingest.is_connected());
    ingest.stop(Duration::from_secs(10)).await.unwrap();
    tasks.stop(Duration::from_secs(10)).await.unwrap();
}
