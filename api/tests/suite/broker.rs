//! A broker of a few lines: it keeps what the api publishes, and says to it what agents would.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::BytesMut;
use rumqttc::{
    QoS,
    mqttbytes::v4::{
        ConnAck, ConnectReturnCode, Packet, PingResp, PubAck, Publish, SubAck, SubscribeReasonCode,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, broadcast},
};
use wire::{
    ids::VehicleId,
    topics::{self, Channel},
};

/// A message the api published.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) vehicle_id: VehicleId,
    pub(crate) channel: Channel,
    pub(crate) is_retained: bool,
    pub(crate) payload: Vec<u8>,
}

#[derive(Clone)]
pub(crate) struct Broker {
    pub(crate) address: SocketAddr,
    told: Arc<Mutex<Vec<Told>>>,
    to_say: broadcast::Sender<(String, Vec<u8>)>,
    subscribed: Arc<Notify>,
    cut: Arc<Notify>,
}

impl Broker {
    #[allow(clippy::disallowed_methods, reason = "a server of the test's, which ends with it")]
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let broker = Self {
            address: listener.local_addr().unwrap(),
            told: Arc::default(),
            to_say: broadcast::Sender::new(1_000),
            subscribed: Arc::default(),
            cut: Arc::default(),
        };
        let serving = broker.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        broker
    }

    /// Waits until the api has subscribed.
    pub(crate) async fn subscribed(&self) {
        tokio::time::timeout(Duration::from_secs(30), self.subscribed.notified()).await.expect("subscribed");
    }

    /// Ends the api's connection.
    pub(crate) fn cut(&self) {
        self.cut.notify_one();
    }

    /// Says what a vehicle's agent publishes.
    pub(crate) fn say(&self, vehicle: &str, channel: Channel, payload: Vec<u8>) {
        let topic = topics::topic(&vehicle.parse().unwrap(), channel);
        self.to_say.send((topic, payload)).unwrap();
    }

    /// What was published so far.
    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// Waits until so many messages were published, and gives them.
    pub(crate) async fn until_told(&self, count: usize) -> Vec<Told> {
        let waiting = async {
            while self.told.lock().unwrap().len() < count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let is_there = tokio::time::timeout(Duration::from_secs(30), waiting).await.is_ok();
        assert!(is_there, "only {:?}", self.told());
        self.told()
    }

    async fn serve(self, mut stream: TcpStream) {
        let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
        let mut to_say = self.to_say.subscribe();
        loop {
            while let Ok(packet) = Packet::read(&mut input, 1 << 20) {
                match packet {
                    Packet::Connect(_) => {
                        ConnAck::new(ConnectReturnCode::Success, false).write(&mut output).unwrap();
                    }
                    Packet::Subscribe(subscribe) => {
                        let codes =
                            vec![SubscribeReasonCode::Success(QoS::AtLeastOnce); subscribe.filters.len()];
                        SubAck::new(subscribe.pkid, codes).write(&mut output).unwrap();
                        self.subscribed.notify_one();
                    }
                    Packet::Publish(publish) => {
                        PubAck::new(publish.pkid).write(&mut output).unwrap();
                        let (vehicle_id, channel) = topics::parse(&publish.topic).unwrap();
                        let payload = publish.payload.to_vec();
                        let told = Told { vehicle_id, channel, is_retained: publish.retain, payload };
                        self.told.lock().unwrap().push(told);
                    }
                    Packet::PingReq => PingResp.write(&mut output).map(drop).unwrap(),
                    Packet::Disconnect => return,
                    _ => {}
                }
            }
            if !output.is_empty() && stream.write_all(&output.split()).await.is_err() {
                return;
            }
            tokio::select! {
                read = stream.read_buf(&mut input) => if !matches!(read, Ok(1..)) { return },
                () = self.cut.notified() => return,
                Ok((topic, payload)) = to_say.recv() => {
                    Publish::new(topic, QoS::AtMostOnce, payload).write(&mut output).map(drop).unwrap();
                    if stream.write_all(&output.split()).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}
