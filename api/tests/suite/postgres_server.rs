//! Throw-away PostgreSQL servers of the machine's own packages: a data folder and a socket in a
//! temporary folder, without a port. `scripts/setup --tests` installs them.

use std::{
    io::{Read, Write},
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};
use tempfile::TempDir;

/// What the user of the server has to say to come in.
pub(crate) const PASSWORD: &str = "let me/in";

/// Runs the server until its input ends, which the end of this process does too, however it comes; then
/// its folder goes, unless it is to stay.
const KEEPER: &str = r#""$0/postgres" "$@" & server=$!; said=$(cat); kill -INT $server; wait $server
[ -n "$said" ] || rm -rf "$PWD""#;
/// Says that it is to stay.
const STAY: &[u8] = b"stay";

/// A server, stopped when dropped.
pub(crate) struct Cluster {
    bin: PathBuf,
    user: Option<(u32, u32)>,
    keeper: Child,
    dir: TempDir,
    made: AtomicU32,
}

impl Cluster {
    /// Makes one and starts it.
    pub(crate) async fn start() -> Self {
        let bin = newest_bin();
        let user = unprivileged();
        let dir = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
        std::fs::write(dir.path().join("password"), PASSWORD).unwrap();
        if let Some((uid, gid)) = user {
            for path in [dir.path().to_owned(), dir.path().join("password")] {
                chown(path, Some(uid), Some(gid)).unwrap();
            }
        }
        let mut initdb = as_user(&bin.join("initdb"), user);
        // A collation of people, not of bytes: the harder case.
        initdb.args(["--username=fleet", "--auth=scram-sha-256", "--pwfile=password", "--encoding=UTF8"]);
        initdb.args(["--locale-provider=icu", "--icu-locale=en-US", "--locale=C.UTF-8", "--no-sync", "data"]);
        let made = initdb.current_dir(dir.path()).output().unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let keeper = keeper(&bin, user, dir.path());
        let cluster = Self { bin, user, keeper, dir, made: AtomicU32::new(0) };
        cluster.answers().await;
        cluster
    }

    /// The one that the tests of this process share.
    pub(crate) async fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        // A test's runtime must not be blocked by another test's start: each waits on its own thread.
        tokio::task::spawn_blocking(|| {
            SHARED.get_or_init(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(Self::start())
            })
        })
        .await
        .unwrap()
    }

    /// Stops the server, as for a restart of its machine.
    pub(crate) fn stop(&mut self) {
        if let Some(mut input) = self.keeper.stdin.take() {
            input.write_all(STAY).unwrap();
        }
        self.keeper.wait().unwrap();
    }

    /// Starts it again.
    pub(crate) async fn start_again(&mut self) {
        self.keeper = keeper(&self.bin, self.user, self.dir.path());
        self.answers().await;
    }

    async fn answers(&self) {
        let asking = async { while self.connect("postgres").await.is_err() {} };
        tokio::time::timeout(Duration::from_secs(60), asking).await.expect("the server answers in 60 s");
    }

    async fn connect(&self, database: &str) -> Result<AnyConnection, sqlx::Error> {
        sqlx::any::install_default_drivers();
        AnyConnection::connect(&self.url(database, PASSWORD)).await
    }

    /// The URL of a database with some password.
    pub(crate) fn url(&self, database: &str, password: &str) -> String {
        let encoded =
            |text: &str| text.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"));
        let host = encoded(&self.dir.path().to_string_lossy());
        format!("postgres://fleet:{}@{host}/{database}", encoded(password))
    }

    /// A database of its own: empty, or a copy of another.
    pub(crate) async fn database(&self, template: Option<&str>) -> String {
        let name = format!("test_{}", self.made.fetch_add(1, Ordering::SeqCst));
        let like = template.unwrap_or("template1");
        let mut conn = self.connect("postgres").await.unwrap();
        // Someone who has just gone may not have left yet.
        let waited = async {
            let sql = format!("CREATE DATABASE {name} TEMPLATE {like}");
            while let Err(error) = conn.execute(AssertSqlSafe(sql.as_str())).await {
                assert!(error.to_string().contains("being accessed by other users"), "{error}");
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waited).await.expect("a database in 60 s");
        conn.close().await.unwrap();
        name
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

fn keeper(bin: &Path, user: Option<(u32, u32)>, dir: &Path) -> Child {
    let mut command = as_user(Path::new("/bin/sh"), user);
    command.args(["-c", KEEPER]).arg(bin).args(["-D", "data", "-k"]).arg(dir);
    // No port, only the socket; and nothing here must survive a power cut.
    for setting in [
        "listen_addresses=",
        "fsync=off",
        "synchronous_commit=off",
        "full_page_writes=off",
        "max_connections=200",
    ] {
        command.args(["-c", setting]);
    }
    command.current_dir(dir).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn as_user(program: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

/// PostgreSQL refuses root; the user of its package is there, or nobody is.
fn unprivileged() -> Option<(u32, u32)> {
    let id = Command::new("id").arg("-u").output().unwrap();
    if String::from_utf8_lossy(&id.stdout).trim() != "0" {
        return None;
    }
    let mut users = String::new();
    std::fs::File::open("/etc/passwd").unwrap().read_to_string(&mut users).unwrap();
    let of = |name: &str| {
        let line = users.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        let mut fields = line.split(':').skip(2).map(str::parse);
        Some((fields.next()?.ok()?, fields.next()?.ok()?))
    };
    Some(of("postgres").or_else(|| of("nobody")).expect("a user that is not root"))
}

fn newest_bin() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let bins = folders.map(|folder| folder.path().join("bin")).filter(|bin| bin.join("postgres").exists());
    let major = |bin: &PathBuf| -> Option<u32> { bin.parent()?.file_name()?.to_str()?.parse().ok() };
    bins.max_by_key(major).expect("PostgreSQL's server: scripts/setup --tests installs it")
}
