//! One vehicle of a load run: an MQTT connection as small as it can be, by the library's packets, so
//! that there can be fifty thousand of them.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context, ensure};
use bytes::BytesMut;
use edge_agent::uplink::Pace;
use nix::sys::socket::{setsockopt, sockopt};
use rumqttc::{
    mqttbytes,
    mqttbytes::{
        QoS,
        v4::{Connect, ConnectReturnCode, Packet, PingReq, PubAck, Publish, Subscribe},
    },
};
use service::clock::micros;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::watch,
};
use uuid::Uuid;
use wire::{
    ack::{AckMessage, payload_crc32},
    ids::{StreamId, VehicleId},
    time::Timestamp,
    topics::{self, Channel},
};

use super::{Fleet, chance::Chance, templates::Place};

/// Batches without a durable ack, as an agent has in flight.
const IN_FLIGHT_MAX: usize = 64;
const KEEP_ALIVE_S: u16 = 120;
const PING_US: i64 = 60_000_000;
const PACKET_BYTES_MAX: usize = 64 * 1024;
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Before a lost connection is made again: up to this, at random.
const AGAIN_MAX: Duration = Duration::from_secs(5);
/// Connections from one address of this machine: a port each, of the 28,000 there are to take.
const CONNECTIONS_OF_ADDRESS: usize = 20_000;
/// So long before it is sent, the first sample of a batch was taken.
const BATCH_US: i64 = 10_000_000;

#[derive(Debug, Clone, Copy)]
struct Sent {
    place: Place,
    crc32: u32,
    first_us: i64,
    /// Not since the connection, or its ack, was given up.
    is_in_flight: bool,
}

struct Vehicle {
    fleet: Arc<Fleet>,
    id: VehicleId,
    source: Option<IpAddr>,
    chance: Chance,
    stream_id: StreamId,
    next_sequence: u64,
    next_template: usize,
    outstanding: BTreeMap<u64, Sent>,
    /// Batches that are due and wait for room.
    owed: u32,
    due_us: i64,
    /// Until then ingest wants nothing.
    wait_until_us: i64,
    pace: Pace,
    /// When an ack came last, or the wait for one began.
    progress_us: i64,
    packet_id: u16,
}

/// What comes next for a connection.
enum Next {
    Time,
    Bytes(usize),
    Stop,
}

/// Drives a vehicle until the fleet stops sending and all of its batches are in the lake.
pub(super) async fn drive(
    fleet: Arc<Fleet>,
    id: VehicleId,
    place: usize,
    mut chance: Chance,
    mut is_sending: watch::Receiver<bool>,
) {
    let ramp = chance.within(fleet.arguments.ramp);
    tokio::select! {
        () = tokio::time::sleep(ramp) => {}
        _ = is_sending.wait_for(|is| !is) => return,
    }
    let first = chance.until_next(fleet.arguments.interval);
    let due_us = fleet.clock.monotonic_us() + micros(first);
    let next_template = chance.one_of(fleet.templates.count());
    let pace = Pace::new(IN_FLIGHT_MAX, fleet.arguments.resend_after);
    let mut vehicle = Vehicle {
        source: source_address(fleet.broker, place),
        fleet,
        id,
        chance,
        stream_id: StreamId(Uuid::new_v4()),
        next_sequence: 1,
        next_template,
        outstanding: BTreeMap::new(),
        owed: 0,
        due_us,
        wait_until_us: i64::MIN,
        pace,
        progress_us: 0,
        packet_id: 0,
    };
    while *is_sending.borrow() || !vehicle.outstanding.is_empty() {
        if let Err(error) = vehicle.connection(&mut is_sending).await {
            vehicle.fleet.counts.lost(format!("{error:#}"));
            let pause = vehicle.chance.within(AGAIN_MAX);
            tokio::time::sleep(pause).await;
        }
    }
}

/// On loopback one address has too few ports for a fleet; 127.0.0.0/8 has many addresses.
fn source_address(broker: SocketAddr, place: usize) -> Option<IpAddr> {
    let block = u8::try_from(place / CONNECTIONS_OF_ADDRESS).ok()?.checked_add(1)?;
    matches!(broker.ip(), IpAddr::V4(ip) if ip.is_loopback())
        .then_some(IpAddr::V4(Ipv4Addr::new(127, 0, 1, block)))
}

impl Vehicle {
    fn now_us(&self) -> i64 {
        self.fleet.clock.monotonic_us()
    }

