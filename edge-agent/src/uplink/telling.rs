//! What the vehicle says beside its batches: birth, link state, catalogues, replies, goodbye.

use service::logs::chain;
use tracing::{debug, info, warn};
use wire::{ack::LinkState, ids::CatalogHash, time::Timestamp, topics::Channel};

use super::{
    GOODBYE, LINK_HELD_US, SessionError, Uplink,
    link::{About, HandOverError, Link, LinkEvent, Publication, Refusal},
    session::{Handed, Session},
};
use crate::{agent::shared::add, metrics, spool::CatchUp};

impl Uplink {
    /// Subscribes, and says that the vehicle is there and what its batches mean.
    pub(super) async fn introduce(&self, session: &mut Session) -> Result<(), SessionError> {
        add(&self.shared.counters.connects, 1);
        metrics::connected();
        session.since = Timestamp(self.clock.now_us());
        self.begin_streams_if_behind().await?;
        self.subscribe(session)?;
        session.told_campaigns = self.campaigns.told();
        session.told_link = LinkState::CatchingUp;
        let birth = self.status(session.told_link, session.since);
        self.publish(session, Channel::Status, birth)?;
        if self.desk.is_some() {
            self.send_replies(session)?;
        }
        self.publish_catalogs(session, None).await?;
        info!(vehicle_id = %self.vehicle_id, host = self.settings.host, "uplink connected");
        Ok(())
    }

    /// Asks for everything that is for this vehicle.
    pub(super) fn subscribe(&self, session: &Session) -> Result<(), SessionError> {
        let commands = self.desk.is_some().then_some(Channel::Command);
        for channel in [Channel::Ack, Channel::Campaigns].into_iter().chain(commands) {
            session.sender.subscribe(self.topic(channel))?;
        }
        Ok(())
    }

    /// Asks again when the broker refused and the pause is over.
    pub(super) fn subscribe_if_due(&self, session: &mut Session) -> Result<(), SessionError> {
        if session.subscribe_again_us.is_none_or(|due_us| self.clock.monotonic_us() < due_us) {
            return Ok(());
        }
        session.subscribe_again_us = None;
        self.subscribe(session)
    }

    /// Where the latest goes first and more waits than a window: what is collected from now on
    /// gets streams of its own, since an ack covers a stream only from its start.
    async fn begin_streams_if_behind(&self) -> Result<(), SessionError> {
        let window = self.settings.in_flight_max as u64;
        let is_behind = self
            .with_spool(move |spool| {
                Ok(spool.counts().batches > window && spool.has_waiting(CatchUp::LatestFirst))
            })
            .await?;
        if is_behind {
            add(&self.shared.counters.stream_epoch, 1);
        }
        Ok(())
    }

    /// Publishes status and catalogue again when campaigns changed them.
    pub(super) async fn tell_changes(&self, session: &mut Session) -> Result<(), SessionError> {
        let told = self.campaigns.told();
        if !session.is_connected || told == session.told_campaigns {
            return Ok(());
        }
        session.told_campaigns = told;
        let status = self.status(session.told_link, session.since);
        self.publish(session, Channel::Status, status)?;
        let own = self.campaigns.catalog_hash();
        self.publish_catalogs(session, Some(&[own])).await
    }

    /// Notes the link's state, and tells it in `status` once it has held for a while.
    pub(super) fn tell_link(&self, session: &mut Session) -> Result<(), SessionError> {
        let (link, since_us) = session.link;
        let held_us = self.clock.monotonic_us().saturating_sub(since_us);
        if !session.is_connected || link == session.told_link || held_us < LINK_HELD_US {
            return Ok(());
        }
        session.told_link = link;
        let status = self.status(link, session.since);
        self.publish(session, Channel::Status, status)
    }

    pub(super) fn note_link(&self, session: &mut Session) {
        let link = match (session.is_connected, session.has_more) {
            (false, _) => LinkState::Offline,
            (true, true) => LinkState::CatchingUp,
            (true, false) => LinkState::Live,
        };
        if link != session.link.0 {
            session.link = (link, self.clock.monotonic_us());
            self.set_link(link);
            debug!(vehicle_id = %self.vehicle_id, stage = link.name(), "link state");
        }
    }

    /// Publishes the catalogues of all that waits and of what is to come, or those asked for.
    pub(super) async fn publish_catalogs(
        &self,
        session: &mut Session,
        only: Option<&[CatalogHash]>,
    ) -> Result<(), SessionError> {
        let own = self.campaigns.catalog_hash();
        let wanted: Option<Vec<CatalogHash>> = only.map(<[_]>::to_vec);
        let catalogs = self
            .with_spool(move |spool| {
                let mut hashes = spool.catalog_hashes();
                if !hashes.contains(&own) {
                    hashes.push(own);
                }
                hashes.retain(|h| wanted.as_ref().is_none_or(|w| w.contains(h)));
                Ok(hashes.into_iter().filter_map(|h| spool.catalog(h)).collect::<Vec<_>>())
            })
            .await?;
        for catalog in catalogs {
            self.publish(session, Channel::Catalog, catalog)?;
        }
        Ok(())
    }

