//! What a broker says with MQTT 5, byte by byte.

use rumqttc::v5::mqttbytes::v5::Packet as MqttV5;

use super::*;

const ACCEPTED: &[u8] = &[0x20, 3, 0, 0x00, 0];

/// What a broker does with every connection.
#[derive(Clone, Default)]
struct Manners {
    /// Its answer to the first packet.
    first: Vec<u8>,
    /// It takes what comes, but of this channel it refuses all with this code.
    refuses: Option<(Channel, u8)>,
}

async fn broker(tasks: &Tasks, manners: Manners) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let stop = tasks.stop_token();
    tasks.spawn("broker", async move {
        loop {
            let (mut socket, _) = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                accepted = listener.accept() => accepted?,
            };
            let mut input = BytesMut::new();
            let (channel, code) = manners.refuses.unwrap_or((Channel::Ack, 0));
            while tokio::select! {
                () = stop.cancelled() => false,
                read = socket.read_buf(&mut input) => matches!(read, Ok(1..)),
            } {
                while let Ok(packet) = MqttV5::read(&mut input, Some(1 << 20)) {
                    let (kind, of, packet_id) = match packet {
                        MqttV5::Publish(message) => (0x40, message.topic.to_vec(), message.pkid),
                        MqttV5::Subscribe(s) => (0x90, s.filters[0].path.clone().into(), s.pkid),
                        MqttV5::Connect(..) => {
                            socket.write_all(&manners.first).await.ok();
                            continue;
                        }
                        _ => continue,
                    };
                    let is_refused = of.ends_with(channel.name().as_bytes());
                    let [high, low] = packet_id.to_be_bytes();
                    let code = if is_refused { code } else { 0 };
                    // A PUBACK may end after its code.
                    let answer = if kind == 0x40 {
                        vec![kind, 3, high, low, code]
                    } else {
                        vec![kind, 4, high, low, 0, code]
                    };
                    socket.write_all(&answer).await.ok();
                }
            }
        }
    });
    port
}

/// The agent's words for it.
async fn told(manners: Manners, is_it: impl Fn(&str) -> bool) -> Option<String> {
    let tasks = Tasks::new();
    let port = broker(&tasks, manners).await;
    let change = |settings: &mut UplinkSettings| (settings.port, settings.protocol) = (port, Protocol::V5);
    let parts = (None, None, None, CampaignSettings::default());
    let rig = Rig::changed(SpoolSettings::default(), parts, change, |_, shared| {
        fill(shared, Lane::Readings, stream(1), 3);
    })
    .await;
    let told = async {
        while !rig.shared.refusal().is_some_and(|told| is_it(&told)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    drop(tokio::time::timeout(Duration::from_secs(20), told).await);
    let told = rig.shared.refusal();
    rig.stop().await;
    tasks.stop(Duration::from_secs(5)).await.unwrap();
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn every_no_of_a_broker_is_told_in_words() {
    let said = |packet: &[u8]| [ACCEPTED, packet].concat();
    let cases = [
        (vec![0x20, 3, 0, 0x87, 0], "the connection: not authorized (0x87)"),
        (vec![0x20, 3, 0, 0x95, 0], "the connection: packet too large (0x95)"),
        (vec![0x20, 3, 0, 0x97, 0], "the connection: quota exceeded (0x97)"),
        (said(&[0xE0, 2, 0x8E, 0]), "another client has connected with this vehicle's id (0x8E)"),
        (said(&[0xE0, 2, 0x9D, 0]), "the connection: server moved (0x9D)"),
        (said(&[0xE0, 7, 0x98, 5, 0x1F, 0, 2, b'h', b'i']), "administrative action (0x98), it says: hi"),
    ];
    for (first, words) in cases {
        let told = told(Manners { first, refuses: None }, |told| told.contains(words)).await;
        assert!(told.as_ref().is_some_and(|told| told.contains(words)), "{words}: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_refused_is_told_with_its_channel() {
    for (channel, code, words) in [
        (Channel::Status, 0x99, "status: payload format invalid (0x99)"),
        (Channel::Catalog, 0x97, "catalog: quota exceeded (0x97)"),
        (Channel::Ack, 0x87, "a subscription: not authorized (0x87)"),
        (Channel::Telemetry, 0x87, "telemetry: not authorized (0x87)"),
    ] {
        let manners = Manners { first: ACCEPTED.to_vec(), refuses: Some((channel, code)) };
        assert_eq!(told(manners, |told| told == words).await.as_deref(), Some(words));
    }
}
