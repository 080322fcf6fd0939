//! A unit's identity from its token to its end, with the real programs: the api issues, mosquitto lets in by
//! certificate, ingest takes signed batches alone, and what was revoked is refused.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/mosquitto.rs"]
mod mosquitto;
#[path = "support/pipeline.rs"]
mod pipeline;
#[path = "support/programs.rs"]
mod programs;

use std::{
    cell::Cell,
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use certificates::Certificates;
use ingest::config::SignaturePolicy;
use mosquitto::Mosquitto;
use pipeline::{REAL_CAR, http_get, http_post, root, within};
use programs::{Program, built};
use serde_json::{Value, json};
use service::{SharedClock, Tasks, clock::SystemClock, config::Loaded, health::Health};

/// The cloud: the api with an authority of its own, ingest, and mosquitto between vehicles and them.
struct Cloud {
    tasks: Tasks,
    ingest: ingest::Handle,
    api: SocketAddr,
    broker: Mosquitto,
    certificates: Certificates,
    data: tempfile::TempDir,
}

/// Runs a program to its end; what it said on its standard output and error.
fn run(mut command: Command) -> (bool, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

impl Cloud {
    async fn start() -> Self {
        let (certificates, data) = (Certificates::new(), tempfile::tempdir().unwrap());
        certificates.issue("broker", Some("broker"));
        let mut init = Command::new(env!("CARGO_BIN_EXE_roadlake"));
        init.args(["admin", "ca", "init", "--name", "Fleet", "--dir"]).arg(data.path().join("ca"));
        let (is_made, said) = run(init);
        assert!(is_made && said.contains("ca_key_file"), "{said}");

        let (tasks, clock) = (Tasks::new(), SystemClock::shared());
        let lake = data.path().join("lake");
        fs::create_dir(&lake).unwrap();
        let api = api(data.path(), &certificates, (&tasks, &clock)).await;
        let crl = data.path().join("crl.pem");
        until("the list of revoked certificates", || crl.is_file()).await;
        let (broker, inside) = broker(&certificates, data.path());
        let mut settings = certificates.ingest(data.path(), inside, |_| ());
        settings.signatures = SignaturePolicy::Required;
        settings.device_keys_dir = Some(data.path().join("keys"));
        settings.flush_interval = Duration::from_millis(200);
        let ingest = ingest::start(settings, &tasks, clock).await.unwrap();
        within("ingest is subscribed", ingest.connected()).await;
        Self { tasks, ingest, api, broker, certificates, data }
    }

    async fn get(&self, path: &str) -> Value {
        let (address, path) = (self.api, path.to_owned());
        let (status, body) = tokio::task::spawn_blocking(move || http_get(address, &path)).await.unwrap();
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let (address, path) = (self.api, path.to_owned());
        let (status, body) =
            tokio::task::spawn_blocking(move || http_post(address, &path, &body)).await.unwrap();
        assert!((200..300).contains(&status), "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The agent's configuration, which names files that are not there yet.
    fn configure(&self) {
        let text = |path: &Path| format!("{:?}", path.display().to_string());
        let (data, repository) =
            (|name: &str| text(&self.data.path().join(name)), |name: &str| text(&root().join(name)));
        let config = format!(
            "version = 1\nvehicle_id = {REAL_CAR:?}\nspool_folder = {}\n\
             dbc_files = [{}, {}]\nmap_files = [{}]\n\
             [source]\nkind = \"replay\"\nlog_file = {}\nspeed = \"flat\"\n\
             [uplink]\nbroker = \"{}\"\nresend_after = \"1s\"\nca_file = {}\ncert_file = {}\nkey_file = {}\n\
             signing_key_file = {}\n",
            data("spool"),
            repository("tests/data/css-car-obd-gnss/OBD-v4.4.dbc"),
            repository("tests/data/css-car-obd-gnss/canmod-gps.dbc"),
            repository("configs/maps/css-car-obd-gnss.toml"),
            repository("tests/data/css-car-obd-gnss/first60s.asc.gz"),
            self.broker.address(),
            data("certs/ca.pem"),
            data("certs/vehicle.pem"),
            data("certs/vehicle-key.pem"),
            data("certs/signing.key"),
        );
        fs::create_dir(self.data.path().join("certs")).unwrap();
        fs::write(self.data.path().join("agent.toml"), config).unwrap();
    }

    /// A command of the agent's, by its configuration.
    fn agent(&self, what: &str) -> Command {
        let mut command = Command::new(built("edge-agent"));
        command.arg(what).arg("--config").arg(self.data.path().join("agent.toml"));
        command.env("ROADLAKE_LOG", "warn");
        command
    }

    async fn tried(&self, what: &str, arguments: &[&str]) -> (bool, String) {
        let mut command = self.agent(what);
        command.args(arguments);
        tokio::task::spawn_blocking(move || run(command)).await.unwrap()
    }

    /// Has the unit enrol by a new token.
    async fn enrol(&self, device: &str) -> String {
        let made = self.post(&format!("/v1/devices/{device}/enrolment-tokens"), json!({})).await;
        let token = self.data.path().join("token");
        fs::write(&token, made["token"].as_str().unwrap()).unwrap();
        let api = format!("http://{}", self.api);
        let (is_done, said) =
            self.tried("enrol", &["--api", &api, "--token-file", token.to_str().unwrap()]).await;
        assert!(is_done, "{said}");
        said
    }

    /// Whether the broker takes the unit.
    async fn is_taken(&self) -> bool {
        let (_, said) = self.tried("check", &[]).await;
        assert!(said.contains("broker tcp"), "{said}");
        let line = said.lines().find(|line| line.contains("broker mqtt")).unwrap();
        line.contains("  accepted over TLS")
    }

    fn stored(&self) -> u64 {
        self.ingest.stats().samples_stored
    }
}

async fn api(data: &Path, certificates: &Certificates, (tasks, clock): (&Tasks, &SharedClock)) -> SocketAddr {
    let mut config = api::Config { listen: "127.0.0.1:0".to_owned(), ..api::Config::default() };
    config.database = Some(data.join("api.db").into());
    config.devices = api::config::DevicesConfig {
        ca_cert_file: Some(data.join("ca/ca.pem")),
        ca_key_file: Some(data.join("ca/ca-key.pem")),
        broker_address: Some("broker.example.org:8883".to_owned()),
        broker_ca_file: Some(certificates.path("ca.pem")),
        crl_file: Some(data.join("crl.pem")),
        signing_keys_dir: Some(data.join("keys")),
        ..config.devices
    };
    config.follow_interval = service::config::DurationText(Duration::from_millis(50));
    let settings = api::Settings::check(Loaded { config, origin: "test".to_owned() }).unwrap();
    let lake = certificates.ingest(data, ([127, 0, 0, 1], 9).into(), |_| ()).lake;
    let reading = analytics::Settings::for_lake(lake);
    let reader = analytics::start(reading, tasks, clock.clone(), &Health::default()).await.unwrap();
    api::start(settings, tasks, clock.clone(), Arc::new(reader.analytics)).await.unwrap().addr
}

/// mosquitto by the sample files, which takes vehicles of the api's authority that are not on its list; and where the
/// cloud's side connects.
fn broker(certificates: &Certificates, data: &Path) -> (Mosquitto, SocketAddr) {
    let sample = |name: &str| fs::read_to_string(root().join("configs/brokers").join(name)).unwrap();
    fs::write(certificates.path("mosquitto.acl"), sample("mosquitto.acl")).unwrap();
    let folder = certificates.folder().to_string_lossy().into_owned();
    let inside = Cell::new(None);
    let broker = Mosquitto::start_with(|address, _| {
        let own = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        inside.set(Some(own));
        let (ca, crl) = (data.join("ca/ca.pem"), data.join("crl.pem"));
        let mut config = sample("mosquitto.conf");
        for (sampled, ours) in [
            ("listener 8883".to_owned(), format!("listener {} {}", address.port(), address.ip())),
            ("listener 8884 127.0.0.1".to_owned(), format!("listener {} {}", own.port(), own.ip())),
            // The vehicles' listener is the first.
            ("cafile /etc/roadlake/broker/ca.pem".to_owned(), format!("cafile {}", ca.display())),
            ("#crlfile /etc/roadlake/broker/crl.pem".to_owned(), format!("crlfile {}", crl.display())),
        ] {
            assert!(config.contains(&sampled), "{sampled}");
            config = config.replacen(&sampled, &ours, 1);
        }
        let config = config.replace("/etc/roadlake/broker", &folder);
        // Started by root it would take another user, who cannot read here.
        format!("user root\nlog_dest none\n{config}")
    });
    (broker, inside.get().unwrap())
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    within(what, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_is_let_in_by_its_token_until_it_is_revoked_and_again_by_another() {
    let cloud = Cloud::start().await;
    cloud.configure();
    cloud.post("/v1/vehicles", json!({ "vehicle_id": REAL_CAR })).await;
    let new = json!({ "serial_number": "TCU-1", "vehicle_id": REAL_CAR });
    let device = cloud.post("/v1/devices", new).await["id"].as_str().unwrap().to_owned();

    let said = cloud.enrol(&device).await;
    assert!(said.contains(&format!("{REAL_CAR}: enrolled, good until")), "{said}");
    assert!(said.contains("set uplink.broker = \"broker.example.org:8883\""), "{said}");
    assert_eq!(
        fs::read(cloud.data.path().join("certs/ca.pem")).unwrap(),
        fs::read(cloud.certificates.path("ca.pem")).unwrap()
    );
    let key = cloud.data.path().join(format!("keys/{REAL_CAR}.pub"));
    until("the key that proves its batches", || key.is_file()).await;
    assert!(cloud.is_taken().await);
    let (is_done, said) = cloud.tried("run", &["--exit-when-done"]).await;
    assert!(is_done, "{said}");
    let stored = cloud.stored();
    assert!(stored > 500, "{stored}");
    assert_eq!(cloud.ingest.stats().samples_quarantined, 0);

    // Early it does nothing; by force the next certificate comes, which the broker takes like the one before.
    let (is_done, said) = cloud.tried("renew", &[]).await;
    assert!(is_done && said.contains("to be renewed from"), "{said}");
    let (is_done, said) = cloud.tried("renew", &["--force"]).await;
    assert!(is_done && said.contains(&format!("{REAL_CAR}: renewed")), "{said}");
    assert!(cloud.is_taken().await);

    // Stolen: all its certificates are revoked, and the broker reads that when it is told to.
    let crl = fs::read_to_string(cloud.data.path().join("crl.pem")).unwrap();
    let page = cloud.get(&format!("/v1/certificates?device_id={device}&status=active")).await;
    let certificates = page["data"].as_array().unwrap();
    assert_eq!(certificates.len(), 2);
    for certificate in certificates {
        let path = format!("/v1/certificates/{}/revoke", certificate["id"].as_str().unwrap());
        cloud.post(&path, json!({ "reason": "key_compromise" })).await;
    }
    // The list may have been made anew between the two.
    until("both are on the list", || {
        let now = fs::read_to_string(cloud.data.path().join("crl.pem")).unwrap();
        now != crl && revoked_count(&now) == 2
    })
    .await;
    within("the broker refuses it", async {
        // Of two lists of one second it takes the first it read; it looks at a second when that is past.
        while cloud.is_taken().await {
            cloud.broker.reload();
        }
    })
    .await;
    let (is_done, said) = cloud.tried("renew", &["--force"]).await;
    assert!(!is_done && said.contains("revoked"), "{said}");

    // It collects, and nobody takes it, until a person lets it in again: the running agent takes the new files up.
    let mut command = cloud.agent("run");
    command.arg("--exit-when-done").args(["--replay"]);
    command.arg(root().join("tests/data/css-car-obd-gnss/00000164.candump.log.gz"));
    let mut agent = Program::start("agent", cloud.data.path(), command);
    within("the agent is refused", async {
        while !agent.said().to_lowercase().contains("certificate") {
            agent.assert_running();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(cloud.stored(), stored);
    cloud.enrol(&device).await;
    let (code, said) = agent.ended().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(cloud.stored() > stored, "{stored}");
    assert_eq!(cloud.ingest.stats().samples_quarantined, 0);
    cloud.ingest.stop(Duration::from_secs(30)).await.unwrap();
    cloud.tasks.stop(Duration::from_secs(30)).await.unwrap();
}

/// How many certificates are on a list, as `openssl` reads it.
fn revoked_count(pem: &str) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crl.pem");
    fs::write(&path, pem).unwrap();
    let mut command = Command::new("openssl");
    command.args(["crl", "-noout", "-text", "-in"]).arg(&path);
    run(command).1.matches("Serial Number:").count()
}
