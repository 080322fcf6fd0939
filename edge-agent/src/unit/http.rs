//! The agent's responder on loopback: four paths, GET only.
//!
//! A request may take 4096 bytes and two seconds; who is slower is cut off. Eight connections are
//! served at a time, and those beyond wait that long at most. There is no authentication: the
//! configuration lets it listen on loopback only.

use std::{net::SocketAddr, time::Duration};

use service::tasks::TaskError;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::{agent::Handle, metrics};

/// Longest request that is read.
const REQUEST_BYTES_MAX: usize = 4096;
/// Longest a connection may take.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(2);
/// Most connections served at once.
const CONNECTIONS_MAX: usize = 8;
/// Without progress for so long a part of the agent is not healthy.
const STALL_TIME: Duration = Duration::from_secs(30);

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// Version 0.0.4 of the exposition format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The responder could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}; give the agent a free loopback port (`unit.listen`)")]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// Why.
    pub source: std::io::Error,
}

/// A bound responder.
#[derive(Debug)]
pub(crate) struct Responder {
    listener: TcpListener,
    address: SocketAddr,
}

/// An answer to a request.
struct Answer {
    status: &'static str,
    kind: &'static str,
    body: String,
}

impl Responder {
    pub(crate) async fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let refused = |source| ListenError { address, source };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) async fn run(self, handle: Handle, stop: CancellationToken) -> Result<(), TaskError> {
        let mut serving = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                // One that failed answered nobody; the next is served all the same.
                Some(_) = serving.join_next() => continue,
                accepted = self.listener.accept(), if serving.len() < CONNECTIONS_MAX => accepted,
            };
            let Ok((socket, _)) = accepted else {
                // Out of files, most likely: not for ever, and nothing here is worth a restart.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let handle = handle.clone();
            serving.spawn(async move {
                match tokio::time::timeout(CONNECTION_TIME_MAX, serve(socket, &handle)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => debug!(%error, "loopback request failed"),
                    Err(_) => debug!("loopback request was too slow"),
                }
            });
        }
    }
}

async fn serve(mut socket: TcpStream, handle: &Handle) -> std::io::Result<()> {
    let mut request = Vec::with_capacity(512);
    let is_whole = |bytes: &[u8]| bytes.windows(4).any(|w| w == b"\r\n\r\n");
    let answer = loop {
        if is_whole(&request) {
            break answer(&request, handle).await;
        }
        if request.len() >= REQUEST_BYTES_MAX {
            break Answer::text("431 Request Header Fields Too Large", "the request is too long\n");
        }
        let room = REQUEST_BYTES_MAX - request.len();
        if (&mut socket).take(room as u64).read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    };
    let Answer { status, kind, body } = answer;
    let len = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(body.as_bytes()).await?;
    socket.shutdown().await
}

/// The method and path of a request's first line.
fn request_line(request: &[u8]) -> Option<(&str, &str)> {
    let line = request.split(|b| *b == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let path = target.split('?').next()?;
    (version.starts_with("HTTP/1.") && words.next().is_none()).then_some((method, path))
}

async fn answer(request: &[u8], handle: &Handle) -> Answer {
    let Some((method, path)) = request_line(request) else {
        return Answer::text("400 Bad Request", "this is no HTTP/1 request\n");
    };
    if method != "GET" {
        return Answer::text("405 Method Not Allowed", "only GET is answered here\n");
    }
    let handle = handle.clone();
    match path {
        "/health" => match handle.stalled(STALL_TIME) {
            None => Answer::text("200 OK", "ok\n"),
            Some(part) => Answer::text("503 Service Unavailable", &format!("{part} makes no progress\n")),
        },
        // An agent is ready when it collects: without a broker it spools.
        "/ready" => Answer::text("200 OK", "ready\n"),
        "/metrics" => {
            let stats = blocking(move || handle.stats()).await;
            metrics::spool_now(stats.spool_bytes, stats.batches_in_spool, stats.spool_written_today_bytes);
            Answer { status: "200 OK", kind: PROMETHEUS, body: service::metrics::render() }
        }
        "/v1/state" => {
            let state = blocking(move || handle.state()).await;
            match serde_json::to_string(&state) {
                Ok(body) => Answer { status: "200 OK", kind: JSON, body },
                Err(error) => Answer::text("500 Internal Server Error", &format!("{error}\n")),
            }
        }
        _ => Answer::text("404 Not Found", "/metrics, /health, /ready and /v1/state are here\n"),
    }
}

/// Counts lock the spool, which a slow disk may hold.
async fn blocking<T: Send + Default + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    // It fails only when the runtime is going down.
    tokio::task::spawn_blocking(work).await.unwrap_or_default()
}

impl Answer {
    fn text(status: &'static str, body: &str) -> Self {
        Self { status, kind: TEXT, body: body.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_line_is_a_method_and_a_path() {
        assert_eq!(
            request_line(b"GET /v1/state?x=1 HTTP/1.1\r\nHost: a\r\n\r\n"),
            Some(("GET", "/v1/state"))
        );
        for bad in
            [&b"GET /"[..], b"GET / SPDY/3\r\n", b"", b"\xff\xfe / HTTP/1.1\r\n", b"GET / HTTP/1.1 x\r\n"]
        {
            assert_eq!(request_line(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_request_line_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = request_line(&bytes);
        }
    }
}
