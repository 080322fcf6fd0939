//! Places among the running queries. One user never has more than half of them while others may want
//! some, so that many queries of one do not hold up the others'.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places there are.
#[derive(Debug)]
pub(crate) struct Places {
    all: Arc<Semaphore>,
    of_one: usize,
    users: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A place; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _of_user: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
    // Keeps the user's count as long as one of its queries runs.
    _user: Arc<Semaphore>,
}

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(count)), of_one: of_one(count), users: Mutex::default() }
    }

    /// Waits for a place; `None` never comes while the engine lives.
    pub(super) async fn take(&self, who: &str) -> Option<Place> {
        let user = self.user(who);
        let of_user = Arc::clone(&user).acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Place { _of_user: of_user, _of_all: of_all, _user: user })
    }

    /// Places that nobody has.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.all.available_permits()
    }

    fn user(&self, who: &str) -> Arc<Semaphore> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(user) = users.get(who).and_then(Weak::upgrade) {
            return user;
        }
        users.retain(|_, user| user.strong_count() > 0);
        let user = Arc::new(Semaphore::new(self.of_one));
        users.insert(who.to_owned(), Arc::downgrade(&user));
        user
    }
}

/// More than half, so that two users can always both work; all of a single one.
fn of_one(count: usize) -> usize {
    count - count / 3
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn soon<T>(what: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(Duration::from_millis(20), what).await.ok()
    }

    #[tokio::test]
    async fn one_user_cannot_take_every_place() {
        let places = Places::new(4);
        let mut of_one = Vec::new();
        while let Some(place) = soon(places.take("grafana")).await {
            of_one.push(place);
        }
        assert_eq!(of_one.len(), 3);
        let other = soon(places.take("analyst")).await;
        assert!(other.is_some());
        assert!(soon(places.take("third")).await.is_none(), "all four are taken");
        of_one.clear();
        assert!(soon(places.take("third")).await.is_some());
        assert_eq!(of_one_of(&places), 2, "users without queries are forgotten");
    }

    fn of_one_of(places: &Places) -> usize {
        places.users.lock().unwrap().len()
    }

    #[tokio::test]
    async fn a_single_place_is_everybody_s() {
        let places = Places::new(1);
        let taken = soon(places.take("a")).await;
        assert!(taken.is_some() && soon(places.take("b")).await.is_none());
        drop(taken);
        assert!(soon(places.take("b")).await.is_some());
    }
}
