//! MQTT 3.1.1 and 5 behind one door: the only file that names the client library.
//!
//! [`open`] gives the two ends of one connection: [`Sender`] hands over without waiting,
//! [`Link::poll`] does the work and tells what happened. Nothing is left to the library beyond one
//! connection: it throws pending messages away when a broker forgot the session.
//!
//! With MQTT 5 the session ends with the connection as it does with 3.1.1, publications say what
//! they are, and the broker's limits hold: the library keeps unacknowledged publications below the
//! receive maximum, and [`Sender::publish`] refuses what is over the maximum packet size, since
//! handing it over would end the connection, and the next one likewise. The library cannot read a
//! DISCONNECT that ends after its reason code, as mosquitto's do: of these the words are lost.

mod words;

use std::time::Duration;

use rumqttc::{TlsConfiguration, v5};
use wire::batch::PAYLOAD_BYTES_MAX;

pub(super) use rumqttc::Transport;
pub(super) use words::Refusal;

/// Beside its payload a packet has a topic, properties and a header.
const PACKET_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 1024;
/// Publications without a PUBACK: the library keeps so many slots.
const UNACKED_MAX: u16 = 100;

/// Which MQTT is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// MQTT 3.1.1, which every broker speaks.
    #[default]
    V311,
    /// MQTT 5: refusals have reasons, limits are told, payloads say what they are.
    V5,
}

/// What a connection is made of.
pub(super) struct Options {
    pub(super) protocol: Protocol,
    pub(super) client_id: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) keep_alive: Duration,
    pub(super) transport: Transport,
    /// What the broker publishes when the connection breaks.
    pub(super) will: Option<Publication>,
    /// Publications and subscriptions that may wait for the library.
    pub(super) room: usize,
}

/// A message to the broker, at least once.
#[derive(Debug, Clone)]
pub(super) struct Publication {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) is_retained: bool,
    /// Told with MQTT 5 only.
    pub(super) about: About,
}

/// What a publication says of its payload.
#[derive(Debug, Clone, Default)]
pub(super) struct About {
    pub(super) content_type: &'static str,
    pub(super) user_properties: Vec<(String, String)>,
}

/// What happened on a connection.
#[derive(Debug)]
pub(super) enum LinkEvent {
    /// The broker has accepted it.
    Connected {
        /// Largest packet the broker takes, if it says so.
        packet_bytes_max: Option<usize>,
    },
    /// A message arrived.
    Message { topic: String, payload: Vec<u8> },
    /// A publication has its packet id now; they come in the order of handing over.
    Numbered(u16),
    /// The broker has taken a publication, or has not.
    Answered { packet_id: u16, refusal: Option<Refusal> },
    /// A subscription was refused.
    SubscriptionRefused(Refusal),
    /// The goodbye is written.
    Left,
    /// Nothing of note.
    Other,
}

/// Why a connection broke.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("the broker refused the connection")]
    Refused(#[source] Refusal),
    #[error("the broker ended the connection")]
    Ended(#[source] Refusal),
    #[error("the broker refused a message")]
    Message(#[source] Refusal),
    #[error("the connection failed")]
    V311(#[source] Box<rumqttc::ConnectionError>),
    #[error("the connection failed")]
    V5(#[source] Box<v5::ConnectionError>),
}

impl LinkError {
    /// What the broker said, when it was the broker.
    pub(super) fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) | Self::Ended(refusal) | Self::Message(refusal) => Some(refusal),
            Self::V311(_) | Self::V5(_) => None,
        }
    }
}

/// Why a message could not be handed over.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandOverError {
    #[error("as much waits for the connection as may")]
    Full,
    #[error("a packet of {bytes} bytes is over the {bytes_max} bytes the broker takes")]
    TooLarge { bytes: usize, bytes_max: usize },
}

enum Client {
    V311(rumqttc::AsyncClient),
    V5(v5::AsyncClient),
}

/// The end of a connection that takes what is to be sent.
pub(super) struct Sender {
    client: Client,
    packet_bytes_max: usize,
}

/// The end of a connection that works and tells.
pub(super) enum Link {
    V311(Box<rumqttc::EventLoop>),
    V5(Box<v5::EventLoop>),
}

