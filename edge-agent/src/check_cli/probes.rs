//! What can be seen of the unit without starting an agent.

use std::{
    fs, io,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    path::Path,
    time::Duration,
};

use rustls::pki_types::{CertificateDer, pem::PemObject};
use service::logs::chain;
use wire::time::Timestamp;

use super::Check;
use crate::{
    agent::Settings,
    clock::RELEASE_TIME,
    poll::{EcuFrames, PollSettings},
    spool::{DiskStorage, OpenFolderError},
    uplink::x509::{self, CertificateFacts},
};

/// Where Linux shows its network interfaces.
pub const NET_FOLDER: &str = "/sys/class/net";
/// Made by systemd-timesyncd once the clock has been set by a server.
const SYNCHRONIZED_FILE: &str = "/run/systemd/timesync/synchronized";
/// `ARPHRD_CAN` of linux/if_arp.h.
const CAN_INTERFACE_TYPE: &str = "280";
/// `IFF_UP` of linux/if.h.
const IS_UP_FLAG: u32 = 1;
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// A certificate that ends so soon is worth a word.
const SOON_US: i64 = 30 * wire::time::DAY_US;

/// Whether the clock can be believed.
pub fn clock(now: Timestamp) -> Check {
    if now < RELEASE_TIME {
        return Check::fail(
            "clock",
            format!("{now} is before this release was made"),
            "set the clock, or give the unit NTP or GNSS time; batches would carry that date",
        );
    }
    if Path::new(SYNCHRONIZED_FILE).exists() {
        return Check::ok("clock", format!("{now}, set by a time server"));
    }
    Check::warn(
        "clock",
        format!("{now}, not known to be set by a time server"),
        "enable systemd-timesyncd, chrony or gpsd on the unit, if none is",
    )
}

/// Whether a CAN interface is there and up. Its bit rate is told by netlink alone:
/// `ip -details link show`.
pub fn interface(name: &str, net_folder: &Path) -> Check {
    let is_name = !name.is_empty() && name.len() < 16 && !name.contains('/') && !name.starts_with('.');
    let folder = net_folder.join(name);
    if !is_name || !folder.is_dir() {
        return Check::fail(
            "interface",
            format!("{name} is not there"),
            "check the name with `ip link`; load the driver, or fit the overlay of the CAN controller",
        );
    }
    let read =
        |file: &str| fs::read_to_string(folder.join(file)).map(|t| t.trim().to_owned()).unwrap_or_default();
    if read("type") != CAN_INTERFACE_TYPE {
        return Check::fail("interface", format!("{name} is no CAN interface"), "name one whose type is can");
    }
    let flags = u32::from_str_radix(read("flags").trim_start_matches("0x"), 16).unwrap_or(0);
    if flags & IS_UP_FLAG == 0 {
        let remedy = format!("ip link set {name} up type can bitrate 500000 listen-only on");
        return Check::fail("interface", format!("{name} is down"), remedy);
    }
    let mtu = if is_fd(name, net_folder) { "CAN FD" } else { "classic CAN" };
    let (received, errors) = (read("statistics/rx_packets"), read("statistics/rx_errors"));
    let finding = format!("{name} is up, {mtu}, {received} frames and {errors} errors received");
    if received == "0" {
        return Check::warn(
            "interface",
            finding,
            "nothing was ever received: ignition off, or a wrong bit rate",
        );
    }
    Check::ok("interface", finding)
}

/// Whether the interface takes frames of CAN FD, where control units are polled in them; none where
/// it is not there, which is told of already.
pub fn polled_in_fd(poll: &PollSettings, net_folder: &Path) -> Option<Check> {
    let named = poll.ecus.iter().filter(|ecu| ecu.frames != EcuFrames::Classic).map(|ecu| ecu.name.as_str());
    let (names, interface) = (named.collect::<Vec<_>>().join(", "), &*poll.interface);
    if names.is_empty() || !net_folder.join(interface).is_dir() {
        return None;
    }
    Some(if is_fd(interface, net_folder) {
        Check::ok("poll", format!("{interface} takes the frames of CAN FD that {names} is asked in"))
    } else {
        Check::fail(
            "poll",
            format!("{interface} is of classic CAN, but {names} is asked in frames of CAN FD"),
            format!(
                "ip link set {interface} type can bitrate 500000 dbitrate 2000000 fd on; or leave out `fd` of [[poll.ecu]]"
            ),
        )
    })
}

/// `CANFD_MTU`, which an interface has when it speaks CAN FD.
fn is_fd(name: &str, net_folder: &Path) -> bool {
    fs::read_to_string(net_folder.join(name).join("mtu")).is_ok_and(|mtu| mtu.trim() == "72")
}

