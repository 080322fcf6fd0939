//! Configuration: defaults < file < environment < flags, faults all told at once.
//!
//! A process has a raw `Config` (serde, `deny_unknown_fields`, every field defaulted) read by
//! [`load`], and a checked `Settings` made from it with a [`Faults`] collector. Durations and
//! sizes are texts with a unit ([`DurationText`], [`ByteSize`]).

use std::{env, fmt, fs, path::PathBuf, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

/// The version every configuration file carries.
pub const CONFIG_VERSION: i64 = 1;

/// Why a configuration is refused. Exit code [`crate::exit::CONFIG`].
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or not readable.
    #[error("cannot read configuration file {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong type.
    #[error("configuration {origin}: {message}")]
    Parse {
        /// The file, or "environment".
        origin: String,
        /// What and where, from the reader.
        message: String,
    },
    /// Values that cannot be used; one line each.
    #[error("configuration {origin} cannot be used:{}", .faults.iter().map(|f| format!("\n  {f}")).collect::<String>())]
    Faults {
        /// The file, or "defaults".
        origin: String,
        /// `key: what is wrong and what to write instead`.
        faults: Vec<String>,
    },
}

/// Where a configuration came from, for messages.
#[derive(Debug, Clone)]
pub struct Loaded<C> {
    /// The raw configuration.
    pub config: C,
    /// The file's path, or "defaults".
    pub origin: String,
}

/// Reads `file` (or only defaults when `None`), lays `ROADLAKE_{PROCESS}__KEY__SUBKEY` variables
/// over it, and refuses unknown keys. A variable's value is read as TOML where it is some
/// (`true`, `3`, `["a"]`), as text otherwise.
pub fn load<C: DeserializeOwned>(
    process: &str,
    file: Option<&std::path::Path>,
) -> Result<Loaded<C>, ConfigError> {
    let (mut table, origin) = match file {
        None => (toml::Table::new(), "defaults".to_owned()),
        Some(path) => {
            let text = fs::read_to_string(path)
                .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
            let origin = path.display().to_string();
            let table = parse_checked::<C>(&text, &origin)?;
            (table, origin)
        }
    };
    let prefix = format!("ROADLAKE_{}__", process.to_uppercase().replace('-', "_"));
    let mut laid_over = false;
    for (name, value) in env::vars() {
        let Some(key) = name.strip_prefix(&prefix) else { continue };
        let path: Vec<String> = key.split("__").map(str::to_lowercase).collect();
        insert(&mut table, &path, toml_value(&value));
        laid_over = true;
    }
    let origin = if laid_over { format!("{origin} with environment") } else { origin };
    let config = C::deserialize(table).map_err(|e| ConfigError::Parse {
        origin: origin.clone(),
        message: e.to_string().trim_end().to_owned(),
    })?;
    Ok(Loaded { config, origin })
}

/// Parses the file by itself first, so that a message carries its line.
fn parse_checked<C: DeserializeOwned>(text: &str, origin: &str) -> Result<toml::Table, ConfigError> {
    let parse_error = |message: String| ConfigError::Parse { origin: origin.to_owned(), message };
    let mut table: toml::Table =
        toml::from_str(text).map_err(|e| parse_error(e.to_string().trim_end().to_owned()))?;
    match table.remove("version") {
        Some(toml::Value::Integer(CONFIG_VERSION)) => {}
        Some(other) => {
            return Err(parse_error(format!(
                "version = {other:?} is not known to this release; write version = 1"
            )));
        }
        None => return Err(parse_error("the line `version = 1` is missing at the top".to_owned())),
    }
    let without_version = blank_version(text);
    toml::from_str::<C>(&without_version).map_err(|e| parse_error(e.to_string().trim_end().to_owned()))?;
    Ok(table)
}

