//! `[devices]`: the authority that signs the units' certificates, and whom their identities are told to.

use std::{path::PathBuf, sync::Arc};

use serde::Deserialize;
use service::config::Faults;

use crate::devices::{authority::Authority, enrol::BrokerTold};

const HOUR_US: i64 = 3_600_000_000;

/// The section as written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DevicesConfig {
    /// PEM file of the authority's certificate: lets this server issue certificates.
    pub ca_cert_file: Option<PathBuf>,
    /// PEM file of its key.
    pub ca_key_file: Option<PathBuf>,
    /// PEM file of the certificates above it, its issuer first.
    pub ca_chain_file: Option<PathBuf>,
    /// Days a certificate is good.
    pub certificate_days: i64,
    /// Days after its end in which a certificate can still be renewed.
    pub renew_grace_days: i64,
    /// Hours a list of revoked certificates is good; it is made anew at half of them.
    pub crl_valid_h: i64,
    /// The broker that enrolled units are told, `host:port`.
    pub broker_address: Option<String>,
    /// PEM file of the authority of that broker's certificate, which units are told too.
    pub broker_ca_file: Option<PathBuf>,
    /// File in which the list of revoked certificates is kept as well.
    pub crl_file: Option<PathBuf>,
    /// Folder in which the units' signing keys are kept as well.
    pub signing_keys_dir: Option<PathBuf>,
}

impl Default for DevicesConfig {
    fn default() -> Self {
        Self {
            ca_cert_file: None,
            ca_key_file: None,
            ca_chain_file: None,
            certificate_days: 90,
            renew_grace_days: 30,
            crl_valid_h: 168,
            broker_address: None,
            broker_ca_file: None,
            crl_file: None,
            signing_keys_dir: None,
        }
    }
}

/// The section, checked.
#[derive(Debug, Clone)]
pub struct DevicesSettings {
    /// What signs; without one nothing is issued.
    pub authority: Option<Arc<Authority>>,
    /// Days a certificate is good.
    pub certificate_days: i64,
    /// Days after its end in which a certificate can still be renewed.
    pub renew_grace_days: i64,
    /// Microseconds a list of revoked certificates is good.
    pub crl_valid_us: i64,
    /// The broker that enrolled units are told.
    pub broker: Option<BrokerTold>,
    /// Where the list of revoked certificates is kept as well.
    pub crl_file: Option<PathBuf>,
    /// Where the units' signing keys are kept as well.
    pub signing_keys_dir: Option<PathBuf>,
}

impl DevicesConfig {
    /// Checks it, and reads its files.
    pub(super) fn check(&self, faults: &mut Faults) -> DevicesSettings {
        // CA/Browser Forum's longest, by which an operator who automates nothing has thirteen months.
        if !(1..=397).contains(&self.certificate_days) {
            faults.add("devices.certificate_days", "must be 1 to 397 days");
        }
        if !(0..=3650).contains(&self.renew_grace_days) {
            faults.add("devices.renew_grace_days", "must be 0 to 3650 days");
        }
        if !(1..=8760).contains(&self.crl_valid_h) {
            faults.add("devices.crl_valid_h", "must be 1 to 8760 hours");
        }
        let authority = match (&self.ca_cert_file, &self.ca_key_file) {
            (Some(cert), Some(key)) => {
                let opened = Authority::open(cert, key, self.ca_chain_file.as_deref());
                faults.check("devices.ca_cert_file", opened).map(Arc::new)
            }
            (None, None) => None,
            _ => {
                faults.add("devices.ca_cert_file", "and devices.ca_key_file go together; give both or none");
                None
            }
        };
        let needs_one =
            [("devices.ca_chain_file", &self.ca_chain_file), ("devices.crl_file", &self.crl_file)];
        for (key, path) in needs_one {
            if path.is_some() && self.ca_cert_file.is_none() {
                faults.add(key, "needs devices.ca_cert_file and devices.ca_key_file");
            }
        }
        DevicesSettings {
            authority,
            certificate_days: self.certificate_days,
            renew_grace_days: self.renew_grace_days,
            crl_valid_us: self.crl_valid_h.saturating_mul(HOUR_US),
            broker: self.broker(faults),
            crl_file: self.crl_file.clone(),
            signing_keys_dir: self.signing_keys_dir.clone(),
        }
    }

    fn broker(&self, faults: &mut Faults) -> Option<BrokerTold> {
        let (Some(address), Some(path)) = (&self.broker_address, &self.broker_ca_file) else {
            if self.broker_address.is_some() != self.broker_ca_file.is_some() {
                let what = "and devices.broker_ca_file go together; give both or none";
                faults.add("devices.broker_address", what);
            }
            return None;
        };
        let has_port = address
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
        if !has_port {
            faults.add("devices.broker_address", format!("{address:?} is no host:port"));
        }
        let read = std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()));
        let ca_pem = read.and_then(|text| {
            let is_pem = text.contains("-----BEGIN CERTIFICATE-----");
            if is_pem { Ok(text) } else { Err(format!("{} holds no certificate in PEM", path.display())) }
        });
        let ca_pem = faults.check("devices.broker_ca_file", ca_pem)?;
        Some(BrokerTold { address: address.clone(), ca_pem })
    }
}

#[cfg(test)]
mod tests {
    use wire::time::Timestamp;

    use super::*;
    use crate::devices::authority::init;

    #[test]
    fn faults_are_told_together_and_an_authority_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let made = |name: &str| init::make(&folder.path().join(name), ("Fleet", 10), Timestamp(0)).unwrap();
        let (one, other) = (made("one"), made("other"));
        let config = DevicesConfig {
            ca_cert_file: Some(one.0.clone()),
            ca_key_file: Some(other.1),
            certificate_days: 398,
            broker_address: Some("nowhere".to_owned()),
            broker_ca_file: Some(one.1.clone()),
            ..DevicesConfig::default()
        };
        let mut faults = Faults::of("api.toml");
        assert!(config.check(&mut faults).authority.is_none());
        let message = faults.finish(None::<()>).unwrap_err().to_string();
        for part in [
            "devices.certificate_days: must be 1 to 397",
            "devices.ca_cert_file: the key is not that of the certificate",
            "\"nowhere\" is no host:port",
            "ca-key.pem holds no certificate in PEM",
        ] {
            assert!(message.contains(part), "{part} in {message}");
        }
        let alone = DevicesConfig { crl_file: Some("x.pem".into()), ..DevicesConfig::default() };
        let mut faults = Faults::of("api.toml");
        alone.check(&mut faults);
        assert!(faults.finish(None::<()>).unwrap_err().to_string().contains("devices.crl_file: needs"));
        let whole = DevicesConfig {
            ca_cert_file: Some(one.0.clone()),
            ca_key_file: Some(one.1),
            broker_address: Some("broker.example.org:8883".to_owned()),
            broker_ca_file: Some(one.0),
            ..DevicesConfig::default()
        };
        let mut faults = Faults::of("api.toml");
        let settings = whole.check(&mut faults);
        assert!(settings.authority.is_some() && settings.broker.is_some());
        faults.finish(Some(())).unwrap();
    }
}