/// Whether the spool has a place to be.
pub fn spool(folder: &Path, bytes_max: u64) -> Check {
    let subject = "spool";
    let shown = folder.display();
    match DiskStorage::open(folder) {
        Ok(storage) => drop(storage),
        Err(error @ OpenFolderError::InUse { .. }) => {
            return Check::warn(subject, error.to_string(), "an agent runs; stop it to check its folder");
        }
        Err(error) => {
            return Check::fail(
                subject,
                chain(&error).to_string(),
                "make the folder and give it to the agent's user",
            );
        }
    }
    let probe = folder.join("check.new");
    let written = fs::write(&probe, [0; 4096]).and_then(|()| fs::remove_file(&probe));
    if let Err(error) = written {
        return Check::fail(
            subject,
            format!("{shown}: {error}"),
            "free some space, or mount the disk for writing",
        );
    }
    match rustix::fs::statvfs(folder) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let finding =
                format!("{shown} is writable, {} MiB free for a cap of {} MiB", free >> 20, bytes_max >> 20);
            if free < bytes_max {
                return Check::warn(subject, finding, "lower `spool.spool_bytes_max`, or free some space");
            }
            Check::ok(subject, finding)
        }
        Err(error) => {
            Check::warn(subject, format!("{shown} is writable, its free space unknown: {error}"), "")
        }
    }
}

/// Whether the files of the uplink's identity serve.
pub(super) fn certificates(settings: &Settings, now: Timestamp) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(tls) = &settings.uplink.tls {
        if let Err(error) = tls.client_config() {
            let remedy = "the CA, the certificate and the key must be PEM, and the key the certificate's own";
            checks.push(Check::fail("certificates", chain(&error).to_string(), remedy));
            return checks;
        }
        checks.extend(all_of(&tls.ca_file).iter().map(|facts| dates("broker CA", facts, now)));
        if let Some(client) = &tls.client {
            let all = all_of(&client.cert_file);
            if let Some(own) = all.first() {
                checks.push(dates("certificate", own, now));
                checks.push(name(own, settings.vehicle_id.as_str()));
            }
            if all.windows(2).any(|w| w[0].issuer != w[1].subject) {
                let remedy = "put the vehicle's certificate first, then each one's issuer";
                checks.push(Check::fail("certificate", "the chain is out of order", remedy));
            }
        } else {
            let remedy = "set `uplink.cert_file` and `uplink.key_file`, if the broker asks for them";
            checks.push(Check::warn("certificate", "none; the broker cannot tell who this is", remedy));
        }
    }
    if let Some(path) = &settings.uplink.signing_key_file {
        checks.push(match crate::agent::read_signing_key(path) {
            Ok(_) => Check::ok("signing key", path.display().to_string()),
            Err(error) => {
                Check::fail("signing key", chain(&error).to_string(), "write 64 hexadecimal digits")
            }
        });
    }
    checks
}

fn all_of(path: &Path) -> Vec<CertificateFacts> {
    // Files that cannot be read were told of by the TLS configuration.
    let Ok(certificates) = CertificateDer::pem_file_iter(path) else { return Vec::new() };
    certificates.flatten().filter_map(|der| x509::facts(&der)).collect()
}

fn dates(subject: &'static str, facts: &CertificateFacts, now: Timestamp) -> Check {
    let (from, to) = (facts.not_before, facts.not_after);
    if now < from {
        return Check::fail(subject, format!("not valid before {from}"), "set the clock, or wait");
    }
    if now > to {
        return Check::fail(
            subject,
            format!("expired at {to}"),
            "get a new certificate; the agent takes it without a restart",
        );
    }
    if to.since_us(now) < SOON_US {
        return Check::warn(
            subject,
            format!("expires at {to}"),
            "renew it; the agent takes it without a restart",
        );
    }
    Check::ok(subject, format!("valid until {to}"))
}

fn name(facts: &CertificateFacts, vehicle_id: &str) -> Check {
    match facts.common_name.as_deref() {
        Some(name) if name == vehicle_id => Check::ok("certificate", format!("made out to {name}")),
        found => Check::fail(
            "certificate",
            format!("made out to {}, not to {vehicle_id}", found.unwrap_or("nobody")),
            "its common name must be `vehicle_id`, or the broker refuses its topics",
        ),
    }
}

/// Whether anything listens there; its address.
pub(super) fn tcp(host: &str, port: u16) -> io::Result<SocketAddr> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIME_MAX) {
            Ok(_) => return Ok(address),
            Err(error) => last = error,
        }
    }
    Err(last)
}
