//! Whether this node and its cluster are well, by HTTP for whoever watches over them: `GET /health` is
//! about the node, `GET /health/cluster` about all nodes as this one sees them. 200 when well, 503 when
//! not, and JSON that says who leads. Nothing can be changed by it.
//!
//! In place of the crate `rmqtt-http-api`, which can also publish and end connections, past the access
//! rules.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use rmqtt::context::ServerContext;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

/// Longest request head; the rest of a longer one is not read.
const HEAD_BYTES_MAX: usize = 4096;
/// Longest a request and its answer may take, the questions to other nodes included.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// Requests that are answered at once; further ones wait.
const ANSWERS_MAX: usize = 16;
/// Pause after a connection could not be accepted, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Where it will answer.
pub async fn bind(listen: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))
}

/// Answers, as long as it is let.
pub async fn serve(scx: ServerContext, listener: TcpListener) {
    let mut answers = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = answers.join_next() => {}
            accepted = listener.accept(), if answers.len() < ANSWERS_MAX => match accepted {
                Ok((stream, _)) => {
                    let scx = scx.clone();
                    // Whoever asks too slowly, or has gone, gets no answer.
                    answers.spawn(timeout(ANSWER_TIME_MAX, async move { answer(&scx, stream).await }));
                }
                Err(error) => {
                    log::warn!("health: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

async fn answer(scx: &ServerContext, mut stream: TcpStream) -> Result<()> {
    let mut head = Vec::new();
    while head.len() < HEAD_BYTES_MAX && !head.windows(4).any(|w| w == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head);
    let (status, body) = match asked(&head) {
        Some("/health") => of_node(scx).await,
        Some("/health/cluster") => of_cluster(scx).await,
        _ => ("404 Not Found", "{\"error\":\"only GET /health and GET /health/cluster\"}".to_owned()),
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(())
}

/// The path that is asked for.
fn asked(head: &str) -> Option<&str> {
    let mut words = head.lines().next()?.split(' ');
    (words.next()? == "GET").then(|| words.next()).flatten()
}

async fn of_node(scx: &ServerContext) -> (&'static str, String) {
    match scx.extends.shared().await.health_status().await {
        Ok(health) => (status(health.is_running()), health.to_json().to_string()),
        Err(error) => failed(&error),
    }
}

async fn of_cluster(scx: &ServerContext) -> (&'static str, String) {
    match scx.extends.shared().await.check_health().await {
        Ok(health) => {
            let is_well =
                health.running && health.nodes.iter().all(rmqtt::types::NodeHealthStatus::is_running);
            (status(is_well), health.to_json().to_string())
        }
        Err(error) => failed(&error),
    }
}

fn status(is_well: bool) -> &'static str {
    if is_well { "200 OK" } else { "503 Service Unavailable" }
}

fn failed(error: &anyhow::Error) -> (&'static str, String) {
    log::warn!("health: {error:#}");
    (status(false), "{\"running\":false}".to_owned())
}

#[cfg(test)]
mod tests {
    use super::asked;

    #[test]
    fn only_a_get_asks_for_something() {
        assert_eq!(asked("GET /health HTTP/1.1\r\nHost: x\r\n\r\n"), Some("/health"));
        for head in ["POST /health HTTP/1.1", "GET", "", "\r\n"] {
            assert_eq!(asked(head), None, "{head:?}");
        }
    }
}
