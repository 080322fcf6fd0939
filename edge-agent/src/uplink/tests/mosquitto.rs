//! Both versions of MQTT against a real broker: mosquitto, which `scripts/setup --tests` installs.

use std::{
    fmt::Write as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Instant,
};

use rumqttc::v5::{
    self,
    mqttbytes::v5::{Packet, Publish as PublishV5},
};

use super::*;

/// Longest wait for what must happen.
const PATIENCE: Duration = Duration::from_secs(60);
const BOTH: [Protocol; 2] = [Protocol::V311, Protocol::V5];

/// A mosquitto of the test's own.
struct Broker {
    process: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian puts it where only root looks.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let found = folders.map(|f| f.join("mosquitto")).find(|p| p.is_file());
    found.expect("mosquitto is needed for this test; scripts/setup --tests installs it")
}

#[allow(clippy::disallowed_methods, reason = "the broker's time is the machine's")]
fn now() -> Instant {
    Instant::now()
}

impl Broker {
    /// With these lines of configuration beyond its listener, and these of access control.
    fn start(lines: &str, acl: &str) -> Self {
        let until = now() + PATIENCE;
        loop {
            assert!(now() < until, "mosquitto does not start");
            let folder = tempfile::tempdir().unwrap();
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut broker = Self { process: Self::run(&folder, port, lines, acl), port, folder };
            // It ends when somebody else has taken the port meanwhile.
            while broker.process.try_wait().unwrap().is_none() {
                if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return broker;
                }
                assert!(now() < until, "mosquitto does not listen");
                std::thread::yield_now();
            }
        }
    }

    fn run(folder: &tempfile::TempDir, port: u16, lines: &str, acl: &str) -> Child {
        // Started by root it would take another user, who cannot read here.
        let mut config =
            format!("listener {port} 127.0.0.1\nallow_anonymous true\nuser root\nlog_dest none\n{lines}\n");
        if !acl.is_empty() {
            let file = folder.path().join("acl");
            std::fs::write(&file, acl).unwrap();
            writeln!(config, "acl_file {}", file.display()).unwrap();
        }
        let file = folder.path().join("mosquitto.conf");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(program());
        command.arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Ends it and starts it again on its port, remembering nothing.
    fn restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = Self::run(&self.folder, self.port, "", "");
    }
}

/// What an ingest of a few lines has seen beyond its batches.
#[derive(Debug, Default)]
struct Seen {
    /// The first publication of each channel, as it came.
    first: BTreeMap<String, PublishV5>,
    /// What the statuses say, in order.
    is_online: Vec<bool>,
    is_subscribed: bool,
}

/// An ingest of a few lines behind a real broker: takes batches as [`FakeCloud`] does, once there
/// is one.
async fn ingest(
    port: u16,
    mut cloud: watch::Receiver<Option<Arc<FakeCloud>>>,
    seen: Arc<Mutex<Seen>>,
    stop: CancellationToken,
) {
    let mut options = v5::MqttOptions::new("ingest", "127.0.0.1", port);
    options.set_max_packet_size(Some(1 << 20));
    options.set_receive_maximum(Some(1000));
    let (client, mut events) = v5::AsyncClient::new(options, 1000);
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.poll() => event,
        };
        match event {
            Ok(v5::Event::Incoming(Packet::ConnAck(_))) => {
                client.try_subscribe("rl/v1/#", v5::mqttbytes::QoS::AtLeastOnce).unwrap();
            }
            Ok(v5::Event::Incoming(Packet::SubAck(_))) => seen.lock().unwrap().is_subscribed = true,
            Ok(v5::Event::Incoming(Packet::Publish(message))) => {
                let cloud = Arc::clone(cloud.wait_for(Option::is_some).await.unwrap().as_ref().unwrap());
                let topic = String::from_utf8(message.topic.to_vec()).unwrap();
                if topic.ends_with("/ack") {
                    continue;
                }
                {
                    let mut seen = seen.lock().unwrap();
                    let channel = topic.rsplit('/').next().unwrap().to_owned();
                    if channel == "status" {
                        let status = VehicleStatus::decode(&message.payload).unwrap();
                        seen.is_online.push(status.is_online);
                    }
                    seen.first.entry(channel).or_insert_with(|| message.clone());
                }
                let mut plain = Publish::new(&topic, QoS::AtLeastOnce, message.payload.to_vec());
                plain.retain = topic.ends_with("/status");
                if cloud.take(&plain) {
                    let mut answer = BytesMut::new();
                    cloud.answer(&topic, &mut answer);
                    let Ok(Mqtt::Publish(ack)) = Mqtt::read(&mut answer, 1 << 20) else { panic!("an ack") };
                    let qos = v5::mqttbytes::QoS::AtLeastOnce;
                    client.try_publish(ack.topic, qos, false, ack.payload.to_vec()).unwrap();
                }
                cloud.changed.send_modify(|n| *n += 1);
            }
            Ok(_) => {}
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

struct Site {
    rig: Rig,
    seen: Arc<Mutex<Seen>>,
    tasks: Tasks,
}

impl Site {
    /// An agent and an ingest at `port`; the agent's own fake cloud only counts.
    async fn at(port: u16, protocol: Protocol, fill: impl FnOnce(&Shared)) -> Self {
        let (tasks, seen) = (Tasks::new(), Arc::new(Mutex::new(Seen::default())));
        let (cloud, from_rig) = watch::channel(None);
        let (told, stop) = (Arc::clone(&seen), tasks.stop_token());
        tasks.spawn("ingest", async move {
            ingest(port, from_rig, told, stop).await;
            Ok(())
        });
        until("ingest subscribes", || seen.lock().unwrap().is_subscribed).await;
        let change = |settings: &mut UplinkSettings| (settings.port, settings.protocol) = (port, protocol);
        let parts = (None, None, None, CampaignSettings::default());
        let rig = Rig::changed(SpoolSettings::default(), parts, change, |_, shared| fill(shared)).await;
        cloud.send_replace(Some(Arc::clone(&rig.cloud)));
        Self { rig, seen, tasks }
    }

    async fn stop(self) {
        self.rig.stop().await;
        self.tasks.stop(Duration::from_secs(5)).await.unwrap();
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let so = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, so).await.is_ok(), "{what}");
}

