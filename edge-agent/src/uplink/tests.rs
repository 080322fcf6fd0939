//! The uplink against a broker and an ingest of a few lines, which forget and fail on demand.

mod commands;
mod delivery;
mod mosquitto;
mod refusals;
mod secured;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, atomic::AtomicBool},
};

use bytes::BytesMut;
use rumqttc::{
    QoS,
    mqttbytes::v4::{
        ConnAck, ConnectReturnCode, Packet as Mqtt, PubAck, Publish, SubAck, SubscribeReasonCode,
    },
};
use service::{Tasks, clock::SystemClock};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
};
use wire::{
    ack::{AckMessage, DurableAck, VehicleStatus, payload_crc32},
    batch::{Batch, ClockState, Envelope},
    catalog::Catalog,
    command::CommandReply,
    ids::{CatalogHash, StreamId},
    signature::BatchVerifier,
    time::Timestamp,
};

use super::*;
use crate::campaign::desk::{CampaignSettings, Delivery, TakesEffect};
use crate::spool::{CatchUp, DiskStorage, DropReason, Lane, RecordMeta, Spool, SpoolSettings};

/// What the cloud has seen and how it behaves.
#[derive(Debug, Default)]
pub(crate) struct Cloud {
    /// Batches by stream and sequence, and how often each came.
    batches: BTreeMap<(StreamId, u64), u32>,
    lowest_still_to_come: BTreeMap<StreamId, u64>,
    catalogs: BTreeSet<CatalogHash>,
    /// How often one came.
    catalogs_came: u32,
    statuses: Vec<VehicleStatus>,
    connections: u32,
    to_reject: Vec<u32>,
    /// What the next answers ask for.
    wait_s: u32,
    /// Common names of the certificates shown.
    names: Vec<String>,
    replies: Vec<CommandReply>,
    /// Batches as they came.
    pub(crate) decoded: Vec<Batch>,
}

#[derive(Debug)]
pub(crate) struct FakeCloud {
    pub(crate) port: u16,
    pub(crate) cloud: Mutex<Cloud>,
    /// Acks are given.
    gives_acks: AtomicBool,
    /// Subscriptions still to be refused.
    subscription_refusals: Mutex<u32>,
    /// Connections still to be cut after so many batches.
    cuts: Mutex<Vec<u32>>,
    needs_catalog: AtomicBool,
    /// With every batch the catalogue is asked for, until it has come so often.
    catalogs_wanted: std::sync::atomic::AtomicU32,
    /// Batches of these sequences are more than this cloud can read.
    unreadable: Mutex<BTreeSet<u64>>,
    /// Connections are taken and never answered.
    is_deaf: AtomicBool,
    /// With it connections are TLS.
    tls: Mutex<Option<Arc<rustls::ServerConfig>>>,
    /// With it every batch must be signed by that key.
    verifier: Mutex<Option<BatchVerifier>>,
    /// Payloads to be sent on `command`, each once a connection.
    commands: Mutex<Vec<Vec<u8>>>,
    /// Connections cut before a reply is acknowledged.
    reply_cuts: Mutex<u32>,
    /// The retained campaign set.
    campaigns: Mutex<Vec<u8>>,
    changed: watch::Sender<u64>,
}