/// The transport of a TLS configuration.
pub(super) fn secured(config: std::sync::Arc<rustls::ClientConfig>) -> Transport {
    Transport::tls_with_config(TlsConfiguration::Rustls(config))
}

/// A connection; it is made by the first [`Link::poll`].
pub(super) fn open(options: Options) -> (Sender, Link) {
    let room = options.room;
    let (client, link) = match options.protocol {
        Protocol::V311 => {
            let (client, event_loop) = rumqttc::AsyncClient::new(options.into_v311(), room);
            (Client::V311(client), Link::V311(Box::new(event_loop)))
        }
        Protocol::V5 => {
            let (client, event_loop) = v5::AsyncClient::new(options.into_v5(), room);
            (Client::V5(client), Link::V5(Box::new(event_loop)))
        }
    };
    (Sender { client, packet_bytes_max: PACKET_BYTES_MAX }, link)
}

impl Options {
    fn into_v311(self) -> rumqttc::MqttOptions {
        let mut options = rumqttc::MqttOptions::new(self.client_id, self.host, self.port);
        options.set_keep_alive(self.keep_alive);
        options.set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX);
        options.set_clean_session(true);
        options.set_transport(self.transport);
        if let Some(Publication { topic, payload, is_retained, .. }) = self.will {
            let qos = rumqttc::QoS::AtLeastOnce;
            options.set_last_will(rumqttc::LastWill::new(topic, payload, qos, is_retained));
        }
        options
    }

    fn into_v5(self) -> v5::MqttOptions {
        let mut options = v5::MqttOptions::new(self.client_id, self.host, self.port);
        options.set_keep_alive(self.keep_alive);
        options.set_clean_start(true);
        options.set_session_expiry_interval(Some(0));
        options.set_max_packet_size(u32::try_from(PACKET_BYTES_MAX).ok());
        options.set_outgoing_inflight_upper_limit(UNACKED_MAX);
        options.set_transport(self.transport);
        if let Some(Publication { topic, payload, is_retained, .. }) = self.will {
            let qos = v5::mqttbytes::QoS::AtLeastOnce;
            let will = v5::mqttbytes::v5::LastWill::new(topic, payload, qos, is_retained, None);
            options.set_last_will(will);
        }
        options
    }
}

impl Publication {
    /// Bytes of its packet at most: header, topic, packet id, properties, payload.
    fn packet_bytes(&self) -> usize {
        let user_properties = self.about.user_properties.iter();
        let properties: usize = user_properties.map(|(name, value)| 5 + name.len() + value.len()).sum();
        5 + (2 + self.topic.len())
            + 2
            + (4 + 3 + self.about.content_type.len() + properties)
            + self.payload.len()
    }
}

impl Sender {
    /// Holds to what the broker takes.
    pub(super) fn limit(&mut self, packet_bytes_max: Option<usize>) {
        self.packet_bytes_max = packet_bytes_max.unwrap_or(PACKET_BYTES_MAX).min(PACKET_BYTES_MAX);
    }

    /// Hands a message over.
    pub(super) fn publish(&self, publication: Publication) -> Result<(), HandOverError> {
        let bytes = publication.packet_bytes();
        if bytes > self.packet_bytes_max {
            return Err(HandOverError::TooLarge { bytes, bytes_max: self.packet_bytes_max });
        }
        let Publication { topic, payload, is_retained, about } = publication;
        match &self.client {
            Client::V311(client) => client
                .try_publish(topic, rumqttc::QoS::AtLeastOnce, is_retained, payload)
                .map_err(|_| HandOverError::Full),
            Client::V5(client) => {
                let properties = v5::mqttbytes::v5::PublishProperties {
                    content_type: Some(about.content_type.to_owned()),
                    user_properties: about.user_properties,
                    ..Default::default()
                };
                let qos = v5::mqttbytes::QoS::AtLeastOnce;
                client
                    .try_publish_with_properties(topic, qos, is_retained, payload, properties)
                    .map_err(|_| HandOverError::Full)
            }
        }
    }