/// The text with the file's own `version` line empty, so that lines keep their numbers.
fn blank_version(text: &str) -> String {
    let mut is_at_top = true;
    let lines = text.lines().map(|line| {
        is_at_top &= !line.trim_start().starts_with('[');
        let is_version = line.split_once('=').is_some_and(|(key, _)| key.trim() == "version");
        if is_at_top && is_version { "" } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn toml_value(text: &str) -> toml::Value {
    toml::from_str::<toml::Table>(&format!("v = {text}"))
        .ok()
        .and_then(|mut t| t.remove("v"))
        .unwrap_or_else(|| toml::Value::String(text.to_owned()))
}

fn insert(table: &mut toml::Table, path: &[String], value: toml::Value) {
    match path {
        [] => {}
        [key] => {
            table.insert(key.clone(), value);
        }
        [key, rest @ ..] => {
            let below = table.entry(key.clone()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            if let toml::Value::Table(below) = below {
                insert(below, rest, value);
            }
        }
    }
}

/// Collects everything wrong with a configuration, to be told at once.
#[derive(Debug)]
pub struct Faults {
    origin: String,
    faults: Vec<String>,
}

impl Faults {
    /// None yet, for a configuration from `origin`.
    pub fn of(origin: &str) -> Self {
        Self { origin: origin.to_owned(), faults: Vec::new() }
    }

    /// Notes `key: what`.
    pub fn add(&mut self, key: &str, what: impl fmt::Display) {
        self.faults.push(format!("{key}: {what}"));
    }

    /// The value, or a note and `None`.
    pub fn check<T, E: fmt::Display>(&mut self, key: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|e| self.add(key, e)).ok()
    }

    /// `settings` when there are no faults; a missing one without a fault is a fault itself.
    pub fn finish<S>(mut self, settings: Option<S>) -> Result<S, ConfigError> {
        match settings {
            Some(settings) if self.faults.is_empty() => Ok(settings),
            _ => {
                if self.faults.is_empty() {
                    self.faults.push("incomplete".to_owned());
                }
                Err(ConfigError::Faults { origin: self.origin, faults: self.faults })
            }
        }
    }
}

/// A duration written `"10s"`, `"5m"`, `"250ms"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DurationText(pub Duration);

/// A size in bytes written `"64MiB"`, `"1GB"`, `"512"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl FromStr for DurationText {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text)
            .map(Self)
            .map_err(|e| format!("{text:?} is no duration ({e}); write one like \"10s\" or \"5m\""))
    }
}

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.0))
    }
}

impl FromStr for ByteSize {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no size; write one like \"64MiB\"");
        let digits = text.trim().trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim();
        let unit = text.trim()[digits.len()..].trim().to_lowercase();
        let factor: u64 = match unit.as_str() {
            "" | "b" => 1,
            "kb" => 1000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            "kib" => 1 << 10,
            "mib" => 1 << 20,
            "gib" => 1 << 30,
            "tib" => 1 << 40,
            _ => return Err(bad()),
        };
        let count: u64 = digits.parse().map_err(|_| bad())?;
        count.checked_mul(factor).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("TiB", 1_u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match units.into_iter().find(|(_, size)| self.0 >= *size && self.0.is_multiple_of(*size)) {
            Some((name, size)) => write!(f, "{}{name}", self.0 / size),
            None => write!(f, "{}", self.0),
        }
    }
}

macro_rules! text_serde {
    ($name:ident) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
    };
}
text_serde!(DurationText);
text_serde!(ByteSize);

/// A secret: shown as `***` wherever it is printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Reads the first line of a file, as `*_file` keys name them.
    pub fn from_file(path: &std::path::Path) -> Result<Self, String> {
        let text = fs::read_to_string(path)
            .map_err(|e| format!("cannot read secret file {}: {e}", path.display()))?;
        match text.lines().next().map(str::trim) {
            Some(line) if !line.is_empty() => Ok(Self(line.to_owned())),
            _ => Err(format!("secret file {} is empty", path.display())),
        }
    }

    /// The secret in a file, where one is named; else that of an environment variable, if it is set.
    pub fn from_file_or_env(path: Option<&std::path::Path>, variable: &str) -> Result<Option<Self>, String> {
        match path {
            Some(path) => Self::from_file(path).map(Some),
            None => Ok(std::env::var(variable).ok().filter(|text| !text.is_empty()).map(Self)),
        }
    }

    /// The secret itself: never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Sample {
        every: DurationText,
        size_max: ByteSize,
        tls: Tls,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Tls {
        ca: Option<String>,
    }

    impl Default for Sample {
        fn default() -> Self {
            Self {
                every: DurationText(Duration::from_secs(1)),
                size_max: ByteSize(64 << 20),
                tls: Tls::default(),
            }
        }
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn a_file_overrides_defaults_and_keeps_the_rest() {
        let f = file("version = 1\nevery = \"10s\"\n[tls]\nca = \"a\"\n");
        let loaded: Loaded<Sample> = load("sample", Some(f.path())).unwrap();
        assert_eq!(loaded.config.every.0, Duration::from_secs(10));
        assert_eq!(loaded.config.size_max.to_string(), "64MiB");
        assert_eq!(loaded.config.tls.ca.as_deref(), Some("a"));
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let f = file("version = 1\nevry = \"10s\"\n");
        let message = load::<Sample>("sample", Some(f.path())).unwrap_err().to_string();
        assert!(message.contains("evry") && message.contains("line 2"), "{message}");
    }

    #[test]
    fn a_bad_unit_or_version_says_what_to_write() {
        let f = file("version = 1\nevery = \"10\"\n");
        assert!(load::<Sample>("sample", Some(f.path())).unwrap_err().to_string().contains("10s"));
        let f = file("every = \"10s\"\n");
        assert!(load::<Sample>("sample", Some(f.path())).unwrap_err().to_string().contains("version = 1"));
    }

    #[test]
    fn faults_are_told_all_at_once() {
        let mut faults = Faults::of("x.toml");
        faults.add("a", "is wrong");
        faults.add("b", "is wrong too");
        let message = faults.finish(Some(())).unwrap_err().to_string();
        assert!(message.contains("a: is wrong") && message.contains("b: is wrong too"));
    }
}