impl FakeCloud {
    pub(crate) async fn start(tasks: &Tasks) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cloud = Arc::new(Self {
            port: listener.local_addr().unwrap().port(),
            cloud: Mutex::default(),
            gives_acks: AtomicBool::new(true),
            subscription_refusals: Mutex::default(),
            cuts: Mutex::default(),
            needs_catalog: AtomicBool::new(false),
            catalogs_wanted: std::sync::atomic::AtomicU32::new(0),
            unreadable: Mutex::default(),
            is_deaf: AtomicBool::new(false),
            tls: Mutex::default(),
            verifier: Mutex::default(),
            commands: Mutex::default(),
            reply_cuts: Mutex::default(),
            campaigns: Mutex::default(),
            changed: watch::Sender::new(0),
        });
        let (accepting, stop) = (Arc::clone(&cloud), tasks.stop_token());
        tasks.spawn("fake cloud", async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    Ok((socket, _)) = listener.accept() => accepting.take_socket(socket, &stop).await,
                }
            }
        });
        cloud
    }

    async fn take_socket(&self, socket: tokio::net::TcpStream, stop: &CancellationToken) {
        if self.is_deaf.load(Ordering::SeqCst) {
            return stop.cancelled().await;
        }
        let tls = self.tls.lock().unwrap().clone();
        let Some(tls) = tls else { return self.serve(socket, stop).await };
        let Ok(socket) = tokio_rustls::TlsAcceptor::from(tls).accept(socket).await else { return };
        let own = socket.get_ref().1.peer_certificates().and_then(|c| x509::facts(c.first()?));
        self.cloud.lock().unwrap().names.push(own.and_then(|f| f.common_name).unwrap_or_default());
        self.changed.send_modify(|n| *n += 1);
        self.serve(socket, stop).await;
    }

    /// One connection at a time: there is one vehicle.
    async fn serve(&self, mut socket: impl AsyncRead + AsyncWrite + Unpin, stop: &CancellationToken) {
        self.cloud.lock().unwrap().connections += 1;
        let mut cut_after = self.cuts.lock().unwrap().pop();
        let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
        let mut to_ack = self.changed.subscribe();
        let mut hears_acks = false;
        loop {
            while let Ok(packet) = Mqtt::read(&mut input, 1 << 20) {
                match packet {
                    Mqtt::Connect(_) => {
                        ConnAck::new(ConnectReturnCode::Success, false).write(&mut output).unwrap();
                    }
                    Mqtt::Subscribe(s) => {
                        if self.is_subscription_refused() {
                            let refused = vec![SubscribeReasonCode::Failure];
                            SubAck::new(s.pkid, refused).write(&mut output).unwrap();
                            continue;
                        }
                        let codes = vec![SubscribeReasonCode::Success(QoS::AtLeastOnce)];
                        SubAck::new(s.pkid, codes).write(&mut output).unwrap();
                        hears_acks |= s.filters.iter().any(|f| f.path.ends_with("/ack"));
                        if s.filters.iter().any(|f| f.path.ends_with("/command")) {
                            self.command(&mut output);
                        }
                        let topic = &s.filters[0].path;
                        let set = self.campaigns.lock().unwrap().clone();
                        if topic.ends_with("/campaigns") && !set.is_empty() {
                            Publish::new(topic, QoS::AtMostOnce, set).write(&mut output).unwrap();
                        }
                    }
                    Mqtt::Publish(publish) => {
                        if publish.topic.ends_with("/reply") && self.is_reply_cut(&publish) {
                            return;
                        }
                        PubAck::new(publish.pkid).write(&mut output).unwrap();
                        if self.take(&publish) {
                            match &mut cut_after {
                                Some(0) => return,
                                Some(left) => *left -= 1,
                                None => {}
                            }
                        }
                        if hears_acks {
                            self.answer(&publish.topic, &mut output);
                        }
                    }
                    Mqtt::PingReq => Mqtt::PingResp.write(&mut output, 1 << 20).map(drop).unwrap(),
                    Mqtt::Disconnect => return,
                    _ => {}
                }
            }
            if !output.is_empty() {
                socket.write_all(&output.split()).await.ok();
            }
            tokio::select! {
                () = stop.cancelled() => return,
                read = socket.read_buf(&mut input) => if !matches!(read, Ok(1..)) { return },
                _ = to_ack.changed() => if hears_acks { self.answer("rl/v1/telemetry", &mut output) },
            }
        }
    }

    /// `true` when the next subscription is to be refused.
    fn is_subscription_refused(&self) -> bool {
        let mut refusals = self.subscription_refusals.lock().unwrap();
        let is_refused = *refusals > 0;
        *refusals = refusals.saturating_sub(1);
        is_refused
    }

    /// Sends every command there is.
    fn command(&self, output: &mut BytesMut) {
        let topic = wire::topics::topic(&vehicle(), Channel::Command);
        for payload in &*self.commands.lock().unwrap() {
            let mut publish = Publish::new(&topic, QoS::AtMostOnce, payload.clone());
            publish.pkid = 0;
            publish.write(output).unwrap();
        }
    }

    /// Notes a reply; `true` when the connection is to be cut before it is acknowledged.
    fn is_reply_cut(&self, publish: &Publish) -> bool {
        self.cloud.lock().unwrap().replies.push(CommandReply::decode(&publish.payload).unwrap());
        self.changed.send_modify(|n| *n += 1);
        let mut cuts = self.reply_cuts.lock().unwrap();
        let is_cut = *cuts > 0;
        *cuts = cuts.saturating_sub(1);
        is_cut
    }

    /// Notes a message; `true` for a batch.
    fn take(&self, publish: &Publish) -> bool {
        let mut cloud = self.cloud.lock().unwrap();
        let is_batch = publish.topic.ends_with("/telemetry");
        if is_batch {
            let envelope = Envelope::decode(&publish.payload).unwrap();
            if let Some(verifier) = &*self.verifier.lock().unwrap() {
                verifier.verify(envelope.body, envelope.signature).unwrap();
            }
            let batch = Batch::decode_body(envelope.body).unwrap();
            if self.unreadable.lock().unwrap().contains(&batch.sequence) {
                cloud.to_reject.push(payload_crc32(&publish.payload));
                return true;
            }
            cloud.decoded.push(batch.clone());
            *cloud.batches.entry((batch.stream_id, batch.sequence)).or_default() += 1;
            let lowest = cloud.lowest_still_to_come.entry(batch.stream_id).or_default();
            *lowest = (*lowest).max(batch.oldest_sequence);
        } else if publish.topic.ends_with("/catalog") {
            cloud.catalogs.insert(wire::catalog::hash_of(&publish.payload));
            cloud.catalogs_came += 1;
        } else if publish.topic.ends_with("/status") {
            assert!(publish.retain);
            cloud.statuses.push(VehicleStatus::decode(&publish.payload).unwrap());
        }
        is_batch
    }

    /// Acks as ingest does: up to the first sequence that may still come.
    fn answer(&self, topic: &str, output: &mut BytesMut) {
        if !topic.ends_with("/telemetry") {
            return;
        }
        let mut cloud = self.cloud.lock().unwrap();
        let rejected = std::mem::take(&mut cloud.to_reject);
        let mut message = AckMessage { rejected, wait_s: cloud.wait_s, ..AckMessage::default() };
        let is_catalog_wanted = cloud.catalogs_came < self.catalogs_wanted.load(Ordering::SeqCst);
        if is_catalog_wanted {
            // As ingest does, it forgets a batch that it cannot read.
            cloud.batches.clear();
        }
        if self.needs_catalog.swap(false, Ordering::SeqCst) || is_catalog_wanted {
            message.need_catalog = cloud.catalogs.iter().copied().collect();
        } else if self.gives_acks.load(Ordering::SeqCst) {
            for (stream_id, lowest) in &cloud.lowest_still_to_come {
                let mut up_to = lowest - 1;
                while cloud.batches.contains_key(&(*stream_id, up_to + 1)) {
                    up_to += 1;
                }
                message.durable.push(DurableAck { stream_id: *stream_id, up_to_sequence: up_to });
            }
        }
        let topic = wire::topics::topic(&vehicle(), Channel::Ack);
        let mut publish = Publish::new(topic, QoS::AtMostOnce, message.encode());
        publish.pkid = 0;
        publish.write(output).unwrap();
    }

    fn counts(&self) -> Vec<u32> {
        self.cloud.lock().unwrap().batches.values().copied().collect()
    }
}