    /// Hands a subscription over.
    pub(super) fn subscribe(&self, topic: String) -> Result<(), HandOverError> {
        match &self.client {
            Client::V311(client) => {
                client.try_subscribe(topic, rumqttc::QoS::AtLeastOnce).map_err(|_| HandOverError::Full)
            }
            Client::V5(client) => {
                client.try_subscribe(topic, v5::mqttbytes::QoS::AtLeastOnce).map_err(|_| HandOverError::Full)
            }
        }
    }

    /// Hands the goodbye over.
    pub(super) fn leave(&self) -> Result<(), HandOverError> {
        match &self.client {
            Client::V311(client) => client.try_disconnect().map_err(|_| HandOverError::Full),
            Client::V5(client) => client.try_disconnect().map_err(|_| HandOverError::Full),
        }
    }
}

impl Link {
    /// Goes on until something happens.
    pub(super) async fn poll(&mut self) -> Result<LinkEvent, LinkError> {
        match self {
            Self::V311(event_loop) => match event_loop.poll().await {
                Ok(event) => Ok(of_v311(event)),
                Err(rumqttc::ConnectionError::ConnectionRefused(code)) => {
                    Err(LinkError::Refused(refusal_v311(code)))
                }
                Err(error) => Err(LinkError::V311(Box::new(error))),
            },
            Self::V5(event_loop) => {
                let event = event_loop.poll().await.map_err(of_v5_error)?;
                let event = of_v5(event);
                // The library forgets a publication that waits for the packet id of a refused one.
                match event {
                    LinkEvent::Answered { refusal: Some(refusal), .. }
                        if event_loop.state.collision.is_some() =>
                    {
                        Err(LinkError::Message(refusal))
                    }
                    event => Ok(event),
                }
            }
        }
    }
}

fn of_v311(event: rumqttc::Event) -> LinkEvent {
    use rumqttc::{Event, Outgoing, Packet, SubscribeReasonCode};
    match event {
        Event::Incoming(Packet::ConnAck(_)) => LinkEvent::Connected { packet_bytes_max: None },
        Event::Incoming(Packet::Publish(message)) => {
            LinkEvent::Message { topic: message.topic, payload: message.payload.to_vec() }
        }
        Event::Incoming(Packet::PubAck(ack)) => LinkEvent::Answered { packet_id: ack.pkid, refusal: None },
        Event::Incoming(Packet::SubAck(ack)) if ack.return_codes.contains(&SubscribeReasonCode::Failure) => {
            LinkEvent::SubscriptionRefused(Refusal::of_words("subscription not granted"))
        }
        Event::Outgoing(Outgoing::Publish(packet_id)) => LinkEvent::Numbered(packet_id),
        Event::Outgoing(Outgoing::Disconnect) => LinkEvent::Left,
        _ => LinkEvent::Other,
    }
}

fn of_v5(event: v5::Event) -> LinkEvent {
    use rumqttc::Outgoing;
    use v5::{Event, mqttbytes::v5::Packet};
    match event {
        Event::Incoming(Packet::ConnAck(accepted)) => {
            let told = accepted.properties.and_then(|p| p.max_packet_size);
            LinkEvent::Connected { packet_bytes_max: told.and_then(|bytes| usize::try_from(bytes).ok()) }
        }
        Event::Incoming(Packet::Publish(message)) => LinkEvent::Message {
            topic: String::from_utf8_lossy(&message.topic).into_owned(),
            payload: message.payload.to_vec(),
        },
        Event::Incoming(Packet::PubAck(ack)) => {
            let (code, properties) = (publish_code(ack.reason), ack.properties);
            let refusal = code.map(|code| Refusal::of_code(code, properties.and_then(|p| p.reason_string)));
            LinkEvent::Answered { packet_id: ack.pkid, refusal }
        }
        Event::Incoming(Packet::SubAck(ack)) => match ack.return_codes.into_iter().find_map(subscribe_code) {
            Some(code) => {
                let said = ack.properties.and_then(|p| p.reason_string);
                LinkEvent::SubscriptionRefused(Refusal::of_code(code, said))
            }
            None => LinkEvent::Other,
        },
        Event::Outgoing(Outgoing::Publish(packet_id)) => LinkEvent::Numbered(packet_id),
        Event::Outgoing(Outgoing::Disconnect) => LinkEvent::Left,
        _ => LinkEvent::Other,
    }
}

