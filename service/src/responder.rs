//! A small HTTP responder for what watches a process: probes, Prometheus, a terminal. GET only.
//!
//! A request may take 4096 bytes and two seconds; who is slower is cut off. Sixteen connections are
//! served at a time, and those beyond wait that long at most. It asks nobody who they are: an answer that
//! tells more than [`Answer::of_process`] is for loopback only.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{DurationText, Faults},
    health::{Health, State},
    metrics,
    tasks::{StopError, TaskError, Tasks},
};

/// Longest request that is read.
const REQUEST_BYTES_MAX: usize = 4096;
/// Longest a connection may take.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(2);
/// Most connections served at once.
const CONNECTIONS_MAX: usize = 16;
/// Pause after a connection could not be accepted: out of files, most likely, and not for ever.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Longest drain.
const DRAIN_MAX: Duration = Duration::from_mins(5);

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// `[http]` of a process that serves nothing else by HTTP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Address and port of `/health`, `/ready` and `/metrics`; empty for none.
    pub listen: String,
    /// How long it goes on as before after `/ready` says that it will stop.
    pub drain: DurationText,
}

/// The same, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpSettings {
    /// See [`HttpConfig::listen`].
    pub listen: SocketAddr,
    /// See [`HttpConfig::drain`].
    pub drain: Duration,
}

impl HttpConfig {
    /// The address, if there is one; a fault when it is none.
    pub fn check(&self, faults: &mut Faults) -> Option<HttpSettings> {
        if self.listen.is_empty() {
            return None;
        }
        let bad = || format!("{:?} is no address; write one like \"127.0.0.1:9465\"", self.listen);
        let listen = faults.check("http.listen", self.listen.parse().map_err(|_| bad()))?;
        if self.drain.0 > DRAIN_MAX {
            faults.add("http.drain", "must be at most \"5m\": so long a stop would take");
        }
        Some(HttpSettings { listen, drain: self.drain.0 })
    }
}

/// The responder could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (key {key}); give it a free port of this machine")]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// The configuration's key.
    pub key: &'static str,
    /// Why.
    pub source: std::io::Error,
}

/// A bound responder.
#[derive(Debug)]
pub struct Responder {
    listener: TcpListener,
    address: SocketAddr,
}

/// An answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    status: &'static str,
    kind: &'static str,
    body: String,
}

impl Answer {
    /// Plain text with status 200.
    pub fn text(body: &str) -> Self {
        Self { status: "200 OK", kind: TEXT, body: body.to_owned() }
    }

    /// JSON with status 200.
    pub fn json(body: String) -> Self {
        Self { status: "200 OK", kind: JSON, body }
    }

    /// The process's metrics.
    pub fn metrics() -> Self {
        Self { status: "200 OK", kind: metrics::CONTENT_TYPE, body: metrics::render() }
    }

    /// The same as a 503.
    #[must_use]
    pub fn unavailable(self) -> Self {
        Self { status: "503 Service Unavailable", ..self }
    }

    /// The same as a 500.
    #[must_use]
    pub fn failed(self) -> Self {
        Self { status: "500 Internal Server Error", ..self }
    }

    /// 404, with the paths there are.
    pub fn nothing_here(paths: &str) -> Self {
        Self { status: "404 Not Found", kind: TEXT, body: format!("{paths} are here\n") }
    }

    /// Of a process whose parts are `health`: `/health`, `/ready` and `/metrics`. Counts and states, in
    /// which no vehicle, place or host is named.
    pub fn of_process(path: &str, health: &Health) -> Self {
        match path {
            // That it answers is the answer: what it waits for is no reason to start it again.
            "/health" => Self::text("ok\n"),
            "/ready" => {
                let answer = Self::json(readiness(health));
                if health.is_ready() { answer } else { answer.unavailable() }
            }
            "/metrics" => Self::metrics(),
            _ => Self::nothing_here("/health, /ready and /metrics"),
        }
    }
}

