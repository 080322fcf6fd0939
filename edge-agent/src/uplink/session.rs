//! One connection: birth, catalogues, batches by the window, acks, goodbye.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use service::{clock::micros, logs::chain};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};
use wire::{
    ack::{AckMessage, LinkState, payload_crc32},
    batch::{Batch, Envelope},
    ids::{CatalogHash, StreamId},
    time::Timestamp,
    topics::Channel,
};

use super::{
    AsyncClient, ClientError, ConnectionError, Event, EventLoop, GOODBYE, LINK_HELD_US, Outgoing, Packet,
    Publish, QoS, READ_COUNT_MAX, REQUEST_ROOM, SessionError, TICK, Transport, Uplink, rotation::Rotation,
};
use crate::{
    agent::shared::add,
    campaign::desk::Delivery,
    metrics,
    spool::{CatchUp, SpoolError, StoredBatch},
};

/// The state of one connection.
#[derive(Default)]
pub(super) struct Session {
    pub(super) is_connected: bool,
    /// Vehicle clock when it was.
    since: Timestamp,
    /// The link state `status` tells.
    told_link: LinkState,
    /// The link state of now, and since when on the monotonic clock.
    link: (LinkState, i64),
    /// Whether the spool may have more to send.
    has_more: bool,
    sent: HashMap<StreamId, u64>,
    in_flight: VecDeque<InFlight>,
    /// What was handed to the client library and not yet given a packet id, in order: the reply
    /// to which command, or something else.
    handed: VecDeque<Option<String>>,
    /// Replies by packet id, until the broker has them.
    replies: HashMap<u16, String>,
    /// Replies handed over on this connection.
    replied: HashSet<String>,
    /// Monotonic time of the last durable ack, or of the first batch in an empty window.
    progress_us: i64,
    /// What `status` and the catalogues told last of campaigns, by their desk's count.
    told_campaigns: u64,
}

/// A batch sent and not yet durable.
#[derive(Debug, Clone, Copy)]
struct InFlight {
    stream_id: StreamId,
    sequence: u64,
    /// Of the payload as it was sent: what a rejection names.
    crc32: u32,
}

/// How a session ended well.
pub(super) enum End {
    /// The agent is being stopped.
    Stopped,
    /// The TLS files have changed: this is the way from now on.
    Rotated(Transport),
}

/// How a session went on.
enum Step {
    Event(Result<Event, ConnectionError>),
    Stop,
    Appended,
    Replied,
    Tick,
}