fn of_v5_error(error: v5::ConnectionError) -> LinkError {
    use v5::{ConnectionError, StateError};
    match error {
        ConnectionError::ConnectionRefused(code) => {
            LinkError::Refused(Refusal::of_code(connect_code(code), None))
        }
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, reason_string }) => {
            LinkError::Ended(Refusal::of_code(reason_code as u8, reason_string))
        }
        error => LinkError::V5(Box::new(error)),
    }
}

fn refusal_v311(code: rumqttc::ConnectReturnCode) -> Refusal {
    use rumqttc::ConnectReturnCode as Code;
    Refusal::of_words(match code {
        Code::Success => "accepted",
        Code::RefusedProtocolVersion => "it does not speak MQTT 3.1.1",
        Code::BadClientId => "client identifier not valid",
        Code::ServiceUnavailable => "server unavailable",
        Code::BadUserNamePassword => "bad user name or password",
        Code::NotAuthorized => "not authorized",
    })
}

/// The reason code of a refused connection; the library keeps only its name.
fn connect_code(code: v5::mqttbytes::v5::ConnectReturnCode) -> u8 {
    use v5::mqttbytes::v5::ConnectReturnCode as Code;
    match code {
        Code::Success => 0x00,
        Code::UnspecifiedError => 0x80,
        Code::MalformedPacket => 0x81,
        Code::ProtocolError => 0x82,
        Code::ImplementationSpecificError => 0x83,
        Code::UnsupportedProtocolVersion | Code::RefusedProtocolVersion => 0x84,
        Code::ClientIdentifierNotValid | Code::BadClientId => 0x85,
        Code::BadUserNamePassword => 0x86,
        Code::NotAuthorized => 0x87,
        Code::ServerUnavailable | Code::ServiceUnavailable => 0x88,
        Code::ServerBusy => 0x89,
        Code::Banned => 0x8A,
        Code::BadAuthenticationMethod => 0x8C,
        Code::TopicNameInvalid => 0x90,
        Code::PacketTooLarge => 0x95,
        Code::QuotaExceeded => 0x97,
        Code::PayloadFormatInvalid => 0x99,
        Code::RetainNotSupported => 0x9A,
        Code::QoSNotSupported => 0x9B,
        Code::UseAnotherServer => 0x9C,
        Code::ServerMoved => 0x9D,
        Code::ConnectionRateExceeded => 0x9F,
    }
}

/// The reason code of a refused publication; `None` when it was taken.
fn publish_code(reason: v5::mqttbytes::v5::PubAckReason) -> Option<u8> {
    use v5::mqttbytes::v5::PubAckReason as Reason;
    match reason {
        // Nobody listens now: without a durable ack it is sent again.
        Reason::Success | Reason::NoMatchingSubscribers => None,
        Reason::UnspecifiedError => Some(0x80),
        Reason::ImplementationSpecificError => Some(0x83),
        Reason::NotAuthorized => Some(0x87),
        Reason::TopicNameInvalid => Some(0x90),
        Reason::PacketIdentifierInUse => Some(0x91),
        Reason::QuotaExceeded => Some(0x97),
        Reason::PayloadFormatInvalid => Some(0x99),
    }
}

/// The reason code of a refused subscription; `None` when it was granted.
fn subscribe_code(reason: v5::mqttbytes::v5::SubscribeReasonCode) -> Option<u8> {
    use v5::mqttbytes::v5::SubscribeReasonCode as Reason;
    match reason {
        Reason::Success(_) => None,
        Reason::Failure | Reason::Unspecified => Some(0x80),
        Reason::ImplementationSpecific => Some(0x83),
        Reason::NotAuthorized => Some(0x87),
        Reason::TopicFilterInvalid => Some(0x8F),
        Reason::PkidInUse => Some(0x91),
        Reason::QuotaExceeded => Some(0x97),
        Reason::SharedSubscriptionsNotSupported => Some(0x9E),
        Reason::SubscriptionIdNotSupported => Some(0xA1),
        Reason::WildcardSubscriptionsNotSupported => Some(0xA2),
    }
}
