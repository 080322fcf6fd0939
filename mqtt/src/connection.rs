//! One connection, as it goes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rumqttc::{
    AsyncClient, ClientError as LibraryError, EventLoop, Outgoing, Packet, QoS, SubscribeFilter,
    SubscribeReasonCode,
};

use crate::End;

/// How often who ends a connection looks whether all is confirmed.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// The connection has ended, or is to.
#[derive(Debug, thiserror::Error)]
#[error("the connection to the broker has ended")]
pub struct ClientError(#[from] LibraryError);

/// The end that sends; clones share the connection.
#[derive(Debug, Clone)]
pub struct Client {
    client: AsyncClient,
    /// Publications that the broker has not confirmed.
    unconfirmed: Arc<AtomicUsize>,
}

impl Client {
    pub(crate) fn new(client: AsyncClient, unconfirmed: Arc<AtomicUsize>) -> Self {
        Self { client, unconfirmed }
    }

    /// Publishes with QoS 1; waits for room among the messages to be sent.
    pub async fn publish(&self, topic: String, payload: Vec<u8>) -> Result<(), ClientError> {
        self.unconfirmed.fetch_add(1, Ordering::Relaxed);
        Ok(self.client.publish(topic, QoS::AtLeastOnce, false, payload).await?)
    }

    /// Publishes with QoS 1, retained if asked for; false where there is no room now.
    pub fn try_publish(&self, topic: String, payload: Vec<u8>, is_retained: bool) -> bool {
        self.unconfirmed.fetch_add(1, Ordering::Relaxed);
        let is_taken = self.client.try_publish(topic, QoS::AtLeastOnce, is_retained, payload).is_ok();
        if !is_taken {
            self.unconfirmed.fetch_sub(1, Ordering::Relaxed);
        }
        is_taken
    }

    /// Ends the connection once all that was published is confirmed: closed before, what the broker has not
    /// read yet could be lost.
    pub async fn disconnect(&self) -> Result<(), ClientError> {
        while self.unconfirmed.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Ok(self.client.disconnect().await?)
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
    unconfirmed: Arc<AtomicUsize>,
}

impl Events {
    pub(crate) fn new(
        client: AsyncClient,
        events: EventLoop,
        (filters, unconfirmed): (Vec<String>, Arc<AtomicUsize>),
    ) -> Self {
        Self { client, events, filters, unconfirmed }
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
                Ok(rumqttc::Event::Incoming(Packet::PubAck(_))) => {
                    self.unconfirmed.fetch_sub(1, Ordering::Relaxed);
                }
                Ok(rumqttc::Event::Outgoing(Outgoing::Disconnect)) => return Event::Ended(End::Closed),
                Ok(_) => {}
                Err(error) => return Event::Ended(End::Lost(error)),
            }
        }
    }
}
