//! The way to the cloud: MQTT 3.1.1 or 5, by the client library that `uplink/link.rs` hides.
//!
//! One *session* is one connection: birth, catalogues (again when campaigns change them), then
//! batches by [`Spool`]'s order. The window counts batches without a durable ack; a PUBACK
//! releases nothing. Nothing is left to the client library: on any error both its ends are built
//! anew and everything above the last durable ack is sent again. What the broker refuses is told
//! in words, in the log and in the unit's state. Bounds: `in_flight_max` batches, back-off of 1 s
//! to 60 s with jitter, which only an ack or a connection that held for 60 s sets back; refused
//! subscriptions are asked for again at the same pace, on the connection there is.
//!
//! [`Spool`]: crate::spool::Spool

mod inbound;
mod link;
mod pace;
mod rotation;
mod session;
mod settings;
mod telling;
mod tls;
mod window;
pub(crate) mod x509;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use service::{SharedClock, clock::micros, logs::chain, tasks::TaskError};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use wire::{
    batch::{DecodeBatchError, EncodeBatchError},
    ids::{BootId, VehicleId},
    signature::BatchSigner,
    topics::{Channel, topic},
};

use crate::{
    agent::shared::Shared, campaign::Desk as CampaignDesk, clock::keeper::TimeKeeper, command::Desk,
    spool::SpoolError,
};
use link::{HandOverError, LinkError, LinkEvent, Refusal, Transport, secured};
use rotation::Rotation;
use session::{End, Session};
use window::Window;

pub use link::Protocol;
pub use pace::Pace;
pub use settings::UplinkSettings;
pub use tls::{ClientCertificate, TlsError, TlsSettings};
pub use wire::ack::LinkState;

