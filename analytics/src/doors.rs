//! What the SQL doors share: where they listen, TLS, and who may come in.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, sync::Arc};

use lake::Whose;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde::Deserialize;
use service::config::{Faults, Secret};

/// `[postgres]` and `[flight]` as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DoorConfig {
    /// Where it listens; empty for nowhere.
    pub listen: String,
    /// Certificate and key of the server, PEM.
    pub tls_certificate_file: Option<PathBuf>,
    /// The key.
    pub tls_key_file: Option<PathBuf>,
    /// Connections at once.
    pub connections_max: usize,
    /// Who may come in; nobody named: anybody, on loopback only.
    pub users: Vec<UserConfig>,
}

/// One of `users` as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserConfig {
    /// The name.
    pub name: String,
    /// File with the password.
    pub password_file: PathBuf,
    /// The vehicles to be seen, `acme-*,van-7`; all when left out.
    pub vehicles: Option<String>,
}

impl Default for DoorConfig {
    fn default() -> Self {
        Self {
            listen: String::new(),
            tls_certificate_file: None,
            tls_key_file: None,
            connections_max: 64,
            users: Vec::new(),
        }
    }
}

/// The door, checked and ready.
#[derive(Debug, Clone)]
pub struct DoorSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// TLS, where it is spoken: then nothing else is.
    pub tls: Option<Tls>,
    /// Connections at once; more are refused.
    pub connections_max: usize,
    /// Who may come in; none: anybody.
    pub users: Vec<User>,
}

/// One who may come in.
#[derive(Debug, Clone)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password.
    pub password: Secret,
    /// The vehicles to be seen; `None` for all.
    pub whose: Option<Whose>,
}

/// A server's certificate and key.
#[derive(Clone)]
pub struct Tls {
    /// Checked: the key is the certificate's.
    config: Arc<ServerConfig>,
    /// The certificate and those above it.
    pub(crate) certificate_pem: Vec<u8>,
    /// The key: never log it.
    pub(crate) key_pem: Vec<u8>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    /// A server's side of it for a protocol, by that protocol's name in ALPN.
    pub(crate) fn speaking(&self, alpn: &[u8]) -> Arc<ServerConfig> {
        let mut config = ServerConfig::clone(&self.config);
        config.alpn_protocols = vec![alpn.to_vec()];
        Arc::new(config)
    }
}

impl DoorConfig {
    /// Checks it, `section` being its name in the file; `None` with faults, or when it does not listen. Where
    /// it names no users, those who may come in are `others`.
    pub(crate) fn check(
        &self,
        section: &str,
        others: &[UserConfig],
        faults: &mut Faults,
    ) -> Option<DoorSettings> {
        if self.listen.is_empty() {
            return None;
        }
        let key = |name: &str| format!("{section}.{name}");
        let listen = faults.check(&key("listen"), self.listen.parse::<SocketAddr>());
        let tls = self.tls(section, faults);
        let named = if self.users.is_empty() { others } else { &self.users };
        let users = users(section, named, faults);
        if self.connections_max == 0 {
            faults.add(&key("connections_max"), "must be more than 0");
        }
        if listen.is_some_and(|l| !l.ip().is_loopback()) {
            if named.is_empty() {
                faults.add(
                    &key("listen"),
                    format_args!(
                        "{} is open to the network; name [[{section}.users]], or listen on 127.0.0.1",
                        self.listen
                    ),
                );
            }
            if self.tls_certificate_file.is_none() {
                faults.add(
                    &key("listen"),
                    format_args!(
                        "{} would be read by the network; set tls_certificate_file and tls_key_file, or listen on 127.0.0.1",
                        self.listen
                    ),
                );
            }
        }
        Some(DoorSettings { listen: listen?, tls: tls?, connections_max: self.connections_max, users })
    }

    /// `None` with a fault; within it, `None` without TLS.
    #[allow(clippy::option_option, reason = "a fault is not the same as no TLS")]
    fn tls(&self, section: &str, faults: &mut Faults) -> Option<Option<Tls>> {
        let (certificate_file, key_file) = match (&self.tls_certificate_file, &self.tls_key_file) {
            (None, None) => return Some(None),
            (Some(certificate), Some(key)) => (certificate, key),
            _ => {
                faults.add(section, "tls_certificate_file and tls_key_file go together");
                return None;
            }
        };
        let [of_certificate, of_key] =
            ["tls_certificate_file", "tls_key_file"].map(|name| format!("{section}.{name}"));
        let named = |path: &PathBuf, e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        let certificate_pem = std::fs::read(certificate_file).map_err(|e| named(certificate_file, &e));
        let certificate_pem = faults.check(&of_certificate, certificate_pem)?;
        let chain = CertificateDer::pem_slice_iter(&certificate_pem).collect::<Result<Vec<_>, _>>();
        let chain = faults.check(&of_certificate, chain.map_err(|e| named(certificate_file, &e)))?;
        let key_pem = faults.check(&of_key, std::fs::read(key_file).map_err(|e| named(key_file, &e)))?;
        let key = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|e| named(key_file, &e));
        let key = faults.check(&of_key, key)?;
        service::tls::use_ring();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
        let config = Arc::new(faults.check(&of_certificate, config)?);
        Some(Some(Tls { config, certificate_pem, key_pem }))
    }
}

