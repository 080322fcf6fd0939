//! One connection, from its first packet to its end.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use service::clock::micros;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use wire::{ack::LinkState, ids::CatalogHash, time::Timestamp, topics::Channel};

use super::{
    BACK_OFF_MAX, BACK_OFF_MIN, REQUEST_ROOM, SessionError, TICK, Uplink,
    link::{self, Link, LinkError, LinkEvent, Sender, Transport},
    pace::Pace,
    rotation::Rotation,
    window::Window,
};
use crate::{clock::keeper::Sending, spool::SpoolError};

/// The state of one connection.
pub(super) struct Session {
    pub(super) sender: Sender,
    pub(super) is_connected: bool,
    /// Monotonic time when it was.
    pub(super) connected_us: i64,
    /// Vehicle clock when it was.
    pub(super) since: Timestamp,
    /// The link state `status` tells.
    pub(super) told_link: LinkState,
    /// The link state of now, and since when on the monotonic clock.
    pub(super) link: (LinkState, i64),
    /// Whether the spool may have more to send.
    pub(super) has_more: bool,
    pub(super) window: Window,
    /// What was handed to the client library and not yet given a packet id, in order.
    pub(super) handed: VecDeque<Handed>,
    /// What the broker has not answered, by packet id.
    unanswered: HashMap<u16, Handed>,
    /// Replies handed over on this connection.
    pub(super) replied: HashSet<String>,
    /// When catalogues that ingest asked for went out, on the monotonic clock.
    pub(super) catalogs_us: HashMap<CatalogHash, i64>,
    /// What `status` and the catalogues told last of campaigns, by their desk's count.
    pub(super) told_campaigns: u64,
    /// Monotonic time when to subscribe again after a refusal.
    pub(super) subscribe_again_us: Option<i64>,
    /// How long to wait after the next refusal.
    subscribe_pause: Duration,
}

/// What a message handed over is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Handed {
    /// A batch of telemetry.
    Batch,
    /// The reply to that command.
    Reply(String),
    /// Something else.
    Other(Channel),
}

impl Handed {
    pub(super) fn channel(&self) -> Channel {
        match self {
            Self::Batch => Channel::Telemetry,
            Self::Reply(_) => Channel::Reply,
            Self::Other(channel) => *channel,
        }
    }
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
    Event(Result<LinkEvent, LinkError>),
    Stop,
    Appended,
    Replied,
    Tick,
}

impl Session {
    pub(super) fn new(sender: Sender, pace: Pace) -> Self {
        Self {
            sender,
            is_connected: false,
            connected_us: 0,
            since: Timestamp::default(),
            told_link: LinkState::default(),
            link: (LinkState::default(), 0),
            has_more: false,
            window: Window::new(pace),
            handed: VecDeque::new(),
            unanswered: HashMap::new(),
            replied: HashSet::new(),
            catalogs_us: HashMap::new(),
            told_campaigns: 0,
            subscribe_again_us: None,
            subscribe_pause: BACK_OFF_MIN,
        }
    }

    /// A subscription was refused: it is asked for again, each time after a longer pause. A cluster refuses
    /// while it chooses a leader, and without acks nothing sent is ever done.
    fn subscribe_later(&mut self, monotonic_us: i64) {
        if self.subscribe_again_us.is_none() {
            self.subscribe_again_us = Some(monotonic_us.saturating_add(micros(self.subscribe_pause)));
            self.subscribe_pause = (self.subscribe_pause * 2).min(BACK_OFF_MAX);
        }
    }

    /// Everything above the last durable ack is to be sent again.
    pub(super) fn send_again(&mut self) {
        self.window.begin_again();
        self.has_more = true;
    }
}

impl Uplink {
    /// Both ends of a new connection.
    pub(super) fn open(&self) -> (Session, Link) {
        let mut options = self.settings.options(self.vehicle_id.as_str(), self.transport.clone());
        options.will = Some(self.will());
        options.room = self.settings.in_flight_max + REQUEST_ROOM;
        let (sender, link) = link::open(options);
        (Session::new(sender, self.pace()), link)
    }

