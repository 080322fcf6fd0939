//! What comes between two connections.

use std::time::Duration;

use rumqttc::ConnectionError;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// How a connection ended.
#[derive(Debug)]
pub enum End {
    /// It is not needed any more.
    Closed,
    /// The network's or the broker's fault.
    Lost(ConnectionError),
    /// The broker did not grant subscriptions: a cluster that chooses a leader, or a lack of rights.
    /// Without all of them some vehicles would never be heard.
    Refused {
        /// How many it did not grant.
        refused: usize,
        /// Of so many.
        asked: usize,
    },
}

/// Whether a connection is good, and how long to wait for the next one.
#[derive(Debug)]
pub struct Line {
    what: &'static str,
    is_good: watch::Sender<bool>,
    pause: Duration,
}

impl Line {
    /// Of a connection for `what`; each change is sent.
    pub fn new(what: &'static str, is_good: watch::Sender<bool>) -> Self {
        Self { what, is_good, pause: RETRY_MIN }
    }

    /// It does what it is for.
    pub fn is_good(&mut self) {
        self.pause = RETRY_MIN;
        self.is_good.send_replace(true);
    }

    /// It does not any more.
    pub fn is_over(&self) {
        self.is_good.send_replace(false);
    }

    /// It ended; waits before the next. `false` when there is to be none.
    pub async fn again(&mut self, end: &End, stop: &CancellationToken) -> bool {
        let (what, pause_ms) = (self.what, self.pause.as_millis());
        match end {
            End::Closed => return false,
            End::Lost(error) => {
                tracing::warn!(what, error = %service::logs::chain(error), pause_ms, "broker connection lost");
            }
            End::Refused { refused, asked } => {
                tracing::warn!(
                    what,
                    refused,
                    asked,
                    pause_ms,
                    "the broker refused subscriptions, connecting anew"
                );
            }
        }
        tokio::select! {
            () = stop.cancelled() => return false,
            () = tokio::time::sleep(self.pause) => {}
        }
        self.pause = (self.pause * 2).min(RETRY_MAX);
        true
    }
}
