//! An api on a free port over a fake lake, with a clock that tests move.

use std::{marker::PhantomData, sync::Arc, time::Duration};

use api::{
    Handle, Settings,
    config::{Config, DevicesConfig},
    db::DatabaseLocation,
};
use serde_json::{Value, json};
use service::{
    Tasks,
    clock::ManualClock,
    config::{DurationText, Loaded},
};
use wire::time::Timestamp;

use crate::{
    client::{Answer, send},
    fake_lake::FakeLake,
    place::{Engine, Place},
};

/// Where the clock stands at the start.
pub(crate) const NOW: &str = "2026-11-23T12:00:00Z";

pub(crate) struct ServerOn<E> {
    pub(crate) handle: Handle,
    pub(crate) lake: Arc<FakeLake>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) tasks: Tasks,
    pub(crate) place: Place,
    /// Sent with every request that names no other.
    pub(crate) key: Option<String>,
    /// With what it signs, for another process of it; none where it does not.
    pub(crate) devices: Option<DevicesConfig>,
    /// The authority's files, where they are the server's own.
    pub(crate) files: Option<tempfile::TempDir>,
    engine: PhantomData<E>,
}

pub(crate) fn config(database: &DatabaseLocation) -> Config {
    Config {
        listen: "127.0.0.1:0".to_owned(),
        database: Some(database.clone()),
        follow_interval: DurationText(Duration::from_millis(2)),
        ..Config::default()
    }
}

pub(crate) fn settings(config: Config) -> Settings {
    Settings::check(Loaded { config, origin: "test".to_owned() }).unwrap()
}

impl<E: Engine> ServerOn<E> {
    pub(crate) async fn start() -> Self {
        Self::start_with(|config| config).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(Config) -> Config) -> Self {
        Self::start_at(E::new_place().await, change).await
    }

    /// On a database that is there, maybe another server's too.
    pub(crate) async fn start_at(place: Place, change: impl FnOnce(Config) -> Config) -> Self {
        let config = change(config(&place.location));
        let devices = config.devices.ca_cert_file.is_some().then(|| config.devices.clone());
        let settings = settings(config);
        let lake = Arc::new(FakeLake::default());
        let clock = ManualClock::at(Timestamp::parse(NOW).unwrap().0);
        let tasks = Tasks::new();
        let handle = api::start(settings, &tasks, clock.clone(), lake.clone()).await.unwrap();
        Self { handle, lake, clock, tasks, place, key: None, devices, files: None, engine: PhantomData }
    }

    pub(crate) async fn send(&self, what: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        let bearer = self.key.as_ref().map(|key| format!("Bearer {key}"));
        let mut headers = headers.to_vec();
        if let Some(bearer) = &bearer
            && !headers.iter().any(|(name, _)| *name == "authorization")
        {
            headers.push(("authorization", bearer));
        }
        send(self.handle.addr, what, &headers, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path}"), &[], None).await
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    /// With another key.
    pub(crate) async fn by(&self, key: &str, what: &str, body: Option<&Value>) -> Answer {
        self.send(what, &[("authorization", &format!("Bearer {key}"))], body).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(&format!("POST {path}"), &[], Some(&body)).await
    }

    /// What a POST that does what it should gives.
    pub(crate) async fn posted(&self, path: &str, body: Value) -> Value {
        let answer = self.post(path, body).await;
        assert!([200, 201].contains(&answer.status), "{path}: {}", answer.body);
        answer.json()
    }

    /// Changes what is at a version.
    pub(crate) async fn patch(&self, path: &str, version: i64, body: Value) -> Answer {
        let tag = format!("\"{version}\"");
        self.send(&format!("PATCH {path}"), &[("if-match", &tag)], Some(&body)).await
    }

    /// Asks until the answer is as wanted.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let asking = async {
            loop {
                let answer = self.json(path).await;
                if wanted(&answer) {
                    return answer;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), asking).await.expect("the answer in 30 s")
    }

    /// An organization that pays by a simple tariff, and its vehicle; its id.
    pub(crate) async fn customer(&self, vehicle: &str) -> String {
        let new = json!({ "name": "Acme", "currency": "EUR", "time_zone": "Europe/Copenhagen" });
        let organization = self.post("/v1/organizations", new).await.json();
        let id = organization["id"].as_str().unwrap().to_owned();
        let tariff = self.post("/v1/tariffs", tariff()).await.json();
        let choice = json!({ "tariff_id": tariff["id"] });
        let put = self.send(&format!("PUT /v1/organizations/{id}/tariff"), &[], Some(&choice)).await;
        assert_eq!(put.status, 200, "{}", put.body);
        let made = self.post("/v1/vehicles", json!({ "vehicle_id": vehicle, "organization_id": id })).await;
        assert_eq!(made.status, 201, "{}", made.body);
        id
    }
}

/// Flat 1.00, 0.29 a km, 4.80 an hour, tax 25 %.
pub(crate) fn tariff() -> Value {
    json!({
        "name": "Pay per use", "currency": "EUR", "tax_percent": "25",
        "elements": [{ "components": [
            { "type": "FLAT", "price": "1.00" }, { "type": "DISTANCE", "price": "0.29" },
            { "type": "TIME", "price": "4.80" }, { "type": "IDLE", "price": "6.00" }] }],
    })
}
