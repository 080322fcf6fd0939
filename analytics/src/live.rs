//! Last known states that come faster than the lake: from ingest in this process, or from Redis.
//!
//! Both are a view. Redis is read whole at the connection and followed by its channel; while it
//! cannot be reached the states are those of the lake, as they are without it.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use redis::{AsyncCommands, Client, RedisError};
use service::{Tasks, config::Secret, logs::chain};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;
use wire::last_state::{CHANGES_CHANNEL, LastState, STATES_KEY};

use crate::{engine::Analytics, row::VehicleState};

const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Why states cannot be had from Redis.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The URL is none.
    #[error("the URL of Redis is not one like redis://host:6379/0")]
    Url(#[source] RedisError),
    /// It does not answer, or not as it should.
    #[error("cannot read last states from Redis")]
    Read(#[from] RedisError),
    /// It has closed the connection.
    #[error("Redis has ended the subscription")]
    Ended,
}

impl From<&LastState> for VehicleState {
    fn from(state: &LastState) -> Self {
        Self {
            vehicle_id: state.vehicle_id.clone(),
            ts: state.ts,
            received_at: state.received_at,
            latitude: state.number("latitude"),
            longitude: state.number("longitude"),
            heading_deg: state.number("heading_deg"),
            speed_kmh: state.number("speed_kmh"),
            ignition_on: state.number("ignition_on").map(|value| value != 0.0),
            engine_speed_rpm: state.number("engine_speed_rpm"),
            fuel_level_pct: state.number("fuel_level_pct"),
            soc_pct: state.number("soc_pct"),
            odometer_km: state.number("odometer_km"),
        }
    }
}

/// Keeps [`Analytics::fleet`] up to what ingest in this process has just received.
pub fn follow_ingest(analytics: &Analytics, mut changes: broadcast::Receiver<Arc<LastState>>, tasks: &Tasks) {
    let (analytics, stop) = (analytics.clone(), tasks.stop_token());
    tasks.spawn("last states of ingest", async move {
        loop {
            let change = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                change = changes.recv() => change,
            };
            match change {
                Ok(state) => analytics.note_states([VehicleState::from(state.as_ref())]),
                // What was missed the lake tells.
                Err(RecvError::Lagged(count)) => tracing::warn!(count, "last states missed"),
                Err(RecvError::Closed) => {
                    stop.cancelled().await;
                    return Ok(());
                }
            }
        }
    });
}

/// Keeps [`Analytics::fleet`] up to what ingest instances share by Redis.
pub fn follow_redis(analytics: &Analytics, url: &Secret, tasks: &Tasks) -> Result<(), LiveError> {
    service::tls::use_ring();
    let client = Client::open(url.expose()).map_err(LiveError::Url)?;
    let (analytics, stop) = (analytics.clone(), tasks.stop_token());
    tasks.spawn("last states of Redis", async move {
        let mut pause = RETRY_MIN;
        while !stop.is_cancelled() {
            let mut is_connected = false;
            match follow(&client, &analytics, &stop, &mut is_connected).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    if is_connected {
                        pause = RETRY_MIN;
                    }
                    if pause == RETRY_MIN {
                        tracing::warn!(error = %chain(&error), "no last states from Redis, trying again");
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(RETRY_MAX);
        }
        Ok(())
    });
    Ok(())
}

/// Until stopped, or the connection is lost.
async fn follow(
    client: &Client,
    analytics: &Analytics,
    stop: &CancellationToken,
    is_connected: &mut bool,
) -> Result<(), LiveError> {
    let following = async {
        // Subscribed first, so that no change falls between the two.
        let mut changes = client.get_async_pubsub().await?;
        changes.subscribe(CHANGES_CHANNEL).await?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let all: Vec<(String, Vec<u8>)> = connection.hgetall(STATES_KEY).await?;
        let read = |bytes: &[u8]| LastState::decode(bytes).ok().map(|state| VehicleState::from(&state));
        analytics.note_states(all.iter().filter_map(|(_, bytes)| read(bytes)));
        drop(connection);
        *is_connected = true;
        tracing::info!(count = all.len(), "following last states in Redis");
        let mut changes = changes.into_on_message();
        while let Some(change) = changes.next().await {
            analytics.note_states(read(change.get_payload_bytes()));
        }
        Err(LiveError::Ended)
    };
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        result = following => result,
    }
}