fn vehicle() -> VehicleId {
    "car-1".parse().unwrap()
}

fn catalog() -> Vec<u8> {
    Catalog { vss_release: "6.0".to_owned(), columns: Vec::new() }.encode()
}

/// Appends batches without samples' content: only their envelope matters here.
fn fill(shared: &Shared, lane: Lane, stream_id: StreamId, count: u64) {
    for _ in 0..count {
        append(shared, lane, stream_id, Vec::new());
    }
    shared.appended.notify_one();
}

/// Appends a batch that counts as one sample.
fn append(shared: &Shared, lane: Lane, stream_id: StreamId, groups: Vec<wire::batch::Group>) {
    let mut spool = shared.spool();
    let next = spool.next_batch(lane, stream_id);
    let batch = Batch {
        vehicle_id: vehicle(),
        boot_id: BootId(uuid::Uuid::nil()),
        stream_id,
        sequence: next.sequence,
        oldest_sequence: next.oldest_sequence,
        catalog_hash: wire::catalog::hash_of(&catalog()),
        base_time: Timestamp(0),
        monotonic_base_us: 0,
        groups,
        gaps: Vec::new(),
        clock: ClockState::Synchronized,
    };
    let meta = RecordMeta {
        sequence: next.sequence,
        oldest_sequence: next.oldest_sequence,
        first_time: Timestamp(0),
        last_time: Timestamp(0),
        sample_count: 1,
        gap_ids: Vec::new(),
    };
    let key = (stream_id, batch.catalog_hash);
    spool.append(lane, key, &meta, &batch.encode_body().unwrap(), SystemClock::shared().now_us()).unwrap();
}