impl Uplink {
    pub(super) async fn session(
        &self,
        session: &mut Session,
        rotation: &mut Rotation,
        stop: &CancellationToken,
    ) -> Result<End, SessionError> {
        let (client, mut event_loop) =
            AsyncClient::new(self.options(), self.settings.in_flight_max + REQUEST_ROOM);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // The poll in progress is kept across ticks: dropping it would drop a connection
            // being made or a packet half written.
            let mut poll = Box::pin(event_loop.poll());
            let event = loop {
                let step = tokio::select! {
                    event = &mut poll => Step::Event(event),
                    () = stop.cancelled() => Step::Stop,
                    () = self.shared.appended.notified() => Step::Appended,
                    () = self.has_replied() => Step::Replied,
                    _ = ticks.tick() => Step::Tick,
                };
                match step {
                    Step::Event(event) => break Ok(event),
                    Step::Stop => break Err(End::Stopped),
                    Step::Appended => session.has_more = true,
                    Step::Replied => self.send_replies(session, &client)?,
                    Step::Tick => {
                        self.pulse();
                        self.maintain().await?;
                        self.resend_if_due(session);
                        self.tell_link(session, &client)?;
                        self.send_replies(session, &client)?;
                        if let Some(transport) = rotation.changed(self.clock.as_ref()).await {
                            break Err(End::Rotated(transport));
                        }
                        // What could not be read a moment ago may be readable now.
                        session.has_more |= session.in_flight.is_empty();
                    }
                }
                self.tell_changes(session, &client).await?;
                self.feed(session, &client).await?;
            };
            drop(poll);
            match event {
                Err(end) => {
                    self.say_goodbye(session, &client, event_loop).await?;
                    return Ok(end);
                }
                Ok(Ok(event)) => self.on_event(session, &client, event).await?,
                Ok(Err(source)) => {
                    let (host, port) = (self.settings.host.clone(), self.settings.port);
                    return Err(SessionError::Connection { host, port, source: Box::new(source) });
                }
            }
            self.feed(session, &client).await?;
        }
    }

    async fn on_event(
        &self,
        session: &mut Session,
        client: &AsyncClient,
        event: Event,
    ) -> Result<(), SessionError> {
        match event {
            Event::Incoming(Packet::ConnAck(_)) => {
                session.is_connected = true;
                session.has_more = true;
                session.progress_us = self.clock.monotonic_us();
                add(&self.shared.counters.connects, 1);
                metrics::connected();
                session.since = Timestamp(self.clock.now_us());
                self.begin_streams_if_behind().await?;
                for channel in [Channel::Ack, Channel::Campaigns] {
                    let subscribed = client.try_subscribe(self.topic(channel), QoS::AtLeastOnce);
                    subscribed.map_err(|e| SessionError::Client(Box::new(e)))?;
                }
                session.told_campaigns = self.campaigns.told();
                session.told_link = LinkState::CatchingUp;
                let birth = self.status(session.told_link, session.since);
                self.publish(session, client, Channel::Status, birth)?;
                if self.desk.is_some() {
                    let subscribed = client.try_subscribe(self.topic(Channel::Command), QoS::AtLeastOnce);
                    subscribed.map_err(|e| SessionError::Client(Box::new(e)))?;
                    self.send_replies(session, client)?;
                }
                self.publish_catalogs(session, client, None).await?;
                info!(vehicle_id = %self.vehicle_id, host = self.settings.host, "uplink connected");
            }
            Event::Incoming(Packet::Publish(message)) => self.on_message(session, client, &message).await?,
            // Packet ids are given in the order things were handed over.
            Event::Outgoing(Outgoing::Publish(packet_id)) => {
                if let Some(Some(command_id)) = session.handed.pop_front() {
                    session.replies.insert(packet_id, command_id);
                }
            }
            Event::Incoming(Packet::PubAck(ack)) => {
                if let (Some(desk), Some(command_id)) = (&self.desk, session.replies.remove(&ack.pkid)) {
                    let desk = Arc::clone(desk);
                    tokio::task::spawn_blocking(move || desk.note_answered(&command_id)).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn on_message(
        &self,
        session: &mut Session,
        client: &AsyncClient,
        message: &Publish,
    ) -> Result<(), SessionError> {
        if let Some(desk) = &self.desk
            && message.topic == self.topic(Channel::Command)
        {
            desk.submit(&message.payload);
        }
        if message.topic == self.topic(Channel::Campaigns) {
            self.on_campaigns(message.payload.to_vec()).await?;
        }
        if message.topic == self.topic(Channel::Ack) {
            match AckMessage::decode(&message.payload) {
                Ok(acks) => self.on_acks(session, client, acks).await?,
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

    /// Publishes status and catalogue again when campaigns changed them.
    async fn tell_changes(&self, session: &mut Session, client: &AsyncClient) -> Result<(), SessionError> {
        let told = self.campaigns.told();
        if !session.is_connected || told == session.told_campaigns {
            return Ok(());
        }
        session.told_campaigns = told;
        let status = self.status(session.told_link, session.since);
        self.publish(session, client, Channel::Status, status)?;
        let own = self.campaigns.catalog_hash();
        self.publish_catalogs(session, client, Some(&[own])).await
    }

    /// Where the latest goes first and more waits than a window: what is collected from now on
    /// gets streams of its own, since an ack covers a stream only from its start.
    async fn begin_streams_if_behind(&self) -> Result<(), SessionError> {
        let window = self.settings.in_flight_max as u64;
        let is_behind = self
            .with_spool(move |spool| {
                Ok(spool.settings().catch_up == CatchUp::LatestFirst && spool.counts().batches > window)
            })
            .await?;
        if is_behind {
            add(&self.shared.counters.stream_epoch, 1);
        }
        Ok(())
    }

    /// Notes the link's state, and tells it in `status` once it has held for a while.
    fn tell_link(&self, session: &mut Session, client: &AsyncClient) -> Result<(), SessionError> {
        let (link, since_us) = session.link;
        let held_us = self.clock.monotonic_us().saturating_sub(since_us);
        if !session.is_connected || link == session.told_link || held_us < LINK_HELD_US {
            return Ok(());
        }
        session.told_link = link;
        let status = self.status(link, session.since);
        self.publish(session, client, Channel::Status, status)
    }

    fn note_link(&self, session: &mut Session) {
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

    async fn on_acks(
        &self,
        session: &mut Session,
        client: &AsyncClient,
        acks: AckMessage,
    ) -> Result<(), SessionError> {
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
            session.in_flight.retain(|b| b.stream_id != ack.stream_id || b.sequence > ack.up_to_sequence);
        }
        self.on_rejected(session, &acks.rejected).await?;
        if count > 0 {
            session.progress_us = self.clock.monotonic_us();
            session.has_more = true;
            metrics::acked(count);
            self.shared.ring_settled();
            debug!(vehicle_id = %self.vehicle_id, count, "batches durable");
        }
        if !acks.need_catalog.is_empty() {
            debug!(vehicle_id = %self.vehicle_id, "catalogue asked for");
            self.publish_catalogs(session, client, Some(&acks.need_catalog)).await?;
            session.send_again();
        }
        Ok(())
    }

    /// Gives up what the cloud can never take: only what is in flight just so, as rejections of
    /// an earlier sending come again with the next.
    async fn on_rejected(&self, session: &mut Session, crcs: &[u32]) -> Result<(), SessionError> {
        let (rejected, kept): (VecDeque<_>, VecDeque<_>) =
            session.in_flight.drain(..).partition(|b| crcs.contains(&b.crc32));
        session.in_flight = kept;
        for InFlight { stream_id, sequence, .. } in rejected {
            if self.with_spool(move |spool| spool.reject(stream_id, sequence)).await? {
                error!(vehicle_id = %self.vehicle_id, sequence, reason = "rejected", "batch given up");
                session.progress_us = self.clock.monotonic_us();
                session.has_more = true;
                self.shared.ring_settled();
            }
        }
        Ok(())
    }

    /// Publishes the catalogues of all that waits and of what is to come, or those asked for.
    async fn publish_catalogs(
        &self,
        session: &mut Session,
        client: &AsyncClient,
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
            self.publish(session, client, Channel::Catalog, catalog)?;
        }
        Ok(())
    }

    fn publish(
        &self,
        session: &mut Session,
        client: &AsyncClient,
        channel: Channel,
        payload: Vec<u8>,
    ) -> Result<(), SessionError> {
        let retain = channel == Channel::Status;
        client
            .try_publish(self.topic(channel), QoS::AtLeastOnce, retain, payload)
            .map_err(|e| SessionError::Client(Box::new(e)))?;
        session.handed.push_back(None);
        Ok(())
    }

    /// Waits for a reply to a command.
    async fn has_replied(&self) {
        match &self.desk {
            Some(desk) => desk.replied.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Hands over the replies this connection has not had; what the library has no room for goes
    /// with the next tick.
    fn send_replies(&self, session: &mut Session, client: &AsyncClient) -> Result<(), SessionError> {
        let Some(desk) = self.desk.as_ref().filter(|_| session.is_connected) else { return Ok(()) };
        for (command_id, payload) in desk.unanswered() {
            if session.replied.contains(&command_id) {
                continue;
            }
            match client.try_publish(self.topic(Channel::Reply), QoS::AtLeastOnce, false, payload) {
                Ok(()) => {}
                Err(ClientError::TryRequest(_)) => return Ok(()),
                Err(e) => return Err(SessionError::Client(Box::new(e))),
            }
            session.handed.push_back(Some(command_id.clone()));
            session.replied.insert(command_id);
        }
        Ok(())
    }

    /// Fills the window.
    async fn feed(&self, session: &mut Session, client: &AsyncClient) -> Result<(), SessionError> {
        let fed = self.fill(session, client).await;
        self.note_link(session);
        fed
    }

    async fn fill(&self, session: &mut Session, client: &AsyncClient) -> Result<(), SessionError> {
        while session.is_connected && session.has_more {
            let room =
                self.settings.in_flight_max.saturating_sub(session.in_flight.len()).min(READ_COUNT_MAX);
            if room == 0 {
                return Ok(());
            }
            let sent = session.sent.clone();
            let batches = self.with_spool(move |spool| spool.next_batches(&sent, room)).await?;
            session.has_more = batches.len() == room;
            for batch in batches {
                let (stream_id, sequence) = (batch.stream_id, batch.meta.sequence);
                let payload = self.payload(batch)?;
                let bytes = payload.len() as u64;
                let crc32 = payload_crc32(&payload);
                let topic = self.topic(Channel::Telemetry);
                match client.try_publish(topic, QoS::AtLeastOnce, false, payload) {
                    Ok(()) => {}
                    // The library is busy; the next event comes here again.
                    Err(ClientError::TryRequest(_)) => {
                        session.has_more = true;
                        return Ok(());
                    }
                    Err(e) => return Err(SessionError::Client(Box::new(e))),
                }
                session.handed.push_back(None);
                if session.in_flight.is_empty() {
                    session.progress_us = self.clock.monotonic_us();
                }
                session.in_flight.push_back(InFlight { stream_id, sequence, crc32 });
                session.sent.insert(stream_id, sequence);
                add(&self.shared.counters.batches_sent, 1);
                add(&self.shared.counters.bytes_sent, bytes);
                metrics::sent(bytes);
            }
        }
        Ok(())
    }

    /// The bytes to publish: signed now, and where older batches of the stream were dropped
    /// since, with the lowest sequence that may still come.
    fn payload(&self, stored: StoredBatch) -> Result<Vec<u8>, SessionError> {
        let body = match stored.floor {
            Some(floor) if floor > stored.meta.oldest_sequence => {
                let mut batch = Batch::decode_body(&stored.body)?;
                batch.oldest_sequence = floor.min(batch.sequence);
                batch.encode_body()?
            }
            _ => stored.body,
        };
        let signature = self.signer.as_ref().map(|s| s.sign(&body)).unwrap_or_default();
        Ok(Envelope { body, signature }.encode()?)
    }

    fn resend_if_due(&self, session: &mut Session) {
        let waited_us = self.clock.monotonic_us().saturating_sub(session.progress_us);
        if !session.in_flight.is_empty() && waited_us >= micros(self.settings.resend_after) {
            session.progress_us = self.clock.monotonic_us();
            session.send_again();
            add(&self.shared.counters.resends, 1);
            metrics::resent();
            warn!(vehicle_id = %self.vehicle_id, "no durable ack, sending again");
        }
    }

    pub(super) async fn maintain(&self) -> Result<(), SessionError> {
        let (now_us, monotonic_us) = (self.clock.now_us(), self.clock.monotonic_us());
        let dropped = self
            .with_spool(move |spool| {
                let before = spool.counts().dropped_batches;
                spool.maintain(now_us, monotonic_us)?;
                Ok(spool.counts().dropped_batches - before)
            })
            .await?;
        if dropped > 0 {
            self.shared.ring_settled();
        }
        Ok(())
    }

    async fn with_spool<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut crate::spool::Spool) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SessionError> {
        let shared = Arc::clone(&self.shared);
        Ok(tokio::task::spawn_blocking(move || work(&mut shared.spool())).await??)
    }

    /// Tells the cloud that the agent goes, if it can be told quickly.
    async fn say_goodbye(
        &self,
        session: &mut Session,
        client: &AsyncClient,
        mut event_loop: EventLoop,
    ) -> Result<(), SessionError> {
        if !session.is_connected {
            return Ok(());
        }
        let gone = self.status(LinkState::Offline, Timestamp(self.clock.now_us()));
        self.publish(session, client, Channel::Status, gone)?;
        client.try_disconnect().map_err(|e| SessionError::Client(Box::new(e)))?;
        let flush = async {
            while let Ok(event) = event_loop.poll().await {
                if matches!(event, Event::Outgoing(Outgoing::Disconnect)) {
                    break;
                }
            }
        };
        // Not said in time: the last will says it.
        drop(tokio::time::timeout(GOODBYE, flush).await);
        Ok(())
    }
}

impl Session {
    /// Everything above the last durable ack is to be sent again.
    fn send_again(&mut self) {
        self.sent.clear();
        self.in_flight.clear();
        self.has_more = true;
    }
}