/// A batch that does not compress, of about so many bytes.
fn fill_large(shared: &Shared, stream_id: StreamId, bytes: usize) {
    let mut random = 1_u64;
    let values = std::iter::repeat_with(|| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from_bits(random >> 2)
    });
    let values: Vec<f64> = values.take(bytes / 8).collect();
    let times_us = (0_i64..).take(values.len()).collect();
    let column = wire::batch::Column::dense(1, wire::batch::Values::Number(values));
    let group = wire::batch::Group { table: wire::batch::Table::Readings, times_us, columns: vec![column] };
    append(shared, Lane::Readings, stream_id, vec![group]);
    shared.appended.notify_one();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_broker_gets_births_catalogues_and_batches() {
    for protocol in BOTH {
        let broker = Broker::start("", "");
        let site = Site::at(broker.port, protocol, |shared| {
            fill(shared, Lane::Readings, stream(1), 100);
            fill(shared, Lane::SIGNALS, stream(2), 100);
        })
        .await;
        site.rig.drained().await;
        assert_eq!(site.rig.cloud.counts().len(), 200);
        assert_eq!(site.rig.shared.stats().reconnects, 0);
        let seen = Arc::clone(&site.seen);
        {
            let seen = seen.lock().unwrap();
            let properties = |channel: &str| seen.first[channel].properties.clone().unwrap_or_default();
            if protocol == Protocol::V5 {
                let batch = properties("telemetry");
                assert_eq!(batch.content_type.as_deref(), Some("application/vnd.roadlake.batch+zstd"));
                let told: Vec<_> = batch.user_properties.iter().map(|(name, _)| name.as_str()).collect();
                assert_eq!(told, ["schema", "batch"]);
                let catalog = properties("catalog");
                assert_eq!(catalog.content_type.as_deref(), Some("application/vnd.roadlake.catalog"));
            } else {
                assert_eq!(properties("telemetry").content_type, None);
            }
        }
        site.stop().await;
        assert_eq!(seen.lock().unwrap().is_online.first(), Some(&true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_forgets_everything_costs_a_resend() {
    for protocol in BOTH {
        let mut broker = Broker::start("", "");
        let site =
            Site::at(broker.port, protocol, |shared| fill(shared, Lane::Readings, stream(1), 30)).await;
        site.rig.drained().await;
        broker.restart();
        fill(&site.rig.shared, Lane::Readings, stream(1), 30);
        site.rig.drained().await;
        assert_eq!(site.rig.cloud.counts().len(), 60);
        assert!(site.rig.shared.stats().reconnects >= 1);
        site.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_wider_than_the_brokers_receive_maximum_is_sent_all_the_same() {
    let broker = Broker::start("max_inflight_messages 3", "");
    let site =
        Site::at(broker.port, Protocol::V5, |shared| fill(shared, Lane::Readings, stream(1), 200)).await;
    site.rig.drained().await;
    assert_eq!(site.rig.cloud.counts().len(), 200);
    // A broker that sees more than its maximum unacknowledged ends the connection.
    assert_eq!(site.rig.shared.stats().reconnects, 0);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vehicle_that_may_not_publish_is_told_why_and_does_not_hurry() {
    let acl = "topic readwrite rl/v1/+/+/ack\ntopic read #\npattern write rl/v1/+/+/status\n\
               pattern write rl/v1/+/+/catalog\n";
    let broker = Broker::start("", acl);
    let site = Site::at(broker.port, Protocol::V5, |shared| fill(shared, Lane::Readings, stream(1), 5)).await;
    until("refused", || site.rig.shared.refusal().is_some_and(|r| r.contains("not authorized (0x87)"))).await;
    until("tried again", || site.rig.shared.stats().reconnects >= 2).await;
    assert_eq!(site.rig.shared.stats().batches_in_spool, 5);
    assert_eq!(site.rig.cloud.counts().len(), 0);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_larger_than_the_broker_takes_is_given_up_and_told() {
    let broker = Broker::start("max_packet_size 20000", "");
    let site = Site::at(broker.port, Protocol::V5, |shared| {
        fill(shared, Lane::Readings, stream(1), 2);
        fill_large(shared, stream(1), 40_000);
        fill(shared, Lane::Readings, stream(1), 2);
    })
    .await;
    // Handed over it would end this connection and every one after it.
    site.rig.drained().await;
    let stats = site.rig.shared.stats();
    assert_eq!((site.rig.cloud.counts().len(), stats.reconnects), (4, 0));
    assert_eq!(stats.dropped_by(DropReason::Rejected), 1);
    let gap = site.rig.shared.spool().next_batch(Lane::Readings, stream(1)).gaps.remove(0).1;
    assert_eq!((gap.from_sequence, gap.to_sequence), (3, 3));
    site.stop().await;
}
