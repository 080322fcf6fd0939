//! A TCP proxy that does to a link what networks do to links, when the test says so.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "shared by several test targets")]
#![allow(clippy::unwrap_used, reason = "a failed test is the message")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::{Builder, Handle, Runtime},
    sync::watch,
};

/// What the link does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Carries everything.
    Pass,
    /// Resets who wants to connect; who is connected goes on.
    Refuse,
    /// Lets in, and moves nothing either way; later it goes on where it stood.
    Stall,
    /// Moves so many bytes a second each way.
    Slow(u32),
    /// Takes bytes and forgets them, without a word to either end. A connection that lost some is
    /// reset when the link does something else again, as by a router that has forgotten it.
    Lose,
}

/// A link to one address, by an address of its own on loopback.
pub struct FaultProxy {
    address: SocketAddr,
    link: watch::Sender<Link>,
    cuts: watch::Sender<u64>,
    connections: Arc<AtomicU64>,
    /// Its tasks end with it.
    runtime: Option<Runtime>,
}

/// How often bytes are moved on a slow link.
const SLOW_STEP: Duration = Duration::from_millis(20);

impl FaultProxy {
    pub fn start(target: SocketAddr) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (link, links) = watch::channel(Link::Pass);
        let (cuts, cut) = watch::channel(0);
        let connections = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&connections);
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                Handle::current().spawn(connection(client, target, links.clone(), cut.clone()));
            }
        });
        Self { address, link, cuts, connections, runtime: Some(runtime) }
    }

    /// Where to connect instead of to the target.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many have connected, or tried to.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// What the link does from now on.
    pub fn set(&self, link: Link) {
        self.link.send_replace(link);
    }

    /// Resets every connection there is.
    pub fn cut(&self) {
        self.cuts.send_modify(|n| *n += 1);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A test's own runtime may not wait for another's end.
            runtime.shutdown_background();
        }
    }
}

async fn connection(
    client: TcpStream,
    target: SocketAddr,
    mut links: watch::Receiver<Link>,
    mut cut: watch::Receiver<u64>,
) {
    cut.mark_unchanged();
    client.set_zero_linger().unwrap();
    if *links.borrow_and_update() == Link::Refuse {
        return;
    }
    // No target, or one that is dead: the reset of the client is the answer.
    let Ok(server) = TcpStream::connect(target).await else { return };
    server.set_zero_linger().unwrap();
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
    }
    let has_lost = Arc::new(AtomicBool::new(false));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let up = carry(from_client, to_server, links.clone(), Arc::clone(&has_lost));
    let down = carry(from_server, to_client, links, Arc::clone(&has_lost));
    // Whatever ends first ends both ways; dropped, both ends are reset.
    tokio::select! {
        () = up => {}
        () = down => {}
        _ = cut.changed() => {}
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut links: watch::Receiver<Link>,
    has_lost: Arc<AtomicBool>,
) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let link = *links.borrow_and_update();
        if link != Link::Lose && has_lost.load(Ordering::Relaxed) {
            return;
        }
        let room = match link {
            Link::Stall => {
                if links.changed().await.is_err() {
                    return;
                }
                continue;
            }
            Link::Slow(bytes) => {
                tokio::time::sleep(SLOW_STEP).await;
                let step = u128::from(bytes) * SLOW_STEP.as_millis() / 1000;
                usize::try_from(step).unwrap().clamp(1, buffer.len())
            }
            Link::Pass | Link::Refuse | Link::Lose => buffer.len(),
        };
        let read = tokio::select! {
            read = from.read(&mut buffer[..room]) => read,
            changed = links.changed() => if changed.is_ok() { continue } else { return },
        };
        let Ok(count @ 1..) = read else { return };
        if link == Link::Lose {
            has_lost.store(true, Ordering::Relaxed);
        } else if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
