//! A mosquitto of the test's own, which remembers nothing when it is started again.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "shared by several test targets")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test is the message")]

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{sys::signal::Signal, unistd::Pid};

const CONFIG: &str = "mosquitto.conf";

pub struct Mosquitto {
    process: Child,
    address: SocketAddr,
    /// With its configuration.
    folder: tempfile::TempDir,
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian puts it where only root looks.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let found = folders.map(|f| f.join("mosquitto")).find(|p| p.is_file());
    found.expect("mosquitto is needed for this test; scripts/setup --tests installs it")
}

impl Mosquitto {
    pub fn start() -> Self {
        Self::start_with(|address, _| {
            // Started by root it would take another user, who cannot read here.
            format!(
                "listener {} {}\nallow_anonymous true\nuser root\npersistence false\n\
                 max_queued_messages 20000\nlog_dest none\n",
                address.port(),
                address.ip()
            )
        })
    }

    /// With a configuration, of its address and of a folder of its own for further files.
    pub fn start_with(config: impl Fn(SocketAddr, &Path) -> String) -> Self {
        // It ends when somebody else has taken the port meanwhile.
        for _ in 0..20 {
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(CONFIG), config(address, folder.path())).unwrap();
            let mut broker = Self { process: run(folder.path()), address, folder };
            if broker.is_listening() {
                return broker;
            }
        }
        panic!("mosquitto does not start");
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has it read its certificates and lists of revoked ones again.
    pub fn reload(&self) {
        let id = Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        nix::sys::signal::kill(id, Signal::SIGHUP).unwrap();
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again on its port, its memory lost.
    pub fn start_again(&mut self) {
        self.process = run(self.folder.path());
        assert!(self.is_listening(), "mosquitto does not start again");
    }

    fn is_listening(&mut self) -> bool {
        while self.process.try_wait().unwrap().is_none() {
            if TcpStream::connect(self.address).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

fn run(folder: &Path) -> Child {
    let mut command = Command::new(program());
    command.arg("-c").arg(folder.join(CONFIG)).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}
