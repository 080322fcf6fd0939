//! One connection, as it goes.

use rumqttc::{
    AsyncClient, ClientError as LibraryError, EventLoop, Outgoing, Packet, QoS, SubscribeFilter,
    SubscribeReasonCode,
};

use crate::End;

/// The connection has ended, or is to.
#[derive(Debug, thiserror::Error)]
#[error("the connection to the broker has ended")]
pub struct ClientError(#[from] LibraryError);

/// The end that sends; clones share the connection.
#[derive(Debug, Clone)]
pub struct Client(AsyncClient);

impl Client {
    pub(crate) fn new(client: AsyncClient) -> Self {
        Self(client)
    }

    /// Publishes with QoS 1; waits for room among the messages to be sent.
    pub async fn publish(&self, topic: String, payload: Vec<u8>) -> Result<(), ClientError> {
        Ok(self.0.publish(topic, QoS::AtLeastOnce, false, payload).await?)
    }

    /// Publishes with QoS 1, retained if asked for; false where there is no room now.
    pub fn try_publish(&self, topic: String, payload: Vec<u8>, is_retained: bool) -> bool {
        self.0.try_publish(topic, QoS::AtLeastOnce, is_retained, payload).is_ok()
    }

    /// Ends the connection behind what was published.
    pub async fn disconnect(&self) -> Result<(), ClientError> {
        Ok(self.0.disconnect().await?)
    }
}

/// What a connection brings.
#[derive(Debug)]
pub enum Event {
    /// It is there, and everything asked for is subscribed.
    Ready,
    /// A message.
    Message {
        /// Its topic.
        topic: String,
        /// Its payload.
        payload: Vec<u8>,
    },
    /// It is over: nothing comes after this.
    Ended(End),
}

/// The end that hears, and drives both.
pub struct Events {
    client: AsyncClient,
    events: EventLoop,
    filters: Vec<String>,
}

impl Events {
    pub(crate) fn new(client: AsyncClient, events: EventLoop, filters: Vec<String>) -> Self {
        Self { client, events, filters }
    }

    /// The next event. What is not asked for is not read from the broker either, and nothing is sent.
    pub async fn next(&mut self) -> Event {
        loop {
            match self.events.poll().await {
                Ok(rumqttc::Event::Incoming(Packet::ConnAck(_))) if self.filters.is_empty() => {
                    return Event::Ready;
                }
                Ok(rumqttc::Event::Incoming(Packet::ConnAck(_))) => {
                    let filters =
                        self.filters.iter().map(|f| SubscribeFilter::new(f.clone(), QoS::AtLeastOnce));
                    if self.client.try_subscribe_many(filters).is_err() {
                        // Its queue is full of what was published before there was a connection.
                        return Event::Ended(End::Refused {
                            refused: self.filters.len(),
                            asked: self.filters.len(),
                        });
                    }
                }
                Ok(rumqttc::Event::Incoming(Packet::SubAck(granted))) => {
                    let refused = granted.return_codes.iter().filter(|c| **c == SubscribeReasonCode::Failure);
                    return match refused.count() {
                        0 => Event::Ready,
                        refused => Event::Ended(End::Refused { refused, asked: self.filters.len() }),
                    };
                }
                Ok(rumqttc::Event::Incoming(Packet::Publish(publish))) => {
                    return Event::Message { topic: publish.topic, payload: publish.payload.to_vec() };
                }
                Ok(rumqttc::Event::Outgoing(Outgoing::Disconnect)) => return Event::Ended(End::Closed),
                Ok(_) => {}
                Err(error) => return Event::Ended(End::Lost(error)),
            }
        }
    }
}
