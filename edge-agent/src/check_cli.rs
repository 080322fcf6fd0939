//! `edge-agent check`: whether an agent could run here by its configuration, told as a table.
//!
//! [`probes`] looks at files, folders, clock and interfaces; the broker is asked by the uplink's
//! own client. It makes nothing but the spool's folder, as an agent would, never joins a bus, and
//! does not disturb a running agent.

pub mod probes;

use std::{collections::BTreeSet, io::Write as _, path::PathBuf, process::ExitCode};

use clap::Args;
use service::{SharedClock, clock::SystemClock, config::ConfigError, exit, logs::chain};
use wire::{catalog::Catalog, time::Timestamp};

use crate::{
    agent::{self, Settings, SourceSettings},
    campaign,
    config::{self, Config},
    uplink,
};

/// Arguments of `edge-agent check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Configuration file, as configs/edge-agent.toml.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// A CAN interface to look at as well; may be given more than once.
    #[arg(long, value_name = "IFACE")]
    pub interface: Vec<String>,
    /// Leave the broker alone.
    #[arg(long)]
    pub offline: bool,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// The agent would run, but not as well as it could.
    Warn,
    /// The agent would not run, or nothing would arrive.
    Fail,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub subject: &'static str,
    /// How it came out.
    pub verdict: Verdict,
    /// What was found.
    pub finding: String,
    /// What to do about it; empty when nothing is to be done.
    pub remedy: String,
}

impl Check {
    /// All is well.
    pub fn ok(subject: &'static str, finding: impl Into<String>) -> Self {
        Self { subject, verdict: Verdict::Ok, finding: finding.into(), remedy: String::new() }
    }

    /// It would run, but.
    pub fn warn(subject: &'static str, finding: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { subject, verdict: Verdict::Warn, finding: finding.into(), remedy: remedy.into() }
    }

    /// It would not.
    pub fn fail(subject: &'static str, finding: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { subject, verdict: Verdict::Fail, finding: finding.into(), remedy: remedy.into() }
    }
}

/// Checks everything and prints the table.
pub fn main(args: &CheckArgs) -> ExitCode {
    let (checks, is_configured) = run(args, &SystemClock::shared());
    // A closed pipe leaves the exit code to speak.
    drop(std::io::stdout().write_all(table(&checks).as_bytes()));
    match checks.iter().map(|c| c.verdict).max() {
        Some(Verdict::Fail) if !is_configured => ExitCode::from(exit::CONFIG),
        Some(Verdict::Fail) => ExitCode::from(exit::FAILURE),
        _ => ExitCode::SUCCESS,
    }
}

/// Every check, and whether the configuration itself could be used.
pub fn run(args: &CheckArgs, clock: &SharedClock) -> (Vec<Check>, bool) {
    let now = Timestamp(clock.now_us());
    let mut checks = vec![probes::clock(now)];
    checks.extend(args.interface.iter().map(|name| probes::interface(name, probes::NET_FOLDER.as_ref())));
    let settings = service::config::load::<Config>("edge-agent", Some(&args.config))
        .and_then(|loaded| config::check(loaded, now));
    let settings = match settings {
        Ok(settings) => settings,
        Err(ConfigError::Faults { faults, .. }) => {
            checks.extend(
                faults
                    .into_iter()
                    .map(|fault| Check::fail("config", fault, format!("edit {}", args.config.display()))),
            );
            return (checks, false);
        }
        Err(error) => {
            checks.push(Check::fail("config", chain(&error).to_string(), "see configs/edge-agent.toml"));
            return (checks, false);
        }
    };
    checks.push(Check::ok("config", format!("{} for {}", args.config.display(), settings.vehicle_id)));
    if let SourceSettings::Live(live) = &settings.source {
        let named = live.interfaces.iter().filter(|name| !args.interface.contains(name));
        checks.extend(named.map(|name| probes::interface(name, probes::NET_FOLDER.as_ref())));
    }
    if let Some(poll) = &settings.poll {
        checks.extend(probes::polled_in_fd(poll, probes::NET_FOLDER.as_ref()));
    }
    checks.extend(decoding(&settings));
    checks.push(probes::spool(&settings.spool_folder, settings.spool.bytes_max));
    checks.extend(probes::certificates(&settings, now));
    if !args.offline {
        checks.extend(broker(&settings));
    }
    (checks, true)
}

fn decoding(settings: &Settings) -> Vec<Check> {
    match agent::decoder(settings) {
        Ok(decoder) => {
            let (files, signals) = (settings.dbcs.len(), decoder.columns().len());
            let found = format!("{files} DBC files, {signals} signals collected");
            let campaigns = campaigns(settings, decoder.catalog());
            [Check::ok("dbc and maps", found)].into_iter().chain(campaigns).collect()
        }
        Err(error) => {
            let remedy = "mend `dbc_files` and `map_files`";
            vec![Check::fail("dbc and maps", chain(&error).to_string(), remedy)]
        }
    }
}

/// The local campaign set and the key; an agent starts with a set that it must refuse, but not
/// with a key that cannot be read.
fn campaigns(settings: &Settings, catalog: &Catalog) -> Option<Check> {
    match campaign::desk::examine(&settings.campaigns, &settings.vehicle_id, catalog) {
        Ok(None) => None,
        Ok(Some(plan)) => {
            let campaigns: BTreeSet<String> = plan.lines().into_iter().map(|l| l.campaign).collect();
            let names = campaigns.into_iter().collect::<Vec<_>>().join(", ");
            Some(Check::ok("campaigns", format!("sha256 {}..., {names}", plan.hash())))
        }
        Err(error) => {
            let remedy = "mend the set, or ask for one signed by the key of `campaigns.public_key_file`";
            Some(Check::fail("campaigns", chain(&error).to_string(), remedy))
        }
    }
}

fn broker(settings: &Settings) -> Vec<Check> {
    let address = format!("{}:{}", settings.uplink.host, settings.uplink.port);
    let reached = match probes::tcp(&settings.uplink.host, settings.uplink.port) {
        Ok(peer) => Check::ok("broker tcp", format!("{address} answers at {peer}")),
        Err(error) => {
            let remedy =
                "check `uplink.broker`, the modem and the firewall; until then batches wait in the spool";
            return vec![Check::fail("broker tcp", format!("{address}: {error}"), remedy)];
        }
    };
    let secured = if settings.uplink.tls.is_some() { "over TLS" } else { "without TLS" };
    let asked = match uplink::probe(&settings.uplink, &settings.vehicle_id) {
        Ok(()) if settings.uplink.tls.is_none() => Check::warn(
            "broker mqtt",
            format!("accepted {secured}"),
            "anyone on the way can read along; set `uplink.ca_file`",
        ),
        Ok(()) => Check::ok("broker mqtt", format!("accepted {secured}")),
        Err(error) => Check::fail(
            "broker mqtt",
            format!("not accepted {secured}: {}", chain(&error)),
            "check the certificates, and that the broker knows this vehicle",
        ),
    };
    vec![reached, asked]
}

/// The checks as aligned text, each remedy on a line of its own.
pub fn table(checks: &[Check]) -> String {
    let width = checks.iter().map(|c| c.subject.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for check in checks {
        let indent = " ".repeat(width + 8);
        let finding = check.finding.replace('\n', &format!("\n{indent}"));
        out.push_str(&format!("{:<4}  {:<width$}  {finding}\n", check.verdict.name(), check.subject));
        if !check.remedy.is_empty() {
            out.push_str(&format!("{indent}-> {}\n", check.remedy));
        }
    }
    out
}

#[cfg(test)]
mod tests;
