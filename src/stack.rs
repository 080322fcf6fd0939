//! Ingest, analytics and api in one process, started and stopped in data order.

use std::{path::Path, sync::Arc, time::Duration};

use lake::{LakeLocation, S3Config};
use mqtt::Broker;
use serde::Deserialize;
use service::{
    SharedClock, Tasks,
    config::{ConfigError, Loaded},
};

/// How long each stage may take to stop.
const STOP_GRACE: Duration = Duration::from_secs(20);

/// `configs/roadlake.toml`: the configurations of the three, each as in its own file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Where the lake of all three is, a folder or `s3://bucket/prefix`; theirs when left out.
    pub(crate) lake: Option<LakeLocation>,
    /// How the bucket of such a lake is reached by all three; theirs when left out.
    pub(crate) s3: Option<S3Config>,
    pub(crate) ingest: ingest::Config,
    pub(crate) analytics: analytics::Config,
    pub(crate) api: api::Config,
}

impl Config {
    /// Puts the api's database below a folder unless it is a server's, and the lake unless it is in a bucket.
    pub(crate) fn set_data_dir(&mut self, data_dir: &Path) {
        if !matches!(self.api.database, Some(api::db::DatabaseLocation::Postgres(_))) {
            self.api.database = Some(data_dir.join("api.db").into());
        }
        if !matches!(self.lake, Some(LakeLocation::S3 { .. })) {
            self.lake = Some(LakeLocation::Folder(data_dir.join("lake")));
        }
        self.spread();
    }

    /// Gives the three what is named for all of them.
    pub(crate) fn spread(&mut self) {
        if let Some(lake) = &self.lake {
            self.ingest.lake.clone_from(lake);
            self.analytics.lake.clone_from(lake);
            self.api.lake.clone_from(lake);
        }
        if let Some(s3) = &self.s3 {
            self.ingest.s3.clone_from(s3);
            self.analytics.s3.clone_from(s3);
            self.api.s3.clone_from(s3);
        }
    }
}

/// The running three.
pub(crate) struct Stack {
    pub(crate) ingest: ingest::Handle,
    pub(crate) analytics: analytics::Analytics,
    /// Where Postgres' clients are answered, if they are.
    pub(crate) postgres: Option<std::net::SocketAddr>,
    /// Where clients of Arrow Flight SQL are answered, if they are.
    pub(crate) flight: Option<std::net::SocketAddr>,
    pub(crate) api: api::Handle,
    analytics_tasks: Tasks,
    api_tasks: Tasks,
}

impl Stack {
    /// Checks all of the configuration, then starts.
    pub(crate) async fn start(
        loaded: Loaded<Config>,
        tasks: &Tasks,
        clock: SharedClock,
    ) -> anyhow::Result<Self> {
        let Loaded { config, origin } = loaded;
        let part = |name: &str| format!("{origin} [{name}]");
        let settings = check(config, part)?;
        let started = Self::start_checked(settings, tasks, clock).await;
        if started.is_err() {
            // What did start is at work in the lake: it ends before the process does.
            if let Err(error) = tasks.stop(STOP_GRACE).await {
                tracing::warn!(error = %service::logs::chain(&error), "stop after a failed start");
            }
        }
        started
    }

    async fn start_checked(
        (ingest, analytics, mut api): (ingest::Settings, analytics::Settings, api::Settings),
        tasks: &Tasks,
        clock: SharedClock,
    ) -> anyhow::Result<Self> {
        let (analytics_tasks, api_tasks) = (tasks.group(), tasks.group());
        let ingest = ingest::start(ingest, tasks, clock.clone()).await?;
        let health = service::health::Health::default();
        if api.agents.broker.is_none() {
            let embedded = ingest.broker_address();
            api.agents.broker = embedded.map(|a| Broker::plain(a.ip().to_string(), a.port()));
        }
        let analytics::Handle { analytics, postgres, flight, .. } =
            analytics::start(analytics, &analytics_tasks, clock.clone(), &health).await?;
        analytics::live::follow_ingest(&analytics, ingest.last_state_changes(), &analytics_tasks);
        let api = api::start(api, &api_tasks, clock, Arc::new(analytics.clone())).await?;
        Ok(Self { ingest, analytics, postgres, flight, api, analytics_tasks, api_tasks })
    }

    /// Intake closes, what is buffered is committed, then the rest ends.
    pub(crate) async fn stop(&self) -> anyhow::Result<()> {
        self.ingest.stop(STOP_GRACE).await?;
        self.analytics_tasks.stop(STOP_GRACE).await?;
        self.api_tasks.stop(STOP_GRACE).await?;
        Ok(())
    }
}

fn check(
    config: Config,
    part: impl Fn(&str) -> String,
) -> Result<(ingest::Settings, analytics::Settings, api::Settings), ConfigError> {
    Ok((
        ingest::Settings::check(Loaded { config: config.ingest, origin: part("ingest") })?,
        analytics::Settings::check(&Loaded { config: config.analytics, origin: part("analytics") })?,
        api::Settings::check(Loaded { config: config.api, origin: part("api") })?,
    ))
}