    async fn connection(&mut self, is_sending: &mut watch::Receiver<bool>) -> anyhow::Result<()> {
        let mut stream = tokio::time::timeout(ANSWER_MAX, self.connect()).await.context("no answer")??;
        self.fleet.counts.connected.fetch_add(1, Ordering::Relaxed);
        let result = self.speak(&mut stream, is_sending).await;
        self.fleet.counts.connected.fetch_sub(1, Ordering::Relaxed);
        result
    }

    async fn connect(&mut self) -> anyhow::Result<TcpStream> {
        let broker = self.fleet.broker;
        let socket = if broker.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(source) = self.source {
            // The port is chosen when it connects: bound to one without it, the kernel goes through all that
            // are taken, which is what most of the time of a large fleet went to.
            setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let mut stream = socket.connect(broker).await?;
        stream.set_nodelay(true)?;
        let mut out = BytesMut::new();
        let mut connect = Connect::new(self.id.as_str());
        connect.keep_alive = KEEP_ALIVE_S;
        connect.clean_session = true;
        connect.write(&mut out)?;
        let mut subscribe = Subscribe::new(topics::topic(&self.id, Channel::Ack), QoS::AtLeastOnce);
        subscribe.pkid = self.packet_id();
        subscribe.write(&mut out)?;
        stream.write_all(&out).await?;
        let mut input = BytesMut::with_capacity(256);
        loop {
            match Packet::read(&mut input, PACKET_BYTES_MAX) {
                Ok(Packet::ConnAck(ack)) => {
                    ensure!(ack.code == ConnectReturnCode::Success, "refused: {:?}", ack.code);
                }
                Ok(Packet::SubAck(_)) => return Ok(stream),
                Ok(_) => {}
                Err(mqttbytes::Error::InsufficientBytes(_)) => {
                    ensure!(stream.read_buf(&mut input).await? > 0, "closed");
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn speak(
        &mut self,
        stream: &mut TcpStream,
        is_sending: &mut watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
        let mut ping_us = self.now_us() + PING_US;
        // What was sent by another connection may be lost.
        self.begin_again();
        loop {
            let may_send = *is_sending.borrow_and_update();
            if !may_send && self.outstanding.is_empty() {
                return Ok(());
            }
            let now_us = self.now_us();
            self.send_again(now_us, &mut out)?;
            if may_send {
                self.send_due(now_us, &mut out)?;
            }
            if now_us >= ping_us {
                PingReq.write(&mut out)?;
                ping_us = now_us + PING_US;
            }
            if !out.is_empty() {
                stream.write_all(&out).await?;
                out.clear();
            }
            let wait = self.wake_us(may_send).min(ping_us) - self.now_us();
            let wait = Duration::from_micros(wait.max(0).unsigned_abs());
            let next = tokio::select! {
                () = tokio::time::sleep(wait) => Next::Time,
                count = stream.read_buf(&mut input) => Next::Bytes(count?),
                _ = is_sending.changed() => Next::Stop,
            };
            if let Next::Bytes(count) = next {
                ensure!(count > 0, "closed");
                self.take(&mut input, &mut out)?;
            }
        }
    }

    fn wake_us(&self, may_send: bool) -> i64 {
        let again = if self.in_flight() > 0 { self.times_out_us() } else { i64::MAX };
        let due = if may_send { self.due_us } else { i64::MAX };
        again.min(due).max(self.wait_until_us)
    }

    fn times_out_us(&self) -> i64 {
        self.progress_us.saturating_add(micros(self.pace.due_after()))
    }

    fn in_flight(&self) -> usize {
        self.outstanding.values().filter(|sent| sent.is_in_flight).count()
    }

    fn begin_again(&mut self) {
        self.outstanding.values_mut().for_each(|sent| sent.is_in_flight = false);
    }

    fn send_due(&mut self, now_us: i64, out: &mut BytesMut) -> anyhow::Result<()> {
        while self.due_us <= now_us {
            self.due_us += micros(self.chance.until_next(self.fleet.arguments.interval)).max(1);
            self.owed += 1;
        }
        let in_flight = self.in_flight();
        // What is older goes first.
        if in_flight < self.outstanding.len() {
            return Ok(());
        }
        if in_flight == 0 {
            self.progress_us = now_us;
        }
        while self.owed > 0 && self.outstanding.len() < self.pace.limit() && now_us >= self.wait_until_us {
            self.owed -= 1;
            let sequence = self.next_sequence;
            let place = Place {
                stream_id: self.stream_id,
                sequence,
                oldest: self.outstanding.keys().next().copied().unwrap_or(sequence),
                template: self.next_template,
                base_time: Timestamp(self.fleet.clock.now_us()).plus_us(-BATCH_US),
            };
            self.next_sequence += 1;
            self.next_template += 1;
            let (payload, samples) = self.fleet.templates.payload(&self.id, place)?;
            let counts = &self.fleet.counts;
            self.fleet.add(&counts.batches, 1);
            self.fleet.add(&counts.samples, samples);
            self.fleet.add(&counts.bytes, payload.len() as u64);
            let crc32 = payload_crc32(&payload);
            self.outstanding.insert(sequence, Sent { place, crc32, first_us: now_us, is_in_flight: true });
            self.publish(Channel::Telemetry, payload, out)?;
        }
        Ok(())
    }

    /// Sends what is not in flight any more, as much of it as the pace allows.
    fn send_again(&mut self, now_us: i64, out: &mut BytesMut) -> anyhow::Result<()> {
        if now_us < self.wait_until_us {
            return Ok(());
        }
        let mut in_flight = self.in_flight();
        if in_flight > 0 && now_us >= self.times_out_us() {
            self.pace.note_timeout();
            self.progress_us = now_us;
            self.begin_again();
            in_flight = 0;
        }
        if in_flight == 0 {
            self.progress_us = now_us;
        }
        let room = self.pace.limit().saturating_sub(in_flight);
        let to_send = self.outstanding.values_mut().filter(|sent| !sent.is_in_flight).take(room);
        let places: Vec<Place> = to_send
            .map(|sent| {
                sent.is_in_flight = true;
                sent.place
            })
            .collect();
        for place in places {
            let (payload, _) = self.fleet.templates.payload(&self.id, place)?;
            self.fleet.add(&self.fleet.counts.resent, 1);
            self.publish(Channel::Telemetry, payload, out)?;
        }
        Ok(())
    }

    fn publish(&mut self, channel: Channel, payload: Vec<u8>, out: &mut BytesMut) -> anyhow::Result<()> {
        let mut publish = Publish::new(topics::topic(&self.id, channel), QoS::AtLeastOnce, payload);
        publish.pkid = self.packet_id();
        publish.write(out)?;
        Ok(())
    }

    fn packet_id(&mut self) -> u16 {
        self.packet_id = self.packet_id.checked_add(1).unwrap_or(1);
        self.packet_id
    }

    /// Takes what has come, as far as it is whole.
    fn take(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> anyhow::Result<()> {
        loop {
            match Packet::read(input, PACKET_BYTES_MAX) {
                Ok(Packet::Publish(publish)) => {
                    if publish.qos == QoS::AtLeastOnce {
                        PubAck::new(publish.pkid).write(out)?;
                    }
                    let message = AckMessage::decode(&publish.payload)?;
                    self.take_acks(&message, out)?;
                }
                Ok(_) => {}
                Err(mqttbytes::Error::InsufficientBytes(_)) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn take_acks(&mut self, message: &AckMessage, out: &mut BytesMut) -> anyhow::Result<()> {
        let now_us = self.now_us();
        if message.wait_s > 0 {
            let wait = Duration::from_secs(u64::from(message.wait_s));
            self.wait_until_us = now_us + micros(wait + self.chance.within(wait) / 2);
            // What was on its way may have been left.
            self.begin_again();
        } else if !message.durable.is_empty() {
            self.wait_until_us = i64::MIN;
        }
        for ack in message.durable.iter().filter(|ack| ack.stream_id == self.stream_id) {
            let still_out = self.outstanding.split_off(&(ack.up_to_sequence.saturating_add(1)));
            let durable = std::mem::replace(&mut self.outstanding, still_out);
            if !durable.is_empty() {
                self.pace.note_ack();
                self.progress_us = now_us;
            }
            for sent in durable.into_values() {
                self.fleet.counts.acked(now_us - sent.first_us);
            }
        }
        let before = self.outstanding.len();
        self.outstanding.retain(|_, sent| !message.rejected.contains(&sent.crc32));
        self.fleet.add(&self.fleet.counts.rejected, (before - self.outstanding.len()) as u64);
        if !message.need_catalog.is_empty() {
            self.publish(Channel::Catalog, self.fleet.templates.catalog.clone(), out)?;
            self.begin_again();
        }
        Ok(())
    }
}