    fn publish(&self, session: &mut Session, channel: Channel, payload: Vec<u8>) -> Result<(), SessionError> {
        let about = About { content_type: content_type(channel), ..About::default() };
        Ok(self.hand_over(session, channel, payload, about, Handed::Other(channel))?)
    }

    /// Hands a message to the client library and notes what it was.
    pub(super) fn hand_over(
        &self,
        session: &mut Session,
        channel: Channel,
        payload: Vec<u8>,
        about: About,
        handed: Handed,
    ) -> Result<(), HandOverError> {
        let topic = self.topic(channel);
        let is_retained = channel == Channel::Status;
        session.sender.publish(Publication { topic, payload, is_retained, about })?;
        session.handed.push_back(handed);
        Ok(())
    }

    /// The last words of a connection that breaks.
    pub(super) fn will(&self) -> Publication {
        Publication {
            topic: self.topic(Channel::Status),
            payload: self.status(LinkState::Offline, Timestamp(self.clock.now_us())),
            is_retained: true,
            about: About::default(),
        }
    }

    /// Waits for a reply to a command.
    pub(super) async fn has_replied(&self) {
        match &self.desk {
            Some(desk) => desk.replied.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Hands over the replies this connection has not had; what the library has no room for goes
    /// with the next tick.
    pub(super) fn send_replies(&self, session: &mut Session) -> Result<(), SessionError> {
        let Some(desk) = self.desk.as_ref().filter(|_| session.is_connected) else { return Ok(()) };
        for (command_id, payload) in desk.unanswered() {
            if session.replied.contains(&command_id) {
                continue;
            }
            let about = About { content_type: content_type(Channel::Reply), ..About::default() };
            let handed = Handed::Reply(command_id.clone());
            match self.hand_over(session, Channel::Reply, payload, about, handed) {
                Ok(()) => {}
                Err(HandOverError::Full) => return Ok(()),
                // It will not be smaller on the next tick; another broker may take it.
                Err(error @ HandOverError::TooLarge { .. }) => {
                    warn!(vehicle_id = %self.vehicle_id, error = %chain(&error), "reply not sent");
                }
            }
            session.replied.insert(command_id);
        }
        Ok(())
    }

    /// Takes a broker's no to what was handed over. Without batches or catalogues there is no use
    /// in this connection: another one, later, may be luckier.
    pub(super) fn on_refusal(&self, handed: &Handed, refusal: Refusal) -> Result<(), SessionError> {
        let channel = match handed {
            Handed::Batch | Handed::Other(Channel::Catalog) => {
                return Err(SessionError::Refused { channel: handed.channel().name(), source: refusal });
            }
            Handed::Reply(_) | Handed::Other(_) => handed.channel().name(),
        };
        warn!(vehicle_id = %self.vehicle_id, channel, error = %chain(&refusal), "the broker refused a message");
        self.shared.note_refusal(Some(format!("{channel}: {refusal}")));
        Ok(())
    }

    /// Tells the cloud that the agent goes, if it can be told quickly.
    pub(super) async fn say_goodbye(
        &self,
        session: &mut Session,
        link: &mut Link,
    ) -> Result<(), SessionError> {
        if !session.is_connected {
            return Ok(());
        }
        let gone = self.status(LinkState::Offline, Timestamp(self.clock.now_us()));
        self.publish(session, Channel::Status, gone)?;
        session.sender.leave()?;
        let flush = async {
            while let Ok(event) = link.poll().await {
                if matches!(event, LinkEvent::Left) {
                    break;
                }
            }
        };
        // Not said in time: the last will says it.
        drop(tokio::time::timeout(GOODBYE, flush).await);
        Ok(())
    }

    fn status(&self, link: LinkState, since: Timestamp) -> Vec<u8> {
        let status = wire::ack::VehicleStatus {
            is_online: link != LinkState::Offline,
            link,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id: self.boot_id,
            catalog_hash: self.campaigns.catalog_hash(),
            since,
            campaigns: self.campaigns.status().0,
        };
        status.encode()
    }
}

fn content_type(channel: Channel) -> &'static str {
    match channel {
        Channel::Catalog => "application/vnd.roadlake.catalog",
        Channel::Status => "application/vnd.roadlake.status",
        Channel::Reply => "application/vnd.roadlake.reply",
        _ => "application/octet-stream",
    }
}
