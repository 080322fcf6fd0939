//! Something between an S3 client and its server that goes wrong on command. One request a
//! connection; faults count, so that a test knows that they happened.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "shared by several test targets")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test is the message")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// What becomes of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// They pass.
    Pass,
    /// 503 without a body.
    Unavailable,
    /// 503 as S3 says that it is asked too often.
    SlowDown,
    /// Nothing is answered, until the fault is another one.
    Stall,
    /// Answers come at so many bytes a second.
    Slow(u64),
    /// The connection is reset before anything is read.
    Reset,
    /// Puts of log entries reach the server, but their answers are lost.
    LoseAnswers,
    /// Puts of log entries look failed at once, and reach the server so much later.
    Late(Duration),
    /// Puts reach the server as if they had no condition.
    Unconditional,
}

pub struct S3Proxy {
    address: SocketAddr,
    fault: watch::Sender<Fault>,
    hits: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl S3Proxy {
    /// Listens on a free port, before a server.
    #[allow(clippy::disallowed_methods, reason = "a test has no supervisor")]
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (fault, seen) = watch::channel(Fault::Pass);
        let hits = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&hits);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let link = Link { server, fault: seen.clone(), hits: Arc::clone(&counted) };
                // A connection that breaks is what this is for.
                tokio::spawn(async move { drop(link.serve(stream).await) });
            }
        });
        Self { address, fault, hits, task }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// Requests that a fault struck.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Waits until a fault has struck so many requests more than `since`.
    pub async fn struck(&self, since: u64, count: u64) {
        let enough = async {
            while self.hits() < since + count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), enough).await.expect("no request came");
    }
}

impl Drop for S3Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Link {
    server: SocketAddr,
    fault: watch::Receiver<Fault>,
    hits: Arc<AtomicU64>,
}

struct Request {
    head: String,
    body: Vec<u8>,
}

impl Request {
    async fn read(stream: &mut TcpStream) -> std::io::Result<Self> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        };
        let body = bytes.split_off(end);
        let mut request = Self { head: String::from_utf8(bytes).unwrap(), body };
        let length = request.header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
        assert!(request.header("transfer-encoding").is_none(), "{}", request.head);
        while request.body.len() < length {
            if stream.read_buf(&mut request.body).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(request)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    fn is_commit(&self) -> bool {
        let target = self.head.split(' ').nth(1).unwrap_or("");
        self.head.starts_with("PUT ") && target.contains("/_delta_log/") && target.ends_with(".json")
    }

    fn drop_header(&mut self, name: &str) {
        let is_kept = |line: &&str| line.split(':').next().is_none_or(|key| !key.eq_ignore_ascii_case(name));
        self.head = self.head.trim_end().split("\r\n").filter(is_kept).collect::<Vec<_>>().join("\r\n");
        self.head.push_str("\r\n\r\n");
    }
}

impl Link {
    async fn serve(mut self, mut stream: TcpStream) -> std::io::Result<()> {
        if *self.fault.borrow() == Fault::Reset {
            self.hit();
            // Closed with bytes unread, the kernel answers with a reset.
            stream.readable().await?;
            return Ok(());
        }
        let mut request = Request::read(&mut stream).await?;
        let fault = *self.fault.borrow_and_update();
        match fault {
            Fault::Unavailable => self.refuse(&mut stream, "").await,
            Fault::SlowDown => {
                let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>SlowDown</Code>\
                            <Message>Please reduce your request rate.</Message></Error>";
                self.refuse(&mut stream, body).await
            }
            Fault::Stall => {
                self.hit();
                drop(self.fault.changed().await);
                Ok(())
            }
            Fault::LoseAnswers if request.is_commit() => {
                self.hit();
                self.forward(&request).await.map(drop)
            }
            Fault::Late(wait) if request.is_commit() => {
                self.hit();
                drop(stream);
                tokio::time::sleep(wait).await;
                self.forward(&request).await.map(drop)
            }
            Fault::Slow(bytes_a_second) => {
                self.hit();
                let answer = self.forward(&request).await?;
                let share = usize::try_from(bytes_a_second / 20).unwrap().max(1);
                for part in answer.chunks(share) {
                    stream.write_all(part).await?;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Ok(())
            }
            Fault::Unconditional => {
                request.drop_header("if-none-match");
                let answer = self.forward(&request).await?;
                stream.write_all(&answer).await
            }
            _ => {
                let answer = self.forward(&request).await?;
                stream.write_all(&answer).await
            }
        }
    }

    fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    async fn refuse(&self, stream: &mut TcpStream, body: &str) -> std::io::Result<()> {
        self.hit();
        let answer = format!(
            "HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await
    }

    /// The server's whole answer.
    async fn forward(&self, request: &Request) -> std::io::Result<Vec<u8>> {
        let mut server = TcpStream::connect(self.server).await?;
        let mut request = Request { head: request.head.clone(), body: request.body.clone() };
        request.drop_header("connection");
        let head = request.head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        server.write_all(head.as_bytes()).await?;
        server.write_all(&request.body).await?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer).await?;
        Ok(answer)
    }
}