/// As the api writes it for who is not the operator: states, no reasons. Names of parts need no escapes.
fn readiness(health: &Health) -> String {
    let parts: Vec<String> =
        health.parts().iter().map(|(name, state)| format!("{name:?}:{:?}", state.word())).collect();
    format!("{{\"is_ready\":{},\"parts\":{{{}}}}}\n", health.is_ready(), parts.join(","))
}

impl Responder {
    /// Takes the address that configuration's `key` names.
    pub async fn bind(address: SocketAddr, key: &'static str) -> Result<Self, ListenError> {
        let refused = |source| ListenError { address, key, source };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers each GET of a path by `answer`, until `stop`.
    pub async fn run<A, F>(self, answer: A, stop: CancellationToken) -> Result<(), TaskError>
    where
        A: Fn(String) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Answer> + Send,
    {
        let mut serving = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                // One that failed answered nobody; the next is served all the same.
                Some(_) = serving.join_next() => continue,
                accepted = self.listener.accept(), if serving.len() < CONNECTIONS_MAX => accepted,
            };
            let Ok((socket, _)) = accepted else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let answer = answer.clone();
            serving.spawn(async move {
                match tokio::time::timeout(CONNECTION_TIME_MAX, serve(socket, answer)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::debug!(%error, "request failed"),
                    Err(_) => tracing::debug!("request was too slow"),
                }
            });
        }
    }
}

