//! Whether each part of a process is ready, for `/health` and `/ready`.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

/// The state of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Not yet serving; the text says what it waits for.
    Starting(String),
    /// Serving.
    Ready,
    /// Not serving; the text says why.
    Failing(String),
}

impl State {
    /// Its name, as `/ready` writes it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Starting(_) => "starting",
            Self::Ready => "ready",
            Self::Failing(_) => "failing",
        }
    }
}

/// The parts of a process and their states, shared.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<RwLock<BTreeMap<&'static str, State>>>);

impl Health {
    /// Sets the state of a part.
    pub fn set(&self, part: &'static str, state: State) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(part, state);
    }

    /// Every part and its state, by name.
    pub fn parts(&self) -> BTreeMap<&'static str, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether all parts are ready.
    pub fn is_ready(&self) -> bool {
        self.parts().values().all(|s| *s == State::Ready)
    }
}
