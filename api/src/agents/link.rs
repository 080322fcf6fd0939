//! The connection to the broker: hears `status` and `reply` of all vehicles, and lends itself to `desk`.

use mqtt::{Broker, Client, End, Event, Line};
use service::logs::chain;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use wire::{
    ack::VehicleStatus,
    command::CommandReply,
    ids::VehicleId,
    topics::{self, Channel},
};

use crate::metrics;

/// What the client library has taken and not sent.
const REQUEST_QUEUE_LEN: usize = 256;

/// What comes from the broker.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A new connection: what was handed to the one before may not have arrived.
    Connected,
    /// An agent tells how it is.
    Status(VehicleId, Box<VehicleStatus>),
    /// An agent tells what became of a command.
    Reply(VehicleId, Box<CommandReply>),
}

/// Connections, one after the other.
pub(crate) struct Link {
    pub(crate) broker: Broker,
    pub(crate) heard: mpsc::Sender<Heard>,
    pub(crate) client: watch::Sender<Option<Client>>,
}

impl Link {
    /// Runs until stopped; reconnects by itself.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut line = Line::new("agents", watch::Sender::new(false));
        loop {
            let end = tokio::select! {
                () = stop.cancelled() => return,
                end = self.connection(&mut line) => end,
            };
            self.client.send_replace(None);
            metrics::agents_link(false);
            line.is_over();
            if !line.again(&end, &stop).await {
                return;
            }
        }
    }

    async fn connection(&self, line: &mut Line) -> End {
        // Brokers of ours let the cloud's side choose ids that begin with its name (docs/brokers.md).
        let client_id = format!("operator-api-{}", uuid::Uuid::new_v4().simple());
        let filters: Vec<String> =
            [Channel::Status, Channel::Reply].into_iter().flat_map(|c| topics::filters(c, 0, 1)).collect();
        let (client, mut events) = self.broker.connection(client_id, &filters, REQUEST_QUEUE_LEN);
        loop {
            let heard = match events.next().await {
                Event::Ready => {
                    line.is_good();
                    metrics::agents_link(true);
                    self.client.send_replace(Some(client.clone()));
                    Some(Heard::Connected)
                }
                Event::Message { topic, payload } => read(&topic, &payload),
                Event::Ended(end) => return end,
            };
            if let Some(heard) = heard
                && self.heard.send(heard).await.is_err()
            {
                return End::Closed;
            }
        }
    }
}

/// What a message says; what cannot be read is told in the log and left.
fn read(topic: &str, payload: &[u8]) -> Option<Heard> {
    let (vehicle_id, channel) = topics::parse(topic)?;
    let heard = match channel {
        Channel::Status => VehicleStatus::decode(payload)
            .map(|status| Heard::Status(vehicle_id.clone(), Box::new(status)))
            .map_err(|error| chain(&error).to_string()),
        Channel::Reply => CommandReply::decode(payload)
            .map(|reply| Heard::Reply(vehicle_id.clone(), Box::new(reply)))
            .map_err(|error| chain(&error).to_string()),
        _ => return None,
    };
    match heard {
        Ok(heard) => {
            metrics::agents_message(channel.name());
            Some(heard)
        }
        Err(error) => {
            metrics::agents_message("unreadable");
            tracing::warn!(%vehicle_id, error, "message of an agent not understood");
            None
        }
    }
}
