//! `[oidc]`: the provider that people sign in at.

use std::path::{Path, PathBuf};

use reqwest::Certificate;
use serde::Deserialize;
use service::config::{Faults, Secret};
use url::{Host, Url};

use crate::{ids::OrganizationId, sign_in::SessionKey, users::role::Role};

const MINUTE_US: i64 = 60_000_000;

/// The section as written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OidcConfig {
    /// The provider, as it calls itself.
    pub issuer: String,
    /// The name we are registered by there.
    pub client_id: String,
    /// File with the client's secret; a public client without.
    pub client_secret_file: Option<PathBuf>,
    /// Where browsers reach the console.
    pub public_url: String,
    /// What is asked for, with spaces between.
    pub scopes: String,
    /// What the button says.
    pub label: String,
    /// The audience of access tokens that are taken as well.
    pub audience: Option<String>,
    /// PEM file of an authority that the provider's certificate is trusted by too.
    pub ca_file: Option<PathBuf>,
    /// File with the key that seals refresh tokens; made if it is not there.
    pub session_key_file: Option<PathBuf>,
    /// Hours after which a session ends at the latest.
    pub session_h: i64,
    /// Minutes after which an unused session ends.
    pub idle_min: i64,
    /// What becomes of who is no user.
    pub new_people: NewPeopleConfig,
}

/// What becomes of who is no user, as written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum NewPeopleConfig {
    /// `"refuse"`.
    Word(String),
    /// They become one.
    Become(NewPersonConfig),
}

/// What they become.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPersonConfig {
    /// Where.
    pub organization_id: String,
    /// As what.
    pub role: String,
    /// Only who has an address there; everybody's when absent.
    #[serde(default)]
    pub email_domains: Option<Vec<String>>,
}

impl Default for OidcConfig {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            client_id: String::new(),
            client_secret_file: None,
            public_url: String::new(),
            scopes: "openid email profile offline_access".to_owned(),
            label: "Single sign-on".to_owned(),
            audience: None,
            ca_file: None,
            session_key_file: None,
            session_h: 12,
            idle_min: 60,
            new_people: NewPeopleConfig::Word("refuse".to_owned()),
        }
    }
}

/// What becomes of who is no user.
#[derive(Debug, Clone, PartialEq)]
pub enum NewPeople {
    /// They are refused.
    Refuse,
    /// They become one.
    Become {
        /// Where.
        organization_id: OrganizationId,
        /// As what.
        role: Role,
        /// In lower case; all of them when none are named.
        email_domains: Option<Vec<String>>,
    },
}

/// The section, checked.
#[derive(Debug, Clone)]
pub struct OidcSettings {
    /// The provider.
    pub issuer: String,
    /// Our name there.
    pub client_id: String,
    /// Our secret there.
    pub client_secret: Option<Secret>,
    /// Where browsers reach the console: an origin.
    pub public_url: Url,
    /// What is asked for.
    pub scopes: String,
    /// What the button says.
    pub label: String,
    /// The audience of access tokens that are taken.
    pub audience: Option<String>,
    /// Authorities that are trusted too.
    pub ca: Vec<Certificate>,
    /// File with the key that seals refresh tokens.
    pub session_key_file: Option<PathBuf>,
    /// Microseconds after which a session ends at the latest.
    pub session_us: i64,
    /// Microseconds after which an unused one ends.
    pub idle_us: i64,
    /// What becomes of who is no user.
    pub new_people: NewPeople,
}

impl OidcSettings {
    /// Where the provider sends people back to.
    pub(crate) fn callback_url(&self) -> String {
        format!("{}/v1/sign-in/callback", self.origin())
    }

    /// The console's origin, as browsers send it.
    pub(crate) fn origin(&self) -> String {
        self.public_url.origin().ascii_serialization()
    }

    /// Whether browsers keep cookies to TLS: else it is this machine.
    pub(crate) fn is_secure(&self) -> bool {
        self.public_url.scheme() == "https"
    }

    /// Whether the provider is on this machine.
    pub(crate) fn is_provider_here(&self) -> bool {
        Url::parse(&self.issuer).is_ok_and(|url| is_loopback(&url))
    }

