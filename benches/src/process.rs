//! `edge-agent run` as a process of its own, on the real car's log.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::root;

const DATA: &str = "tests/data/css-car-obd-gnss";

/// The agent that `ROADLAKE_EDGE_AGENT` names.
pub fn agent_program() -> Result<PathBuf> {
    let program = std::env::var_os("ROADLAKE_EDGE_AGENT").map(PathBuf::from);
    program.context("ROADLAKE_EDGE_AGENT does not name the agent; scripts/bench builds and names it")
}

/// A running agent; dropped, it is killed.
#[derive(Debug)]
pub struct AgentProcess {
    child: Child,
    log: PathBuf,
}

impl AgentProcess {
    /// Starts it on a log, with further arguments; it logs beside its spool.
    pub fn start(
        program: &Path,
        spool: &Path,
        log: &Path,
        broker: SocketAddr,
        more: &[&str],
    ) -> Result<Self> {
        let told = spool.with_extension("agent.log");
        let data = root().join(DATA);
        let child = Command::new(program)
            .args(["run", "--vehicle", "bench-1", "--broker"])
            .arg(broker.to_string())
            .arg("--spool")
            .arg(spool)
            .arg("--replay")
            .arg(log)
            .arg("--dbc")
            .arg(data.join("OBD-v4.4.dbc"))
            .arg("--dbc")
            .arg(data.join("canmod-gps.dbc"))
            .arg("--map")
            .arg(root().join("configs/maps/css-car-obd-gnss.toml"))
            .args(more)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(fs::File::create(&told)?)
            .stderr(fs::File::options().append(true).open(&told)?)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { child, log: told })
    }

    /// Its process.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Stops it as systemd does, and waits until it has ended.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        let killed = Command::new("kill").args(["-TERM", &self.id().to_string()]).status()?;
        ensure!(killed.success(), "cannot stop the agent");
        Ok(self.child.wait()?)
    }

    /// What it has said so far.
    pub fn told(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        // After a clean end there is nothing left to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