/// Requests that may wait for the client library, beyond the window.
const REQUEST_ROOM: usize = 64;
/// Batches read from the spool at once.
const READ_COUNT_MAX: usize = 32;
const BACK_OFF_MIN: Duration = Duration::from_secs(1);
const BACK_OFF_MAX: Duration = Duration::from_secs(60);
/// How often time itself is looked at: syncs, ages, resends.
const TICK: Duration = Duration::from_millis(250);
/// How long a link state must have held before `status` tells it.
const LINK_HELD_US: i64 = 5_000_000;
/// Longest a probe of the broker may take.
const PROBE_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a stop may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error("no link to broker {host}:{port}")]
    Link { host: String, port: u16, source: LinkError },
    #[error("the broker refused a message of {channel}")]
    Refused { channel: &'static str, source: Refusal },
    #[error("cannot hand a message to the client")]
    HandOver(#[from] HandOverError),
    #[error("cannot use the spool")]
    Spool(#[from] SpoolError),
    #[error("cannot read a batch back from the spool")]
    Decode(#[from] DecodeBatchError),
    #[error("cannot write a batch")]
    Encode(#[from] EncodeBatchError),
    #[error("a blocking task failed")]
    Blocking(#[from] tokio::task::JoinError),
}

impl SessionError {
    /// What the broker refused and why, when it was the broker.
    fn refusal(&self) -> Option<String> {
        match self {
            Self::Link { source, .. } => source.refusal().map(|refusal| format!("the connection: {refusal}")),
            Self::Refused { channel, source } => Some(format!("{channel}: {source}")),
            _ => None,
        }
    }
}

/// Sends what the spool holds until it is stopped.
pub(crate) struct Uplink {
    pub(crate) vehicle_id: VehicleId,
    pub(crate) boot_id: BootId,
    pub(crate) campaigns: Arc<CampaignDesk>,
    pub(crate) settings: UplinkSettings,
    pub(crate) signer: Option<BatchSigner>,
    pub(crate) transport: Transport,
    pub(crate) desk: Option<Arc<Desk>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: SharedClock,
    /// Of live sources; times of the others are known.
    pub(crate) time: Option<Arc<TimeKeeper>>,
}

impl Uplink {
    /// The transport of these settings, its files read and checked.
    pub(crate) fn transport(settings: &UplinkSettings) -> Result<Transport, TlsError> {
        match &settings.tls {
            None => Ok(Transport::tcp()),
            Some(tls) => Ok(secured(tls.client_config()?)),
        }
    }

    fn pace(&self) -> Pace {
        Pace::new(self.settings.in_flight_max, self.settings.resend_after)
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), TaskError> {
        let mut back_off = BACK_OFF_MIN;
        let mut rotation = Rotation::of(self.settings.tls.clone(), &self.vehicle_id).await;
        let mut window = Window::new(self.pace());
        loop {
            let (mut session, mut link) = self.open();
            session.window = window.after();
            let result = self.session(&mut session, &mut link, &mut rotation, &stop).await;
            drop(link);
            window = session.window.after();
            self.set_link(LinkState::Offline);
            let error = match result {
                Ok(End::Stopped) => return Ok(()),
                Ok(End::Rotated(transport)) => {
                    info!(vehicle_id = %self.vehicle_id, "certificates have changed, connecting anew");
                    self.transport = transport;
                    continue;
                }
                Err(error) => error,
            };
            if self.went_well(&session) {
                back_off = BACK_OFF_MIN;
            }
            if let Some(refusal) = error.refusal() {
                self.shared.note_refusal(Some(refusal));
            }
            let wait = jittered(back_off);
            let wait_ms = micros(wait) / 1000;
            warn!(vehicle_id = %self.vehicle_id, error = %chain(&error), wait_ms, "uplink lost, trying again");
            back_off = (back_off * 2).min(BACK_OFF_MAX);
            if self.wait_between(wait, &stop).await {
                return Ok(());
            }
            if let Some(transport) = rotation.changed(self.clock.as_ref()).await {
                self.transport = transport;
            }
        }
    }

    /// Waits, still minding the spool; `true` when stopped.
    async fn wait_between(&self, wait: Duration, stop: &CancellationToken) -> bool {
        let until = tokio::time::sleep(wait);
        tokio::pin!(until);
        loop {
            tokio::select! {
                () = stop.cancelled() => return true,
                () = &mut until => return false,
                () = tokio::time::sleep(TICK) => {
                    self.pulse();
                    if let Err(error) = self.maintain().await {
                        warn!(error = %chain(&error), "spool upkeep failed");
                    }
                }
            }
        }
    }

    /// Whether it makes sense to come back at once. A broker that lets the vehicle in only to
    /// throw it out again is not to be hurried.
    fn went_well(&self, session: &Session) -> bool {
        let held_us = self.clock.monotonic_us().saturating_sub(session.connected_us);
        session.window.has_progressed() || (session.is_connected && held_us >= micros(BACK_OFF_MAX))
    }

    fn topic(&self, channel: Channel) -> String {
        topic(&self.vehicle_id, channel)
    }

    fn set_link(&self, link: LinkState) {
        self.shared.counters.link.store(link as u8, Ordering::Relaxed);
    }

    /// Says that this task is alive.
    fn pulse(&self) {
        self.shared.counters.uplink_pulse_us.store(self.clock.monotonic_us(), Ordering::Relaxed);
    }
}

/// Why a broker did not accept a trial connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
    #[error("no connection")]
    Link(#[source] LinkError),
    #[error("no answer within {} s", PROBE_TIME_MAX.as_secs())]
    Silence,
}

/// Asks the broker whether it would accept this vehicle: by a client id of its own, as the
/// running agent's would be thrown out by a second connection under the same. No vehicle's id has a `_`,
/// so it is no other's either.
pub(crate) fn probe(settings: &UplinkSettings, vehicle_id: &VehicleId) -> Result<(), ProbeError> {
    let options = settings.options(&format!("{vehicle_id}_check"), Uplink::transport(settings)?);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ProbeError::Runtime)?;
    runtime.block_on(async {
        let (_sender, mut link) = link::open(options);
        let accepted = async {
            loop {
                match link.poll().await {
                    Ok(LinkEvent::Connected { .. }) => return Ok(()),
                    Ok(_) => {}
                    Err(error) => return Err(ProbeError::Link(error)),
                }
            }
        };
        tokio::time::timeout(PROBE_TIME_MAX, accepted).await.unwrap_or(Err(ProbeError::Silence))
    })
}

/// Between half of the wait and all of it.
fn jittered(wait: Duration) -> Duration {
    let random = uuid::Uuid::new_v4().as_bytes()[0];
    wait.mul_f64(0.5 + f64::from(random) / 510.0)
}

#[cfg(test)]
pub(crate) mod tests;
