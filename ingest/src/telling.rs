//! The connection on which vehicles are told: acks, catalogues that are lacking, waits ([`Downlink`]).

use std::{convert::Infallible, time::Duration};

use mqtt::{Broker, Client, End, Event, Events, Line};
use service::tasks::TaskError;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use wire::topics::{self, Channel};

use crate::{downlink::Downlink, intake::client_id, metrics, share::Share};

/// What the library has taken and not sent: lost with the connection, so not more than keeps it busy.
const REQUEST_QUEUE_LEN: usize = 256;
/// Longest time for what still waits when it is to stop: the acks of the last commit.
const LAST_WORDS_MAX: Duration = Duration::from_secs(3);

/// Connections to a broker, one after the other.
pub struct Telling {
    broker: Broker,
    share: Share,
    downlink: Downlink,
}

impl Telling {
    /// Prepares a connection that tells what comes by `downlink`, to vehicles of the share.
    pub fn new(broker: &Broker, share: Share, downlink: Downlink) -> Self {
        Self { broker: broker.clone(), share, downlink }
    }

    /// Tells until stopped, and then what still waits; reconnects by itself. `connected` tells each change.
    pub async fn run(self, connected: watch::Sender<bool>, stop: CancellationToken) -> Result<(), TaskError> {
        let mut line = Line::new("acks", connected);
        loop {
            let end = tokio::select! {
                end = self.connection(&mut line, &stop) => end?,
                () = last_words(&stop) => End::Closed,
            };
            line.is_over();
            metrics::broker_disconnected(&end);
            if !line.again(&end, &stop).await {
                // Stopped.
                return Ok(());
            }
        }
    }

    async fn connection(&self, line: &mut Line, stop: &CancellationToken) -> Result<End, TaskError> {
        let id = client_id(&format!("{}-acks", self.share));
        let (client, events) = self.broker.connection(id, &[], REQUEST_QUEUE_LEN);
        let may_tell = Notify::new();
        tokio::select! {
            end = keep(events, line, &may_tell) => Ok(end),
            never = self.tell(&client, &may_tell, stop) => match never? {},
        }
    }

    /// Hands what vehicles are to be told to the connection, as fast as it goes; once stopped and
    /// done, closes it.
    async fn tell(
        &self,
        client: &Client,
        may_tell: &Notify,
        stop: &CancellationToken,
    ) -> Result<Infallible, TaskError> {
        may_tell.notified().await;
        loop {
            let (vehicle_id, message) = tokio::select! {
                biased;
                next = self.downlink.next() => next,
                () = stop.cancelled() => break,
            };
            let topic = topics::topic(&vehicle_id, Channel::Ack);
            client.publish(topic, message.encode()).await?;
        }
        client.disconnect().await?;
        std::future::pending().await
    }
}

/// Drives a connection until it ends.
async fn keep(mut events: Events, line: &mut Line, may_tell: &Notify) -> End {
    loop {
        match events.next().await {
            Event::Ready => {
                line.is_good();
                may_tell.notify_one();
            }
            Event::Message { .. } => {}
            Event::Ended(end) => return end,
        }
    }
}

async fn last_words(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(LAST_WORDS_MAX).await;
}
