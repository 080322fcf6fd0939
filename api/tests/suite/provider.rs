//! The identity provider that tests sign in at: a program of Node's, `api/tests/provider`. `scripts/setup --tests` installs
//! what it needs.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use serde_json::{Value, json};

use crate::client::send;

/// Where browsers reach the console, as the provider knows it; tests lead them to a server's port.
pub(crate) const CONSOLE: &str = "http://localhost:8080";
/// The audience of its access tokens that are JWTs.
pub(crate) const AUDIENCE: &str = "https://api.fleet.example";

/// A provider, ended when dropped, or with the process of the tests.
pub(crate) struct Provider {
    pub(crate) issuer: String,
    pub(crate) addr: SocketAddr,
    program: Child,
}

impl Provider {
    pub(crate) fn start(options: &[&str]) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/provider");
        assert!(
            folder.join("node_modules/oidc-provider").exists(),
            "the identity provider is not installed: run scripts/setup --tests"
        );
        let mut program = Command::new("node");
        program.current_dir(folder).arg("provider.mjs").args(options).arg("--with-parent");
        program.args(["--redirect-uri", &format!("{CONSOLE}/v1/sign-in/callback")]);
        program.args(["--sign-out-uri", &format!("{CONSOLE}/")]);
        let mut program =
            program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let issuer = lines.find_map(|line| line.unwrap().strip_prefix("ready ").map(str::to_owned)).unwrap();
        let addr = issuer.strip_prefix("http://").unwrap().parse().unwrap();
        Self { issuer, addr, program }
    }

    /// The one that tests share who do not have it misbehave.
    pub(crate) async fn shared() -> &'static Self {
        static SHARED: OnceLock<Provider> = OnceLock::new();
        tokio::task::spawn_blocking(|| SHARED.get_or_init(|| Self::start(&[]))).await.unwrap()
    }

    /// Tells it something, or asks how often it was asked.
    pub(crate) async fn told(&self, path: &str, body: Value) -> Value {
        send(self.addr, &format!("POST /test/{path}"), &[], Some(&body)).await.json()
    }

    /// How often something happened there.
    pub(crate) async fn count(&self, what: &str) -> u64 {
        self.told("counts", json!({})).await[what].as_u64().unwrap_or(0)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.program.stdin.take());
        let _ = self.program.wait();
    }
}
