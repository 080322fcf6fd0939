//! Places among the running queries. A named user has at most two thirds of them, so that many queries of
//! one, such as a board of Grafana, do not hold up everybody's.

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
    // It keeps the user's count as long as one of its queries runs.
    _of_user: Option<OwnedSemaphorePermit>,
    _of_all: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(count)), of_one: of_one(count), users: Mutex::default() }
    }

    /// Waits for a place, of a user's share where one is named; `None` never comes while the engine lives.
    pub(super) async fn take(&self, who: Option<&str>) -> Option<Place> {
        let of_user = match who {
            Some(who) => Some(self.user(who).acquire_owned().await.ok()?),
            None => None,
        };
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Place { _of_user: of_user, _of_all: of_all })
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

/// A third is left for others; a single place is everybody's.
fn of_one(count: usize) -> usize {
    (count - count.div_ceil(3)).max(1)
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
        while let Some(place) = soon(places.take(Some("grafana"))).await {
            of_one.push(place);
        }
        assert_eq!(of_one.len(), 2);
        let others = (soon(places.take(Some("analyst"))).await, soon(places.take(None)).await);
        assert!(others.0.is_some() && others.1.is_some());
        assert!(soon(places.take(Some("third"))).await.is_none(), "all four are taken");
        of_one.clear();
        assert!(soon(places.take(Some("third"))).await.is_some());
        assert_eq!(places.users.lock().unwrap().len(), 2, "users without queries are forgotten");
    }

    #[tokio::test]
    async fn the_api_may_have_all_and_a_single_place_is_everybody_s() {
        let places = Places::new(3);
        let taken =
            [soon(places.take(None)).await, soon(places.take(None)).await, soon(places.take(None)).await];
        assert!(taken.iter().all(Option::is_some));
        let places = Places::new(1);
        let taken = soon(places.take(Some("a"))).await;
        assert!(taken.is_some() && soon(places.take(Some("b"))).await.is_none());
        drop(taken);
        assert!(soon(places.take(Some("b"))).await.is_some());
    }
}
