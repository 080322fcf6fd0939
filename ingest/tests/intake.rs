//! What connections to a broker do when they break or are refused, against a broker of a few lines.

#![allow(clippy::unwrap_used, reason = "a test: a failure is the message")]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, mpsc::sync_channel},
    time::Duration,
};

use ingest::{
    downlink::Downlink,
    intake::Intake,
    pressure::{Pressure, WaitPolicy},
    share::Share,
    telling::Telling,
};
use mqtt::Broker;
use rumqttc::{
    QoS,
    mqttbytes::v4::{ConnAck, ConnectReturnCode, Packet, PubAck, Publish, SubAck, SubscribeReasonCode},
};
use service::Tasks;
use tokio::sync::{mpsc, watch};
use wire::{ack::AckMessage, topics::Channel};

const PATIENCE: Duration = Duration::from_secs(30);
const PACKET_BYTES_MAX: usize = 1 << 20;
/// What the client library sends without an answer at most.
const UNANSWERED_MAX: u16 = 100;
/// What it takes and may lose with its connection, at most.
const TAKEN_MAX: u16 = 512;
const VEHICLES: u16 = 5000;

/// One connection of the broker's side.
struct Peer {
    stream: TcpStream,
    buffer: bytes::BytesMut,
}

impl Peer {
    fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut peer = Self { stream, buffer: bytes::BytesMut::new() };
        assert!(matches!(peer.read(), Packet::Connect(_)));
        let accepted = ConnAck { session_present: false, code: ConnectReturnCode::Success };
        peer.write(|out| accepted.write(out).map(drop));
        peer
    }

    /// The next packet; pings are answered on the way.
    fn read(&mut self) -> Packet {
        loop {
            match Packet::read(&mut self.buffer, PACKET_BYTES_MAX) {
                Ok(Packet::PingReq) => {
                    self.write(|out| Packet::PingResp.write(out, PACKET_BYTES_MAX).map(drop))
                }
                Ok(packet) => return packet,
                Err(_) => {
                    let mut chunk = [0; 4096];
                    let count = self.stream.read(&mut chunk).unwrap();
                    assert!(count > 0, "ingest has closed the connection");
                    self.buffer.extend_from_slice(&chunk[..count]);
                }
            }
        }
    }

    fn write(&mut self, packet: impl FnOnce(&mut bytes::BytesMut) -> Result<(), rumqttc::mqttbytes::Error>) {
        let mut out = bytes::BytesMut::new();
        packet(&mut out).unwrap();
        self.stream.write_all(&out).unwrap();
    }

    fn subscribed(&mut self) {
        self.subscribed_but(0);
    }

    /// Grants all that is asked for but the last so many.
    fn subscribed_but(&mut self, refused: usize) {
        let Packet::Subscribe(subscribe) = self.read() else { panic!("no subscription") };
        let granted = subscribe.filters.len().checked_sub(refused).unwrap();
        let mut codes = vec![SubscribeReasonCode::Success(QoS::AtLeastOnce); granted];
        codes.resize(subscribe.filters.len(), SubscribeReasonCode::Failure);
        let granted = SubAck { pkid: subscribe.pkid, return_codes: codes };
        self.write(|out| granted.write(out).map(drop));
    }
}

/// Answers all publications but the first, so that the library waits for that one; then breaks the
/// connection, waits for the next, and counts its publications up to that of the last vehicle.
fn broker(listener: &TcpListener) -> u16 {
    let mut peer = Peer::accept(listener);
    for place in 0..UNANSWERED_MAX {
        let Packet::Publish(publish) = peer.read() else { panic!("no publication") };
        if place > 0 {
            peer.write(|out| PubAck::new(publish.pkid).write(out).map(drop));
        }
    }
    drop(peer);
    let mut peer = Peer::accept(listener);
    let mut count = 0;
    loop {
        let Packet::Publish(publish) = peer.read() else { panic!("no publication") };
        peer.write(|out| PubAck::new(publish.pkid).write(out).map(drop));
        count += 1;
        if publish.topic.contains(&format!("/van-{}/", VEHICLES - 1)) {
            return count;
        }
    }
}

/// Of all shards, behind a lake that takes everything at once.
fn intake(reach: &Broker) -> (Pressure, Intake) {
    let policy = WaitPolicy { after: PATIENCE, max: PATIENCE };
    let (pressure, gate) = Pressure::new(policy, service::clock::SystemClock::shared());
    (pressure, Intake::new(reach, Share::new(0, 1).unwrap(), Downlink::default(), gate, Arc::default()))
}

fn reach(listener: &TcpListener) -> Broker {
    Broker::plain("127.0.0.1", listener.local_addr().unwrap().port())
}

fn telling(reach: &Broker, vehicles: u16) -> Telling {
    let downlink = Downlink::default();
    for number in 0..vehicles {
        let message = AckMessage { wait_s: 1, ..AckMessage::default() };
        downlink.tell(&format!("van-{number}").parse().unwrap(), message);
    }
    Telling::new(reach, Share::new(0, 1).unwrap(), downlink)
}