    pub(super) async fn session(
        &self,
        session: &mut Session,
        link: &mut Link,
        rotation: &mut Rotation,
        stop: &CancellationToken,
    ) -> Result<End, SessionError> {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // The poll in progress is kept across ticks: dropping it would drop a connection
            // being made or a packet half written.
            let mut poll = Box::pin(link.poll());
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
                    Step::Replied => self.send_replies(session)?,
                    Step::Tick => {
                        self.on_tick(session).await?;
                        if let Some(transport) = rotation.changed(self.clock.as_ref()).await {
                            break Err(End::Rotated(transport));
                        }
                    }
                }
                self.tell_changes(session).await?;
                self.feed(session).await?;
            };
            drop(poll);
            match event {
                Err(end) => {
                    self.say_goodbye(session, link).await?;
                    return Ok(end);
                }
                Ok(Ok(event)) => self.on_event(session, event).await?,
                Ok(Err(source)) => {
                    let (host, port) = (self.settings.host.clone(), self.settings.port);
                    return Err(SessionError::Link { host, port, source });
                }
            }
            self.feed(session).await?;
        }
    }

    async fn on_tick(&self, session: &mut Session) -> Result<(), SessionError> {
        self.pulse();
        self.maintain().await?;
        self.subscribe_if_due(session)?;
        self.resend_if_due(session);
        self.tell_link(session)?;
        self.send_replies(session)?;
        // What could not be read a moment ago may be readable now.
        session.has_more |= session.window.is_empty();
        Ok(())
    }

    async fn on_event(&self, session: &mut Session, event: LinkEvent) -> Result<(), SessionError> {
        match event {
            LinkEvent::Connected { packet_bytes_max } => {
                session.sender.limit(packet_bytes_max);
                session.is_connected = true;
                session.has_more = true;
                session.connected_us = self.clock.monotonic_us();
                session.window.restart_wait(session.connected_us);
                self.introduce(session).await?;
            }
            LinkEvent::Message { topic, payload } => self.on_message(session, &topic, payload).await?,
            // Packet ids are given in the order things were handed over.
            LinkEvent::Numbered(packet_id) => {
                if let Some(handed) = session.handed.pop_front() {
                    session.unanswered.insert(packet_id, handed);
                }
            }
            LinkEvent::Answered { packet_id, refusal } => {
                let handed = session.unanswered.remove(&packet_id);
                match (handed, refusal) {
                    (Some(handed), Some(refusal)) => self.on_refusal(&handed, refusal)?,
                    (Some(Handed::Reply(command_id)), None) => self.note_answered(command_id).await?,
                    _ => {}
                }
            }
            LinkEvent::SubscriptionRefused(refusal) => {
                warn!(vehicle_id = %self.vehicle_id, error = %refusal, "the broker refused a subscription");
                self.shared.note_refusal(Some(format!("a subscription: {refusal}")));
                session.subscribe_later(self.clock.monotonic_us());
            }
            LinkEvent::Left | LinkEvent::Other => {}
        }
        Ok(())
    }

    /// The broker has the reply to a command.
    async fn note_answered(&self, command_id: String) -> Result<(), SessionError> {
        if let Some(desk) = &self.desk {
            let desk = Arc::clone(desk);
            tokio::task::spawn_blocking(move || desk.note_answered(&command_id)).await?;
        }
        Ok(())
    }

    async fn feed(&self, session: &mut Session) -> Result<(), SessionError> {
        let fed = self.fill(session).await;
        self.note_link(session);
        fed
    }

    pub(super) async fn maintain(&self) -> Result<(), SessionError> {
        let monotonic_us = self.clock.monotonic_us();
        let time = self.time.clone();
        let now_us = time.as_ref().map_or(self.clock.now_us(), |time| time.now().0);
        // Segments of an unknown time are as old as they are, not as their clock said.
        let moved_us = move |id| match time.as_ref().map(|time| time.sending(id)) {
            Some(Sending::Moved(us)) => us,
            _ => 0,
        };
        let dropped = self
            .with_spool(move |spool| {
                let before = spool.counts().dropped_batches;
                spool.maintain_moved(now_us, monotonic_us, &moved_us)?;
                Ok(spool.counts().dropped_batches - before)
            })
            .await?;
        if dropped > 0 {
            self.shared.ring_settled();
        }
        Ok(())
    }

    pub(super) async fn with_spool<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut crate::spool::Spool) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SessionError> {
        let shared = Arc::clone(&self.shared);
        Ok(tokio::task::spawn_blocking(move || work(&mut shared.spool())).await??)
    }
}