fn users(section: &str, named: &[UserConfig], faults: &mut Faults) -> Vec<User> {
    let mut users = Vec::with_capacity(named.len());
    let mut names = BTreeSet::new();
    for user in named {
        let key = format!("{section}.users {:?}", user.name);
        let password = faults.check(&key, Secret::from_file(&user.password_file));
        let whose = user.vehicles.as_deref().map(str::parse::<Whose>);
        let whose = whose.map(|whose| faults.check(&key, whose));
        if user.name.is_empty() || !names.insert(user.name.as_str()) {
            faults.add(&key, "every user has a name of its own");
        }
        let (Some(password), Some(whose)) = (password, whose.map_or(Some(None), |w| w.map(Some))) else {
            continue;
        };
        users.push(User { name: user.name.clone(), password, whose });
    }
    users
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// On a free port, without TLS.
    pub(crate) fn settings(users: Vec<User>) -> DoorSettings {
        DoorSettings { listen: "127.0.0.1:0".parse().unwrap(), tls: None, connections_max: 8, users }
    }

    pub(crate) fn user(name: &str, vehicles: Option<&str>) -> User {
        let whose = vehicles.map(|v| v.parse().unwrap());
        User { name: name.to_owned(), password: format!("secret of {name}").into(), whose }
    }

    /// A certificate for `localhost`, read from files as a server's is.
    pub(crate) fn tls() -> Tls {
        let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (dir, mut faults) = (tempfile::tempdir().unwrap(), Faults::of("test"));
        let file = |name: &str, text: String| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(path)
        };
        let config = DoorConfig {
            listen: "127.0.0.1:0".to_owned(),
            tls_certificate_file: file("cert.pem", certificate.cert.pem()),
            tls_key_file: file("key.pem", certificate.signing_key.serialize_pem()),
            ..DoorConfig::default()
        };
        config.check("door", &[], &mut faults).unwrap().tls.unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A broken configuration is told whole, by its keys.
    #[test]
    fn a_door_to_the_network_wants_users_and_a_certificate() {
        let mut faults = Faults::of("x.toml");
        let config = DoorConfig { listen: "0.0.0.0:5432".to_owned(), ..DoorConfig::default() };
        config.check("postgres", &[], &mut faults);
        let message = faults.finish(None::<()>).unwrap_err().to_string();
        assert!(
            message.contains("[[postgres.users]]") && message.contains("tls_certificate_file"),
            "{message}"
        );

        let mut faults = Faults::of("x.toml");
        let user = UserConfig {
            name: "a".to_owned(),
            password_file: "/nowhere".into(),
            vehicles: Some("*,a".to_owned()),
        };
        let config = DoorConfig {
            listen: "127.0.0.1".to_owned(),
            tls_key_file: Some("/nowhere".into()),
            users: vec![user.clone(), user],
            connections_max: 0,
            ..DoorConfig::default()
        };
        config.check("postgres", &[], &mut faults);
        let message = faults.finish(None::<()>).unwrap_err().to_string();
        for part in ["postgres.listen", "go together", "/nowhere", "connections_max", "a name of its own"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(DoorConfig::default().check("postgres", &[], &mut Faults::of("x.toml")).is_none());
    }

    /// A door that names no users lets those of the other one in, and nobody else.
    #[test]
    fn users_of_another_door_may_come_in() {
        let dir = tempfile::tempdir().unwrap();
        let password_file = dir.path().join("password");
        std::fs::write(&password_file, "secret\n").unwrap();
        let others = [UserConfig { name: "a".to_owned(), password_file, vehicles: None }];
        let config = DoorConfig { listen: "127.0.0.1:0".to_owned(), ..DoorConfig::default() };
        let mut faults = Faults::of("x.toml");
        let names = |settings: Option<DoorSettings>| {
            settings.unwrap().users.into_iter().map(|user| user.name).collect::<Vec<_>>()
        };
        assert_eq!(names(config.check("flight", &others, &mut faults)), ["a"]);
        assert_eq!(names(config.check("flight", &[], &mut faults)), [""; 0]);
    }
}
