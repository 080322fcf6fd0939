//! Last states in Redis, for processes that show them.
//!
//! One hash has each vehicle's state, another its event time, and a channel tells each change. A
//! script sets all three at once and only when the state is newer, so two ingest instances that
//! both have a vehicle for a moment cannot set it back. While Redis cannot be reached states are
//! shed and counted; what is newest of each vehicle is set again when it is back.

use std::{collections::HashMap, sync::Arc, time::Duration};

use redis::{AsyncCommands, Client, RedisError, Script, aio::MultiplexedConnection};
use service::{config::Secret, logs::chain, tasks::TaskError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wire::{
    ids::VehicleId,
    last_state::{CHANGES_CHANNEL, LastState, STATES_KEY, TIMES_KEY},
};

use crate::metrics;

/// Changes that wait for Redis.
pub const QUEUE_LEN_MAX: usize = 65_536;
/// States of one round trip.
const AT_ONCE_MAX: usize = 512;
/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// `KEYS`: times, states, channel; `ARGV`: vehicle, event time in microseconds, state.
const SET_IF_NEWER: &str = "
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known and tonumber(known) >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
redis.call('PUBLISH', KEYS[3], ARGV[3])
return 1";

/// Why Redis cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SharedStateError {
    /// The URL is none.
    #[error("the URL of Redis is not one like redis://host:6379/0")]
    Url(#[source] RedisError),
    /// It does not answer, or not as it should.
    #[error("cannot use Redis")]
    Use(#[from] RedisError),
    /// It does not answer in time.
    #[error("Redis did not answer within {} s", ANSWER_MAX.as_secs())]
    Silent,
}

/// Redis, where last states are shared.
#[derive(Debug, Clone)]
pub struct SharedStates {
    client: Client,
}

impl SharedStates {
    /// At a URL; not yet connected.
    pub fn new(url: &Secret) -> Result<Self, SharedStateError> {
        service::tls::use_ring();
        Client::open(url.expose()).map(|client| Self { client }).map_err(SharedStateError::Url)
    }

    async fn connect(&self) -> Result<MultiplexedConnection, SharedStateError> {
        let connecting = self.client.get_multiplexed_async_connection();
        Ok(tokio::time::timeout(ANSWER_MAX, connecting).await.map_err(|_| SharedStateError::Silent)??)
    }

    /// Every state there is; those that this release cannot read are left out.
    pub async fn load(&self) -> Result<Vec<LastState>, SharedStateError> {
        let mut connection = self.connect().await?;
        let loading = connection.hgetall::<_, HashMap<String, Vec<u8>>>(STATES_KEY);
        let all = tokio::time::timeout(ANSWER_MAX, loading).await.map_err(|_| SharedStateError::Silent)??;
        Ok(all.into_values().filter_map(|bytes| LastState::decode(&bytes).ok()).collect())
    }

    /// Sets states until stopped.
    pub async fn run(
        self,
        mut queue: mpsc::Receiver<Arc<LastState>>,
        stop: CancellationToken,
    ) -> Result<(), TaskError> {
        // The newest of each vehicle that is not set yet.
        let mut waiting: HashMap<VehicleId, Arc<LastState>> = HashMap::new();
        let mut connection = None;
        let mut pause = RETRY_MIN;
        loop {
            if waiting.is_empty() {
                let next = tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    next = queue.recv() => next,
                };
                let Some(state) = next else { return Ok(()) };
                put(&mut waiting, state);
            }
            while waiting.len() < AT_ONCE_MAX
                && let Ok(state) = queue.try_recv()
            {
                put(&mut waiting, state);
            }
            match self.set(&mut connection, &waiting).await {
                Ok(()) => {
                    if pause > RETRY_MIN {
                        tracing::info!("Redis is back");
                    }
                    waiting.clear();
                    pause = RETRY_MIN;
                }
                Err(error) => {
                    connection = None;
                    if pause == RETRY_MIN {
                        tracing::warn!(error = %chain(&error), "last states cannot be shared, trying again");
                    }
                    tokio::select! {
                        () = stop.cancelled() => return Ok(()),
                        () = tokio::time::sleep(pause) => {}
                    }
                    pause = (pause * 2).min(RETRY_MAX);
                }
            }
        }
    }

    async fn set(
        &self,
        connection: &mut Option<MultiplexedConnection>,
        states: &HashMap<VehicleId, Arc<LastState>>,
    ) -> Result<(), SharedStateError> {
        let connection = match connection {
            Some(connection) => connection,
            None => connection.insert(self.connect().await?),
        };
        let script = Script::new(SET_IF_NEWER);
        let mut pipeline = redis::pipe();
        pipeline.load_script(&script).ignore();
        for state in states.values() {
            let mut call = script.prepare_invoke();
            call.key(TIMES_KEY).key(STATES_KEY).key(CHANGES_CHANNEL);
            call.arg(state.vehicle_id.as_str()).arg(state.ts.0).arg(state.encode());
            pipeline.invoke_script(&call).ignore();
        }
        let setting = pipeline.query_async::<()>(connection);
        tokio::time::timeout(ANSWER_MAX, setting).await.map_err(|_| SharedStateError::Silent)??;
        metrics::last_states_shared(states.len() as u64);
        Ok(())
    }
}

fn put(waiting: &mut HashMap<VehicleId, Arc<LastState>>, state: Arc<LastState>) {
    waiting.insert(state.vehicle_id.clone(), state);
}
