//! Cancelling what another connection runs, as Ctrl-C in psql asks.
//!
//! pgwire's own handler ends a statement while it is planned; rows that are under way are ended here.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use datafusion_postgres::pgwire::{
    api::{
        ClientInfo, ConnectionManager,
        cancel::{CancelHandler, DefaultCancelHandler},
    },
    messages::{cancel::CancelRequest, startup::SecretKey},
};

use super::bounds::Pending;

/// What names a connection to those who cancel.
type Key = (i32, Vec<u8>);

fn key(pid: i32, secret: &SecretKey) -> Key {
    (pid, secret.to_bytes().to_vec())
}

/// The connections there are.
pub(super) struct Cancels {
    planned: DefaultCancelHandler,
    running: Mutex<HashMap<Key, Weak<Pending>>>,
}

impl Cancels {
    pub(super) fn new(connections: Arc<ConnectionManager>) -> Self {
        Self { planned: DefaultCancelHandler::new(connections), running: Mutex::default() }
    }

    /// What this client runs can be cancelled from now on.
    pub(super) fn know<C: ClientInfo>(&self, client: &C, pending: &Arc<Pending>) {
        let (pid, secret) = client.pid_and_secret_key();
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, pending| pending.strong_count() > 0);
        running.insert(key(pid, &secret), Arc::downgrade(pending));
    }
}

#[async_trait::async_trait]
impl CancelHandler for Cancels {
    async fn on_cancel_request(&self, request: CancelRequest) {
        let named = key(request.pid, &request.secret_key);
        let pending = self.running.lock().unwrap_or_else(PoisonError::into_inner).get(&named).cloned();
        if let Some(pending) = pending.and_then(|pending| pending.upgrade()) {
            pending.cancel();
        }
        self.planned.on_cancel_request(request).await;
    }
}
