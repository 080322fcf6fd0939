//! What every handler has: the database, the lake, the clock, the settings.

use std::sync::Arc;

use service::{SharedClock, health::Health};
use tokio_util::sync::CancellationToken;
use wire::time::Timestamp;

use crate::{
    billing::{gateway::Gateway, pdf::Printing},
    config::Settings,
    db::Db,
    lake_port::LakeReader,
    rate::Rates,
    sign_in::SignIn,
    users::{keys::Uses, secret::Hashing},
    vehicles::VehicleObserver,
};

/// Shared state of the handlers.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Parts>);

/// What it is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) db: Db,
    pub(crate) lake: Arc<dyn LakeReader>,
    pub(crate) clock: SharedClock,
    pub(crate) health: Health,
    pub(crate) stop: CancellationToken,
    pub(crate) hashing: Hashing,
    pub(crate) key_uses: Arc<Uses>,
    pub(crate) rates: Rates,
    pub(crate) attempts: Rates,
    pub(crate) openly: Rates,
    pub(crate) gateway: Arc<dyn Gateway>,
    pub(crate) vehicle_observer: Arc<dyn VehicleObserver>,
    pub(crate) sign_in: Option<Arc<SignIn>>,
    pub(crate) printing: Printing,
}

impl App {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn db(&self) -> &Db {
        &self.0.db
    }

    pub(crate) fn lake(&self) -> &Arc<dyn LakeReader> {
        &self.0.lake
    }

    pub(crate) fn gateway(&self) -> &dyn Gateway {
        self.0.gateway.as_ref()
    }

    pub(crate) fn vehicle_observer(&self) -> &dyn VehicleObserver {
        self.0.vehicle_observer.as_ref()
    }

    /// What people sign in with at their provider, if there is one.
    pub(crate) fn sign_in(&self) -> Option<&SignIn> {
        self.0.sign_in.as_deref()
    }

    /// Where documents are printed.
    pub(crate) fn printing(&self) -> &Printing {
        &self.0.printing
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        &self.0.clock
    }

    pub(crate) fn health(&self) -> &Health {
        &self.0.health
    }

    /// How often a secret may be tried for one key.
    pub(crate) fn attempts(&self) -> &Rates {
        &self.0.attempts
    }

    /// How often an address may ask where no key is asked for.
    pub(crate) fn openly(&self) -> &Rates {
        &self.0.openly
    }

    /// Where API keys are hashed.
    pub(crate) fn hashing(&self) -> &Hashing {
        &self.0.hashing
    }

    /// What is to be noted of keys.
    pub(crate) fn key_uses(&self) -> &Uses {
        &self.0.key_uses
    }

    pub(crate) fn rates(&self) -> &Rates {
        &self.0.rates
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.0.clock.now_us())
    }

    pub(crate) fn monotonic_us(&self) -> i64 {
        self.0.clock.monotonic_us()
    }

    /// Cancelled when the process stops; streams end then.
    pub(crate) fn stop_token(&self) -> CancellationToken {
        self.0.stop.clone()
    }
}
