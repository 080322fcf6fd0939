//! An S3 server for tests: moto's, in a process of its own on a free port, in memory. It answers
//! 412 to a second `If-None-Match: *` (lake/tests/readers/s3_server.py sees to it).
#![allow(dead_code, missing_docs, unreachable_pub, reason = "shared by several test targets")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test is the message")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use lake::{LakeLocation, LakeSettings, S3Config};

pub const BUCKET: &str = "lake";

pub struct S3Server {
    child: Child,
    address: SocketAddr,
    keys: tempfile::TempDir,
}

fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_root = package.join("Cargo.lock").exists();
    if is_root { package.to_owned() } else { package.join("..") }
}

/// The Python that `scripts/setup --tests` made.
pub fn python() -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    let python = target.join("lake-readers/venv/bin/python");
    assert!(
        python.exists(),
        "Python packages of the tests are not there ({}): run scripts/setup --tests once, with the network",
        python.display()
    );
    python
}

impl S3Server {
    /// Starts one with an empty bucket.
    pub fn start() -> Self {
        let mut child = Command::new(python())
            .arg(workspace().join("lake/tests/readers/s3_server.py"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let port = port.trim().parse().expect("the server ended; its own message is above");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let keys = tempfile::tempdir().unwrap();
        std::fs::write(keys.path().join("id"), "AKIDTEST\n").unwrap();
        std::fs::write(keys.path().join("secret"), "a-secret-of-tests\n").unwrap();
        let server = Self { child, address, keys };
        server.put(&format!("/{BUCKET}"), b"");
        server
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A lake at a prefix, reached at this server.
    pub fn lake(&self, prefix: &str) -> LakeSettings {
        LakeSettings::check(Self::location(prefix), &self.config(self.address)).unwrap()
    }

    /// The same through something that goes wrong in between, which is given up soon.
    pub fn lake_by(&self, address: SocketAddr, prefix: &str) -> LakeSettings {
        let config = S3Config { request_timeout: "2s".to_owned(), ..self.config(address) };
        LakeSettings::check(Self::location(prefix), &config).unwrap()
    }

    pub fn location(prefix: &str) -> LakeLocation {
        format!("s3://{BUCKET}/{prefix}").parse().unwrap()
    }

    /// `[s3]` for a server that is there.
    pub fn config(&self, address: SocketAddr) -> S3Config {
        S3Config {
            endpoint: Some(format!("http://{address}")),
            region: Some("us-east-1".to_owned()),
            allow_http: true,
            access_key_id_file: Some(self.keys.path().join("id")),
            secret_access_key_file: Some(self.keys.path().join("secret")),
            request_timeout: "20s".to_owned(),
            retries_max: 1,
            ..S3Config::default()
        }
    }

    /// Copies a folder below a prefix.
    pub fn upload(&self, folder: &Path, prefix: &str) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let key = format!("{prefix}/{}", path.file_name().unwrap().to_str().unwrap());
            if path.is_dir() {
                self.upload(&path, &key);
            } else {
                self.put(&format!("/{BUCKET}/{key}"), &std::fs::read(&path).unwrap());
            }
        }
    }

    /// An unsigned put.
    fn put(&self, target: &str, body: &[u8]) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let head = format!(
            "PUT {target} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