async fn serve<A, F>(mut socket: TcpStream, answer: A) -> std::io::Result<()>
where
    A: Fn(String) -> F,
    F: Future<Output = Answer>,
{
    let refuse = |status, body: &str| Answer { status, kind: TEXT, body: body.to_owned() };
    let mut request = Vec::with_capacity(512);
    let is_whole = |bytes: &[u8]| bytes.windows(4).any(|w| w == b"\r\n\r\n");
    let answer = loop {
        if is_whole(&request) {
            break match request_line(&request) {
                None => refuse("400 Bad Request", "this is no HTTP/1 request\n"),
                Some(("GET", path)) => answer(path.to_owned()).await,
                Some(_) => refuse("405 Method Not Allowed", "only GET is answered here\n"),
            };
        }
        if request.len() >= REQUEST_BYTES_MAX {
            break refuse("431 Request Header Fields Too Large", "the request is too long\n");
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

/// The part of a process's health that says it will stop.
const PROCESS_PART: &str = "process";

/// `/health`, `/ready` and `/metrics` of a running process.
#[derive(Debug, Clone)]
pub struct Probes {
    address: SocketAddr,
    health: Health,
    drain: Duration,
    // Of its own, so that it answers until everything else has stopped.
    tasks: Tasks,
}

impl Probes {
    /// Binds and answers. Before each answer `look` may set parts of `health` to how they are now.
    pub async fn start(
        settings: HttpSettings,
        health: &Health,
        tasks: &Tasks,
        look: impl Fn(&Health) + Send + Sync + 'static,
    ) -> Result<Self, ListenError> {
        let responder = Responder::bind(settings.listen, "http.listen").await?;
        let address = responder.address();
        tracing::info!(%address, "answering /health, /ready and /metrics");
        let tasks = tasks.group();
        let (of, look) = (health.clone(), Arc::new(look));
        let answer = move |path: String| {
            look(&of);
            std::future::ready(Answer::of_process(&path, &of))
        };
        tasks.spawn("http", responder.run(answer, tasks.stop_token()));
        Ok(Self { address, health: health.clone(), drain: settings.drain, tasks })
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says that the process is no longer ready, and gives who asks the time to notice. To be called
    /// first in a stop.
    pub async fn leave(&self) {
        self.health.set(PROCESS_PART, State::Failing("told to stop".to_owned()));
        tokio::time::sleep(self.drain).await;
    }

    /// Answers no more. To be called last in a stop.
    pub async fn close(&self, grace: Duration) -> Result<(), StopError> {
        self.tasks.stop(grace).await
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

    /// Sends bytes, and all that comes back.
    async fn said(address: SocketAddr, request: &[u8]) -> String {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        // A request that is refused before all of it was read may end in a reset; what was said counts.
        drop(socket.read_to_end(&mut answer).await);
        String::from_utf8(answer).unwrap()
    }

    async fn started(tasks: &Tasks, health: &Health, drain: Duration) -> Probes {
        let settings = HttpSettings { listen: "127.0.0.1:0".parse().unwrap(), drain };
        Probes::start(settings, health, tasks, |_| {}).await.unwrap()
    }

    #[tokio::test]
    async fn a_process_is_ready_when_all_of_its_parts_are() {
        let (tasks, health) = (Tasks::new(), Health::default());
        health.set("broker", State::Starting("broker.internal:8883".to_owned()));
        health.set("lake", State::Ready);
        let address = started(&tasks, &health, Duration::ZERO).await.address();
        let ready = || said(address, b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n");

        let before = ready().await;
        assert!(before.starts_with("HTTP/1.1 503 "), "{before}");
        assert!(
            before.ends_with("{\"is_ready\":false,\"parts\":{\"broker\":\"starting\",\"lake\":\"ready\"}}\n")
        );
        assert!(said(address, b"GET /health HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 200 "));
        health.set("broker", State::Ready);
        assert!(ready().await.starts_with("HTTP/1.1 200 "));
        health.set("lake", State::Failing("s3://secret".to_owned()));
        let after = ready().await;
        assert!(after.starts_with("HTTP/1.1 503 ") && after.contains("\"lake\":\"failing\""), "{after}");
        assert!(!after.contains("secret"), "{after}");

        tasks.stop(Duration::from_secs(10)).await.unwrap();
        assert!(TcpStream::connect(address).await.is_err(), "a stop closes the door");
    }

    #[tokio::test]
    async fn a_stop_is_told_before_anything_stops() {
        let (tasks, health) = (Tasks::new(), Health::default());
        health.set("lake", State::Ready);
        let probes = started(&tasks, &health, Duration::from_mins(1)).await;
        let ready = || said(probes.address(), b"GET /ready HTTP/1.1\r\n\r\n");
        assert!(ready().await.starts_with("HTTP/1.1 200 "));
        {
            let mut leaving = std::pin::pin!(probes.leave());
            // It waits for who asks; what is asked is answered meanwhile.
            let told = tokio::select! {
                () = &mut leaving => panic!("left without a minute's notice"),
                told = ready() => told,
            };
            assert!(told.starts_with("HTTP/1.1 503 ") && told.contains("\"process\":\"failing\""), "{told}");
            assert!(told.contains("\"lake\":\"ready\""), "{told}");
        }
        probes.close(Duration::from_secs(10)).await.unwrap();
        assert!(TcpStream::connect(probes.address()).await.is_err(), "closed");
    }

    #[tokio::test]
    async fn what_is_no_request_gets_no_answer_of_the_process() {
        let (tasks, health) = (Tasks::new(), Health::default());
        let address = started(&tasks, &health, Duration::ZERO).await.address();
        for (request, status) in [
            (&b"POST /ready HTTP/1.1\r\n\r\n"[..], "405"),
            (b"nonsense\r\n\r\n", "400"),
            (b"GET /v1/vehicles HTTP/1.1\r\n\r\n", "404"),
        ] {
            let answer = said(address, request).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        }
        let long = said(address, &[b'a'; REQUEST_BYTES_MAX]).await;
        assert!(long.starts_with("HTTP/1.1 431 "), "{long}");
        // Who says nothing keeps nobody else out.
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS_MAX - 1 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        assert!(said(address, b"GET /health HTTP/1.0\r\n\r\n").await.ends_with("ok\n"));
        tasks.stop(Duration::from_secs(10)).await.unwrap();
    }

    #[tokio::test]
    async fn a_taken_port_and_a_bad_address_name_their_key() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = Responder::bind(taken.local_addr().unwrap(), "http.listen").await.unwrap_err();
        assert!(error.to_string().contains("http.listen"), "{error}");
        let mut faults = Faults::of("x.toml");
        let config = HttpConfig { listen: "localhost".to_owned(), ..HttpConfig::default() };
        assert_eq!(config.check(&mut faults), None);
        let message = faults.finish(None::<()>).unwrap_err().to_string();
        assert!(message.contains("http.listen") && message.contains("127.0.0.1:9465"), "{message}");
    }
}
