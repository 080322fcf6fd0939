//! Supervised tasks: one that ends early ends the process; stops go in order and within a grace.

use std::{
    error::Error,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// What a task may fail with.
pub type TaskError = Box<dyn Error + Send + Sync>;

/// How many failures may wait to be read.
const FAILURE_QUEUE_LEN: usize = 64;

/// Why a process stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// A task failed.
    #[error("task {name} failed")]
    Failed {
        /// Which.
        name: &'static str,
        /// Why.
        source: TaskError,
    },
    /// A task returned although nobody asked it to stop.
    #[error("task {0} ended early")]
    EndedEarly(&'static str),
    /// Tasks did not end within the grace.
    #[error("tasks did not stop in time: {0}")]
    HeldOn(String),
}

/// Tasks by name, each watched by its supervisor.
type Running = Vec<(&'static str, JoinHandle<()>)>;

/// The tasks of a process.
#[derive(Debug, Clone)]
pub struct Tasks {
    stop: CancellationToken,
    running: Arc<Mutex<Running>>,
    groups: Arc<Mutex<Vec<Tasks>>>,
    failed: mpsc::Sender<StopError>,
    failures: Arc<tokio::sync::Mutex<mpsc::Receiver<StopError>>>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// None yet.
    pub fn new() -> Self {
        let (failed, failures) = mpsc::channel(FAILURE_QUEUE_LEN);
        Self {
            stop: CancellationToken::new(),
            running: Arc::default(),
            groups: Arc::default(),
            failed,
            failures: Arc::new(tokio::sync::Mutex::new(failures)),
        }
    }

    /// Cancelled when the process should stop; tasks watch it.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// A group that can be stopped before the rest, for stops in data order; failures reach
    /// the parent, and a stop of the parent is a stop of the group.
    #[must_use]
    pub fn group(&self) -> Tasks {
        let group = Tasks {
            stop: self.stop.child_token(),
            running: Arc::default(),
            groups: Arc::default(),
            failed: self.failed.clone(),
            failures: Arc::clone(&self.failures),
        };
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).push(group.clone());
        group
    }

    /// Starts a task. It must run until the stop token is cancelled; ending before, well or
    /// not, is a failure of the process.
    #[allow(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = Result<(), TaskError>> + Send + 'static,
    {
        let (stop, failed) = (self.stop.clone(), self.failed.clone());
        // A task of its own, so that a panic inside becomes an error here.
        let inner = tokio::spawn(task);
        let supervised = tokio::spawn(async move {
            let failure = match inner.await {
                Ok(Ok(())) if stop.is_cancelled() => return,
                Ok(Ok(())) => StopError::EndedEarly(name),
                Ok(Err(source)) => StopError::Failed { name, source },
                Err(panic) => StopError::Failed { name, source: panic.into() },
            };
            // A full queue means the process is already ending.
            drop(failed.try_send(failure));
        });
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|(_, handle)| !handle.is_finished());
        running.push((name, supervised));
    }

    /// The first failure of any task; waits for one.
    pub async fn failure(&self) -> StopError {
        match self.failures.lock().await.recv().await {
            Some(failure) => failure,
            None => std::future::pending().await,
        }
    }

    /// Every task still known, those of groups below too.
    fn take_running(&self) -> Running {
        let mut running = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        for group in self.groups.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            running.extend(group.take_running());
        }
        running
    }

    /// Asks the tasks of this group and of those below to stop and waits for them.
    pub async fn stop(&self, grace: Duration) -> Result<(), StopError> {
        self.stop.cancel();
        let mut handles = self.take_running();
        let all = async {
            for (_, handle) in &mut handles {
                // The supervisor neither panics nor is aborted.
                drop(handle.await);
            }
        };
        if tokio::time::timeout(grace, all).await.is_ok() {
            return Ok(());
        }
        let held: Vec<&str> =
            handles.iter().filter(|(_, h)| !h.is_finished()).map(|(name, _)| *name).collect();
        Err(StopError::HeldOn(held.join(", ")))
    }

    /// Waits for SIGINT or SIGTERM, or the first failure.
    pub async fn until_signal(&self) -> Result<(), StopError> {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
            .map_err(|e| StopError::Failed { name: "signals", source: e.into() })?;
        tokio::select! {
            failure = self.failure() => Err(failure),
            _ = tokio::signal::ctrl_c() => Ok(()),
            _ = terminate.recv() => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_early_is_a_failure() {
        let tasks = Tasks::new();
        tasks.spawn("brief", async { Ok(()) });
        assert!(matches!(tasks.failure().await, StopError::EndedEarly("brief")));
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_by_name() {
        let tasks = Tasks::new();
        tasks.group().spawn("clumsy", async { panic!("oh") });
        assert!(matches!(tasks.failure().await, StopError::Failed { name: "clumsy", .. }));
    }

    #[tokio::test]
    async fn a_stop_waits_for_the_tasks_of_groups_too() {
        let tasks = Tasks::new();
        let (group, ended) = (tasks.group(), Arc::new(Mutex::new(false)));
        let (token, told) = (group.stop_token(), Arc::clone(&ended));
        group.spawn("below", async move {
            token.cancelled().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            *told.lock().unwrap() = true;
            Ok(())
        });
        tasks.stop(Duration::from_secs(5)).await.unwrap();
        assert!(*ended.lock().unwrap());
    }

    #[tokio::test]
    async fn a_stop_names_who_held_on() {
        let tasks = Tasks::new();
        let token = tasks.stop_token();
        tasks.spawn("good", async move {
            token.cancelled().await;
            Ok(())
        });
        tasks.spawn("deaf", std::future::pending());
        let error = tasks.stop(Duration::from_millis(50)).await.unwrap_err().to_string();
        assert!(error.contains("deaf") && !error.contains("good"), "{error}");
    }
}
