//! What the agent answers on loopback: four paths, by [`service::responder`].
//!
//! There is no authentication: the configuration lets it listen on loopback only.

use std::time::Duration;

use service::responder::Answer;

use crate::{agent::Handle, metrics};

/// Without progress for so long a part of the agent is not healthy.
const STALL_TIME: Duration = Duration::from_secs(30);

/// The answer to a GET of `path`.
pub(crate) async fn answer(path: String, handle: Handle) -> Answer {
    match path.as_str() {
        "/health" => match handle.stalled(STALL_TIME) {
            None => Answer::text("ok\n"),
            Some(part) => Answer::text(&format!("{part} makes no progress\n")).unavailable(),
        },
        // An agent is ready when it collects: without a broker it spools.
        "/ready" => Answer::text("ready\n"),
        "/metrics" => {
            let stats = blocking(move || handle.stats()).await;
            metrics::spool_now(stats.spool_bytes, stats.batches_in_spool, stats.spool_written_today_bytes);
            Answer::metrics()
        }
        "/v1/state" => {
            let state = blocking(move || handle.state()).await;
            match serde_json::to_string(&state) {
                Ok(body) => Answer::json(body),
                Err(error) => Answer::text(&format!("{error}\n")).failed(),
            }
        }
        _ => Answer::nothing_here("/metrics, /health, /ready and /v1/state"),
    }
}

/// Counts lock the spool, which a slow disk may hold.
async fn blocking<T: Send + Default + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    // It fails only when the runtime is going down.
    tokio::task::spawn_blocking(work).await.unwrap_or_default()
}