/// TLS, signer, desk of commands, campaigns.
type Parts = (Option<TlsSettings>, Option<BatchSigner>, Option<Arc<Desk>>, CampaignSettings);

struct Rig {
    tasks: Tasks,
    cloud: Arc<FakeCloud>,
    shared: Arc<Shared>,
    campaigns: Arc<CampaignDesk>,
    _folder: tempfile::TempDir,
}

impl Rig {
    async fn new(settings: SpoolSettings, set_up: impl FnOnce(&FakeCloud, &Shared)) -> Self {
        Self::with(settings, None, None, None, set_up).await
    }

    async fn with_campaigns(
        settings: SpoolSettings,
        campaigns: CampaignSettings,
        set_up: impl FnOnce(&FakeCloud, &Shared),
    ) -> Self {
        Self::changed(settings, (None, None, None, campaigns), |_| (), set_up).await
    }

    async fn with(
        settings: SpoolSettings,
        tls: Option<TlsSettings>,
        signer: Option<BatchSigner>,
        desk: Option<Arc<Desk>>,
        set_up: impl FnOnce(&FakeCloud, &Shared),
    ) -> Self {
        Self::changed(settings, (tls, signer, desk, CampaignSettings::default()), |_| (), set_up).await
    }

    async fn changed(
        settings: SpoolSettings,
        (tls, signer, desk, campaigns): Parts,
        change: impl FnOnce(&mut UplinkSettings),
        set_up: impl FnOnce(&FakeCloud, &Shared),
    ) -> Self {
        let tasks = Tasks::new();
        let cloud = FakeCloud::start(&tasks).await;
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(Box::new(DiskStorage::open(folder.path()).unwrap()), settings).unwrap();
        let catalog_hash = wire::catalog::hash_of(&catalog());
        spool.put_catalog(catalog_hash, &catalog()).unwrap();
        let shared = Arc::new(Shared::new(spool));
        set_up(&cloud, &shared);
        let mut settings = UplinkSettings {
            port: cloud.port,
            tls,
            in_flight_max: 8,
            resend_after: Duration::from_millis(600),
            ..UplinkSettings::default()
        };
        change(&mut settings);
        let campaigns = CampaignDesk::open(
            vehicle(),
            Catalog::decode(&catalog()).unwrap(),
            &campaigns,
            folder.path(),
            TakesEffect::AtOnce,
        );
        let campaigns = Arc::new(campaigns.unwrap());
        let uplink = Uplink {
            vehicle_id: vehicle(),
            boot_id: BootId(uuid::Uuid::nil()),
            campaigns: Arc::clone(&campaigns),
            transport: Uplink::transport(&settings).unwrap(),
            settings,
            signer,
            desk,
            shared: Arc::clone(&shared),
            clock: SystemClock::shared(),
            time: None,
        };
        tasks.spawn("uplink", uplink.run(tasks.stop_token()));
        Self { tasks, cloud, shared, campaigns, _folder: folder }
    }

    async fn drained(&self) {
        let drained = async {
            loop {
                let settled = self.shared.settled.notified();
                tokio::pin!(settled);
                settled.as_mut().enable();
                if self.shared.stats().batches_in_spool == 0 {
                    return;
                }
                settled.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), drained).await.expect("the spool is drained");
    }

    async fn stop(self) -> Vec<VehicleStatus> {
        self.tasks.stop(Duration::from_secs(5)).await.unwrap();
        self.cloud.cloud.lock().unwrap().statuses.clone()
    }
}

fn stream(n: u128) -> StreamId {
    StreamId(uuid::Uuid::from_u128(n))
}
