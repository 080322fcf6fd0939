//! The desk between database and broker: notes what agents tell, and hands on what is due to them.

use mqtt::Client;
use service::{SharedClock, logs::chain};
use tokio::sync::{mpsc, watch};
use wire::{
    campaigns,
    command::Command,
    ids::VehicleId,
    time::Timestamp,
    topics::{self, Channel},
};

use super::{Keys, campaigns as sets, commands, link::Heard};
use crate::{
    db::Db,
    fault::DomainError,
    ids::{CommandId, DeploymentId},
    metrics,
    ticks::Ticks,
};

/// Messages noted in a transaction.
const HEARD_MAX: usize = 500;
/// Things handed on at a beat, of each kind.
const DUE_MAX: i64 = 500;

/// The task's parts.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) db: Db,
    pub(crate) clock: SharedClock,
    pub(crate) keys: Keys,
    pub(crate) client: watch::Receiver<Option<Client>>,
}

/// What was handed on.
enum Sent {
    Campaigns(VehicleId, DeploymentId),
    Command(CommandId),
}

impl Desk {
    /// Runs until stopped; what fails is told and tried again at the next beat.
    pub(crate) async fn run(self, mut heard: mpsc::Receiver<Heard>, mut ticks: Ticks) {
        let mut pending = Vec::new();
        let mut is_heard = true;
        loop {
            tokio::select! {
                is_on = ticks.next() => if !is_on { return },
                // More is taken once what was heard has been noted.
                count = heard.recv_many(&mut pending, HEARD_MAX), if is_heard && pending.is_empty() => {
                    is_heard = count > 0;
                }
            }
            if let Err(error) = self.note(&pending).await {
                tracing::warn!(error = %chain(&error), "what agents told is not noted, will try again");
                continue;
            }
            pending.clear();
            if let Err(error) = self.hand_on().await {
                tracing::warn!(error = %chain(&error), "agents not told what is due, will try again");
            }
        }
    }

    async fn note(&self, heard: &[Heard]) -> Result<(), DomainError> {
        if heard.is_empty() {
            return Ok(());
        }
        let mut tx = self.db.write().await?;
        let now = Timestamp(self.clock.now_us());
        for one in heard {
            match one {
                Heard::Connected => {
                    sets::publish_all_again(&mut tx).await?;
                    commands::publish_all_again(&mut tx).await?;
                }
                Heard::Status(vehicle_id, status) => {
                    super::note_status(&mut tx, now, (vehicle_id, status)).await?;
                }
                Heard::Reply(vehicle_id, reply) => {
                    if !commands::answer(&mut tx, now, (vehicle_id, reply)).await? {
                        tracing::debug!(%vehicle_id, command_id = reply.command_id, "reply to no command that waits");
                    }
                }
            }
        }
        tx.commit().await.map_err(DomainError::from)
    }

    async fn hand_on(&self) -> Result<(), DomainError> {
        let Some(client) = self.client.borrow().clone() else { return Ok(()) };
        let now = Timestamp(self.clock.now_us());
        let mut conn = self.db.read().await?;
        let due_sets = match self.keys.campaigns {
            Some(_) => sets::due(&mut conn, DUE_MAX).await?,
            None => Vec::new(),
        };
        let due_commands = match self.keys.commands {
            Some(_) => commands::due(&mut conn, now, DUE_MAX).await?,
            None => Vec::new(),
        };
        drop(conn);
        let mut sent = Vec::new();
        if let Some(key) = &self.keys.campaigns {
            for (vehicle_id, deployment_id, text) in due_sets {
                let payload = campaigns::sign(&text, key);
                if !give(&client, (&vehicle_id, Channel::Campaigns), payload) {
                    break;
                }
                sent.push(Sent::Campaigns(vehicle_id, deployment_id));
            }
        }
        if let Some(key) = &self.keys.commands {
            for due in due_commands {
                let command = Command {
                    vehicle_id: due.vehicle_id,
                    command_id: due.id.to_string(),
                    sequence: due.sequence.unsigned_abs(),
                    issued_at: due.issued_at,
                    expires_at: due.expires_at,
                    kind: due.task.kind(),
                };
                let payload = command.encode_signed(key);
                if !give(&client, (&command.vehicle_id, Channel::Command), payload) {
                    break;
                }
                sent.push(Sent::Command(due.id));
            }
        }
        self.mark(now, &sent).await
    }

    async fn mark(&self, now: Timestamp, sent: &[Sent]) -> Result<(), DomainError> {
        if sent.is_empty() {
            return Ok(());
        }
        let mut tx = self.db.write().await?;
        for one in sent {
            match one {
                Sent::Campaigns(vehicle_id, deployment_id) => {
                    sets::mark_published(&mut tx, now, (vehicle_id, deployment_id)).await?;
                }
                Sent::Command(id) => commands::mark_published(&mut tx, now, id).await?,
            }
        }
        tx.commit().await.map_err(DomainError::from)
    }
}

/// Gives a message to the connection; false when it takes no more now. Campaigns are retained: a vehicle that comes
/// later finds them.
fn give(client: &Client, (vehicle_id, channel): (&VehicleId, Channel), payload: Vec<u8>) -> bool {
    let topic = topics::topic(vehicle_id, channel);
    let is_given = client.try_publish(topic, payload, channel == Channel::Campaigns);
    if is_given {
        metrics::agents_told(channel.name());
    }
    is_given
}
