//! A mosquitto of the test's own, which remembers nothing when it is started again.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "shared by several test targets")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test is the message")]

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

pub struct Mosquitto {
    process: Child,
    address: SocketAddr,
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
        // It ends when somebody else has taken the port meanwhile.
        for _ in 0..20 {
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let folder = tempfile::tempdir().unwrap();
            let mut broker = Self { process: run(&folder, address), address, folder };
            if broker.is_listening() {
                return broker;
            }
        }
        panic!("mosquitto does not start");
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again on its port, its memory lost.
    pub fn start_again(&mut self) {
        self.process = run(&self.folder, self.address);
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

fn run(folder: &tempfile::TempDir, address: SocketAddr) -> Child {
    // Started by root it would take another user, who cannot read here.
    let config = format!(
        "listener {} {}\nallow_anonymous true\nuser root\npersistence false\n\
         max_queued_messages 20000\nlog_dest none\n",
        address.port(),
        address.ip()
    );
    let file = folder.path().join("mosquitto.conf");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(program());
    command.arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}
