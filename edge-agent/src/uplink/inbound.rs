//! What comes down the link: acks, campaigns, commands.

use std::sync::Arc;

use service::logs::chain;
use tracing::{debug, warn};
use wire::{ack::AckMessage, ids::CatalogHash, topics::Channel};

use super::{SessionError, Uplink, link::HandOverError, session::Session};
use crate::{campaign::desk::Delivery, metrics};

/// A catalogue is not sent again so soon after it was, whoever asks.
const CATALOG_PAUSE_US: i64 = 1_000_000;

impl Uplink {
    pub(super) async fn on_message(
        &self,
        session: &mut Session,
        topic: &str,
        payload: Vec<u8>,
    ) -> Result<(), SessionError> {
        if let Some(desk) = &self.desk
            && topic == self.topic(Channel::Command)
        {
            desk.submit(&payload);
        }
        if topic == self.topic(Channel::Campaigns) {
            return self.on_campaigns(payload).await;
        }
        if topic == self.topic(Channel::Ack) {
            match AckMessage::decode(&payload) {
                Ok(acks) => self.on_acks(session, acks).await?,
                Err(error) => {
                    warn!(vehicle_id = %self.vehicle_id, error = %chain(&error), "ack not understood");
                }
            }
        }
        Ok(())
    }

    /// Looks at a delivered campaign set; what came of it is told in `status`.
    async fn on_campaigns(&self, payload: Vec<u8>) -> Result<(), SessionError> {
        // A retained message that was cleared: nothing is delivered, the set in force stays.
        if payload.is_empty() {
            return Ok(());
        }
        let desk = Arc::clone(&self.campaigns);
        // A refusal is logged and told by the desk.
        tokio::task::spawn_blocking(move || drop(desk.deliver(&payload, Delivery::Mqtt))).await?;
        Ok(())
    }

    async fn on_acks(&self, session: &mut Session, acks: AckMessage) -> Result<(), SessionError> {
        let durable = acks.durable.clone();
        let count = self
            .with_spool(move |spool| {
                let mut count = 0;
                for ack in &durable {
                    count += spool.ack(ack.stream_id, ack.up_to_sequence)?;
                }
                Ok(count)
            })
            .await?;
        for ack in &acks.durable {
            session.window.release(ack);
        }
        // Only what is in flight just so, as rejections of an earlier sending come again with the
        // next.
        for (stream_id, sequence) in session.window.take_rejected(&acks.rejected) {
            self.give_up(session, stream_id, sequence).await?;
        }
        if acks.wait_s > 0 {
            self.wait(session, acks.wait_s);
        } else if !acks.durable.is_empty() {
            self.end_wait(session);
        }
        if count > 0 {
            session.window.note_progress(self.clock.monotonic_us());
            session.has_more = true;
            metrics::acked(count);
            self.shared.note_refusal(None);
            self.shared.ring_settled();
            debug!(vehicle_id = %self.vehicle_id, count, "batches durable");
        }
        self.on_catalogs_asked(session, acks.need_catalog).await
    }

    /// Publishes catalogues that ingest lacks, and after them the batches again that it could not
    /// take. It asks with every batch, so all of a window that came before the catalogue does: what
    /// went out a moment ago is not sent for each.
    async fn on_catalogs_asked(
        &self,
        session: &mut Session,
        mut hashes: Vec<CatalogHash>,
    ) -> Result<(), SessionError> {
        let now_us = self.clock.monotonic_us();
        hashes.retain(|hash| {
            session.catalogs_us.get(hash).is_none_or(|us| now_us.saturating_sub(*us) >= CATALOG_PAUSE_US)
        });
        if hashes.is_empty() {
            return Ok(());
        }
        debug!(vehicle_id = %self.vehicle_id, "catalogue asked for");
        match self.publish_catalogs(session, Some(&hashes)).await {
            Ok(()) => {
                session.catalogs_us.extend(hashes.into_iter().map(|hash| (hash, now_us)));
                session.send_again();
                Ok(())
            }
            // It will be asked for again, with the batches that are sent again.
            Err(SessionError::HandOver(HandOverError::Full)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