    /// Whether an address of the provider's is one that secrets may be sent to.
    pub(crate) fn may_be_asked(&self, url: &Url) -> bool {
        url.scheme() == "https" || (url.scheme() == "http" && self.is_provider_here() && is_loopback(url))
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

impl OidcConfig {
    /// Checks it, and reads its files.
    pub(super) fn check(&self, faults: &mut Faults, has_operators_key: bool) -> Option<OidcSettings> {
        if !has_operators_key {
            faults.add(
                "oidc.issuer",
                "needs api_key_file too: without one whoever is on this machine is its owner and signs in nowhere",
            );
        }
        let issuer =
            faults.check("oidc.issuer", secure_url(&self.issuer, "https://login.example.org/realms/fleet"));
        if issuer.is_some_and(|url| url.query().is_some() || url.fragment().is_some()) {
            faults.add("oidc.issuer", "must have neither a query nor a fragment");
        }
        let public_url = faults.check("oidc.public_url", origin(&self.public_url));
        let required =
            [("oidc.client_id", &self.client_id), ("oidc.label", &self.label), ("oidc.scopes", &self.scopes)];
        for (key, text) in required {
            if text.trim().is_empty() || text.chars().any(char::is_control) {
                faults.add(key, "must be there, on one line");
            }
        }
        if !self.scopes.split_whitespace().any(|scope| scope == "openid") {
            faults.add("oidc.scopes", "must have \"openid\" among them");
        }
        let secret = self.client_secret_file.as_deref().map(Secret::from_file).transpose();
        let client_secret = faults.check("oidc.client_secret_file", secret).flatten();
        match self.audience.as_deref() {
            Some("") => {
                faults.add("oidc.audience", "must not be empty; leave it out to take no access tokens")
            }
            // The provider hands these to browsers when they sign out.
            Some(audience) if audience == self.client_id => {
                faults.add(
                    "oidc.audience",
                    "must be another than client_id: ID tokens would be taken for access tokens",
                );
            }
            _ => {}
        }
        let ca = self.ca_file.as_deref().map(certificates).transpose();
        let ca = faults.check("oidc.ca_file", ca).flatten().unwrap_or_default();
        if let Some(path) = self.session_key_file.as_deref().filter(|path| path.exists()) {
            faults.check("oidc.session_key_file", SessionKey::open(path));
        }
        if !(1..=720).contains(&self.session_h) {
            faults.add("oidc.session_h", "must be 1 to 720 hours");
        }
        if !(5..=43_200).contains(&self.idle_min) {
            faults.add("oidc.idle_min", "must be 5 to 43200 minutes");
        }
        let new_people = self.new_people.check(faults)?;
        Some(OidcSettings {
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            client_secret,
            public_url: public_url?,
            scopes: self.scopes.clone(),
            label: self.label.trim().to_owned(),
            audience: self.audience.clone(),
            ca,
            session_key_file: self.session_key_file.clone(),
            session_us: self.session_h.saturating_mul(60 * MINUTE_US),
            idle_us: self.idle_min.saturating_mul(MINUTE_US),
            new_people,
        })
    }
}

impl NewPeopleConfig {
    fn check(&self, faults: &mut Faults) -> Option<NewPeople> {
        let new = match self {
            Self::Word(word) if word == "refuse" => return Some(NewPeople::Refuse),
            Self::Word(word) => {
                let what = format!("{word:?} is neither \"refuse\" nor a table [oidc.new_people]");
                faults.add("oidc.new_people", what);
                return None;
            }
            Self::Become(new) => new,
        };
        let organization_id = faults.check("oidc.new_people.organization_id", new.organization_id.parse());
        let role = faults.check("oidc.new_people.role", new.role.parse());
        let domains = new.email_domains.as_ref();
        if domains
            .is_some_and(|all| all.is_empty() || all.iter().any(|d| d.trim().is_empty() || d.contains('@')))
        {
            let what = "must name domains such as \"fleet.example\"; leave it out to take any address";
            faults.add("oidc.new_people.email_domains", what);
        }
        let email_domains =
            domains.map(|all| all.iter().map(|domain| domain.trim().to_lowercase()).collect());
        Some(NewPeople::Become { organization_id: organization_id?, role: role?, email_domains })
    }
}

fn secure_url(text: &str, example: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| format!("{text:?} is no URL; write one like {example:?}"))?;
    let is_secure = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
    if !is_secure || url.host().is_none() || !url.username().is_empty() || url.password().is_some() {
        return Err(format!("{text:?} must be an https URL without a user, or http on this machine"));
    }
    Ok(url)
}

fn origin(text: &str) -> Result<Url, String> {
    let url = secure_url(text, "https://fleet.example")?;
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{text:?} must end with its host or port: the console is at the root of it"));
    }
    Ok(url)
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, String> {
    let pem = std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let found = Certificate::from_pem_bundle(&pem).unwrap_or_default();
    if found.is_empty() { Err(format!("{} holds no certificate in PEM", path.display())) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> OidcConfig {
        OidcConfig {
            issuer: "https://login.example.org/realms/fleet".to_owned(),
            client_id: "roadlake".to_owned(),
            public_url: "https://fleet.example".to_owned(),
            ..OidcConfig::default()
        }
    }

    fn message(config: &OidcConfig) -> String {
        let mut faults = Faults::of("api.toml");
        let settings = config.check(&mut faults, true);
        faults.finish(settings).map(|_| ()).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn faults_are_told_together() {
        let bad = OidcConfig {
            issuer: "http://login.example.org".to_owned(),
            client_id: String::new(),
            public_url: "https://fleet.example/console".to_owned(),
            scopes: "email".to_owned(),
            session_h: 0,
            idle_min: 1,
            ca_file: Some("none.pem".into()),
            client_secret_file: Some("none.secret".into()),
            new_people: NewPeopleConfig::Become(NewPersonConfig {
                organization_id: "acme".to_owned(),
                role: "king".to_owned(),
                email_domains: Some(vec!["a@b".to_owned()]),
            }),
            ..OidcConfig::default()
        };
        let mut faults = Faults::of("api.toml");
        assert!(bad.check(&mut faults, false).is_none());
        let message = faults.finish(None::<()>).unwrap_err().to_string();
        for part in [
            "oidc.issuer: needs api_key_file",
            "\"http://login.example.org\" must be an https URL",
            "oidc.client_id",
            "oidc.public_url: \"https://fleet.example/console\" must end with its host",
            "oidc.scopes",
            "oidc.session_h",
            "oidc.idle_min",
            "oidc.ca_file: cannot read none.pem",
            "oidc.client_secret_file",
            "oidc.new_people.organization_id",
            "oidc.new_people.role: \"king\" is no role",
            "oidc.new_people.email_domains",
        ] {
            assert!(message.contains(part), "{part} in {message}");
        }
    }

    #[test]
    fn what_is_right_is_taken_and_what_is_near_it_is_not() {
        assert_eq!(message(&good()), "");
        let here = OidcConfig {
            issuer: "http://127.0.0.1:9000".to_owned(),
            public_url: "http://localhost:8080/".to_owned(),
            ..good()
        };
        assert_eq!(message(&here), "");
        let same = OidcConfig { audience: Some("roadlake".to_owned()), ..good() };
        assert!(message(&same).contains("oidc.audience"));
        let word = OidcConfig { new_people: NewPeopleConfig::Word("welcome".to_owned()), ..good() };
        assert!(message(&word).contains("neither \"refuse\""));
        for url in
            ["", "fleet.example", "ftp://fleet.example", "https://a:b@fleet.example", "http://192.0.2.1"]
        {
            let config = OidcConfig { public_url: url.to_owned(), ..good() };
            assert!(message(&config).contains("oidc.public_url"), "{url}");
        }
    }

    /// Either of the two ways for new people.
    #[test]
    fn the_sample_reads() {
        let text = include_str!("../../../configs/api.toml");
        let section = text.split("\n# [oidc]\n").nth(1).unwrap();
        let lines = section.lines().filter_map(|line| line.strip_prefix("# "));
        let lines: Vec<&str> = lines.filter(|line| line.contains(" = ") || line.starts_with('[')).collect();
        let (word, table) = lines.split_at(lines.iter().position(|line| line.starts_with('[')).unwrap());
        let config: OidcConfig = toml::from_str(&word.join("\n")).unwrap();
        let named = |key: &str| word.iter().any(|line| line.starts_with(&format!("{key} = ")));
        for key in ["client_secret_file", "audience", "ca_file", "session_key_file", "session_h", "idle_min"]
        {
            assert!(named(key), "{key}");
        }
        let defaults = OidcConfig::default();
        assert_eq!((config.scopes, config.label), (defaults.scopes, defaults.label));
        assert_eq!((config.session_h, config.idle_min), (defaults.session_h, defaults.idle_min));
        assert_eq!(config.new_people, defaults.new_people);
        let text = table.join("\n").replace("oidc.", "").replace("org_…", "org_1");
        let text = word
            .iter()
            .filter(|line| !line.starts_with("new_people"))
            .fold(text, |text, line| format!("{line}\n{text}"));
        let config: OidcConfig = toml::from_str(&text).unwrap();
        let new = NewPersonConfig {
            organization_id: "org_1".to_owned(),
            role: "driver".to_owned(),
            email_domains: Some(vec!["fleet.example".to_owned()]),
        };
        assert_eq!(config.new_people, NewPeopleConfig::Become(new));
    }
}