/// An unanswered publication must not keep the next connection from telling, and what waited while
/// there was none is told by it.
#[tokio::test(flavor = "multi_thread")]
async fn vehicles_are_told_whatever_the_last_connection_left() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let telling = telling(&reach(&listener), VEHICLES);
    let serving = std::thread::spawn(move || broker(&listener));
    let tasks = Tasks::new();
    tasks.spawn("acks", telling.run(watch::Sender::new(false), tasks.stop_token()));
    let told = tokio::task::spawn_blocking(|| serving.join().unwrap()).await.unwrap();
    assert!(told > VEHICLES - UNANSWERED_MAX - TAKEN_MAX, "only {told} were told by the second connection");
    tasks.stop(PATIENCE).await.unwrap();
}

/// The acks of the last commit come after the stop: without them vehicles send again what is in the lake.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_when_it_is_to_stop_is_still_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let telling = telling(&reach(&listener), VEHICLES);
    let (stop, stopped) = sync_channel::<()>(0);
    let serving = std::thread::spawn(move || {
        let mut peer = Peer::accept(&listener);
        let mut count = 0;
        // With so much unanswered the rest waits, until it has been told to stop.
        for _ in 0..UNANSWERED_MAX {
            let Packet::Publish(publish) = peer.read() else { panic!("no publication") };
            count += 1;
            if count == UNANSWERED_MAX {
                stopped.recv().unwrap();
            }
            peer.write(|out| PubAck::new(publish.pkid).write(out).map(drop));
        }
        loop {
            match peer.read() {
                Packet::Publish(publish) => {
                    count += 1;
                    peer.write(|out| PubAck::new(publish.pkid).write(out).map(drop));
                }
                Packet::Disconnect => return count,
                other => panic!("{other:?}"),
            }
        }
    });
    let tasks = Tasks::new();
    let (connected, mut is_connected) = watch::channel(false);
    tasks.spawn("acks", telling.run(connected, tasks.stop_token()));
    tokio::time::timeout(PATIENCE, is_connected.wait_for(|is| *is)).await.unwrap().unwrap();
    let stopping = async {
        tasks.stop_token().cancel();
        tokio::task::spawn_blocking(move || stop.send(()).unwrap()).await.unwrap();
        tasks.stop(PATIENCE).await.unwrap();
    };
    stopping.await;
    let told = tokio::task::spawn_blocking(|| serving.join().unwrap()).await.unwrap();
    assert_eq!(told, VEHICLES);
}

/// What the process ends with is the pipeline's failure, not that intake had nobody to give to.
#[tokio::test(flavor = "multi_thread")]
async fn intake_that_nobody_takes_from_waits_for_the_stop() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let reach = reach(&listener);
    let serving = std::thread::spawn(move || {
        let mut peer = Peer::accept(&listener);
        peer.subscribed();
        let topic = wire::topics::topic(&"van-1".parse().unwrap(), Channel::Telemetry);
        for packet_id in 1..=3 {
            let mut message = Publish::new(&topic, QoS::AtLeastOnce, vec![1]);
            message.pkid = packet_id;
            peer.write(|out| message.write(out).map(drop));
        }
        peer
    });
    let (_pressure, intake) = intake(&reach);
    let tasks = Tasks::new();
    let (queue, messages) = mpsc::channel(1);
    drop(messages);
    let (connected, mut is_connected) = watch::channel(false);
    tasks.spawn("intake", intake.run(queue, connected, tasks.stop_token()));
    // It has been connected and, nobody taking from it, is not any more.
    for wanted in [true, false] {
        let wait = is_connected.wait_for(|is| *is == wanted);
        tokio::time::timeout(PATIENCE, wait).await.unwrap().unwrap();
    }
    let early = tokio::time::timeout(Duration::from_millis(300), tasks.failure()).await;
    assert!(early.is_err(), "{early:?}");
    tasks.stop(PATIENCE).await.unwrap();
    drop(serving.join().unwrap());
}

/// A cluster that chooses a leader grants some and refuses the rest: vehicles of those shards would
/// never be heard.
#[tokio::test(flavor = "multi_thread")]
async fn intake_that_is_not_granted_all_it_asks_for_asks_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let reach = reach(&listener);
    let serving = std::thread::spawn(move || {
        let mut first = Peer::accept(&listener);
        first.subscribed_but(1);
        let mut second = Peer::accept(&listener);
        second.subscribed();
        // Held until the test has seen what ingest makes of it.
        (first, second)
    });
    let (_pressure, intake) = intake(&reach);
    let tasks = Tasks::new();
    let (queue, _messages) = mpsc::channel(1);
    let (connected, mut is_connected) = watch::channel(false);
    tasks.spawn("intake", intake.run(queue, connected, tasks.stop_token()));
    let peers = tokio::task::spawn_blocking(move || serving.join().unwrap()).await.unwrap();
    tokio::time::timeout(PATIENCE, is_connected.wait_for(|is| *is)).await.unwrap().unwrap();
    drop(peers);
    tasks.stop(PATIENCE).await.unwrap();
}
