//! Who may do what: the client certificate's common name is who a client is, and a file in mosquitto's
//! form says what it may publish and subscribe to.
//!
//! In place of the crate `rmqtt-acl`, because that one loads a client's topics after the connection is
//! accepted, so that a first SUBSCRIBE may be refused; takes them away when an earlier connection of the
//! same client id ends, which may be after the next one began; and keys them by client id, which the
//! client chooses. Here a right depends on the name and the topic alone.
//!
//! A client id is bound to the name, for whoever connects with another's client id ends its connection.
//! A vehicle's client id is its name, or begins with it and a `_`, which no vehicle's id has (`edge-agent
//! check` tries a connection beside the agent's). One of the file's `user`s may have several connections,
//! whose client ids begin with its name and a `-`.

use std::{collections::HashMap, fmt, path::Path, str::FromStr};

use anyhow::{Context, Result, anyhow, bail};

/// What a client wants to do with a topic or with a topic filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Publish to it.
    Write,
    /// Subscribe to it.
    Read,
}

/// A line of the file.
#[derive(Debug, Clone)]
struct Rule {
    may_read: bool,
    may_write: bool,
    filter: String,
}

/// The file.
#[derive(Debug, Default)]
pub struct Access {
    users: HashMap<String, Vec<Rule>>,
    patterns: Vec<Rule>,
}

impl Access {
    /// Reads a file in mosquitto's form: `user`, `topic` and `pattern` lines.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        text.parse().with_context(|| format!("{} does not fit", path.display()))
    }

    /// Whether somebody of this name may connect with this client id.
    pub fn may_connect(&self, name: &str, client_id: &str) -> bool {
        if !is_plain(name) {
            return false;
        }
        let Some(rest) = client_id.strip_prefix(name) else { return false };
        rest.is_empty() || rest.starts_with('_') || rest.starts_with('-') && self.users.contains_key(name)
    }

    /// Whether somebody of this name may do this with a topic, or with all topics of a filter.
    pub fn may(&self, name: &str, right: Right, topic: &str) -> bool {
        let of_user = self.users.get(name).into_iter().flatten();
        let is_for = |rule: &&Rule| match right {
            Right::Read => rule.may_read,
            Right::Write => rule.may_write,
        };
        of_user.filter(is_for).any(|rule| covers(&rule.filter, topic, name))
            || self.patterns.iter().filter(is_for).any(|rule| covers(&rule.filter, topic, name))
    }
}

/// Names that cannot be taken for a wildcard or for several levels.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

/// Whether a rule's filter, of somebody of this name, has every topic that `asked` can have.
fn covers(rule: &str, asked: &str, name: &str) -> bool {
    let mut asked = asked.split('/');
    for level in rule.split('/') {
        match (level, asked.next()) {
            ("#", _) => return true,
            (_, None | Some("#")) => return false,
            ("+", Some(_)) => {}
            ("%u", Some(level)) if level == name => {}
            (level, Some(other)) if level == other => {}
            _ => return false,
        }
    }
    asked.next().is_none()
}

impl FromStr for Access {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut access = Self::default();
        let mut user: Option<String> = None;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            let at = || format!("line {}: {line}", number + 1);
            match words.as_slice() {
                ["user", name] if is_plain(name) => {
                    access.users.entry((*name).to_owned()).or_default();
                    user = Some((*name).to_owned());
                }
                ["topic", right, filter] => {
                    let name = user.as_ref().ok_or_else(|| anyhow!("{}: of no user", at()))?;
                    let rule = Rule::new(right, filter).with_context(at)?;
                    access.users.entry(name.clone()).or_default().push(rule);
                }
                ["pattern", right, filter] => {
                    access.patterns.push(Rule::new(right, filter).with_context(at)?);
                }
                _ => bail!(
                    "{}: not user NAME, or topic or pattern with read, write or readwrite and a filter",
                    at()
                ),
            }
        }
        Ok(access)
    }
}

impl Rule {
    fn new(right: &str, filter: &str) -> Result<Self> {
        let (may_read, may_write) = match right {
            "read" => (true, false),
            "write" => (false, true),
            "readwrite" => (true, true),
            other => bail!("{other} is no right: read, write or readwrite"),
        };
        if filter.split('/').any(|level| level.contains('%') && level != "%u") {
            bail!("only %u stands for something, and for a whole level");
        }
        Ok(Self { may_read, may_write, filter: filter.to_owned() })
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules: usize = self.users.values().map(Vec::len).sum();
        write!(f, "{} patterns, {} users with {rules} topics", self.patterns.len(), self.users.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../../configs/brokers/mosquitto.acl");

    fn sample() -> Access {
        SAMPLE.parse().unwrap()
    }

    #[test]
    fn a_vehicle_speaks_for_itself_alone() {
        let access = sample();
        assert!(access.may("car-1", Right::Write, "rl/v1/17/car-1/telemetry"));
        assert!(access.may("car-1", Right::Read, "rl/v1/17/car-1/ack"));
        for topic in [
            "rl/v1/17/car-2/telemetry",
            "rl/v1/17/car-1/ack",
            "rl/v1/17/car-1",
            "rl/v1/17/car-1/telemetry/x",
            "x",
        ] {
            assert!(!access.may("car-1", Right::Write, topic), "{topic}");
        }
        for filter in
            ["rl/v1/+/+/ack", "rl/v1/+/car-1/#", "#", "rl/#", "$share/a/rl/v1/1/car-1/ack", "+/+/+/+/+"]
        {
            assert!(!access.may("car-1", Right::Read, filter), "{filter}");
        }
    }

    #[test]
    fn ingest_hears_all_vehicles_and_tells_them_only_acks() {
        let access = sample();
        assert!(access.may("ingest", Right::Read, "rl/v1/7/+/telemetry"));
        assert!(access.may("ingest", Right::Read, "rl/v1/+/+/catalog"));
        assert!(access.may("ingest", Right::Write, "rl/v1/7/car-1/ack"));
        assert!(!access.may("ingest", Right::Read, "rl/v1/7/+/reply"));
        assert!(!access.may("ingest", Right::Write, "rl/v1/7/car-1/command"));
    }

    #[test]
    fn nobody_connects_with_the_client_id_of_another() {
        let access = sample();
        assert!(access.may_connect("car-1", "car-1"));
        assert!(access.may_connect("car-1", "car-1_check"));
        assert!(!access.may_connect("car-1", "car-2"));
        // Which is another vehicle's.
        assert!(!access.may_connect("car-1", "car-1-2"));
        assert!(access.may_connect("ingest", "ingest-0-of-2-77"));
        assert!(!access.may_connect("ingest", "ingest2"));
    }

    #[test]
    fn a_name_that_is_a_wildcard_is_nobodys() {
        for name in ["+", "#", "", "a/b", "%u", "$x", "car_1"] {
            assert!(!sample().may_connect(name, name), "{name}");
        }
    }

    #[test]
    fn a_file_that_says_something_else_is_refused_with_its_line() {
        for (text, part) in [
            ("topic read a", "line 1: topic read a: of no user"),
            ("\npattern deny a/%u", "line 2"),
            ("pattern read a/x%u", "line 1"),
            ("user a b", "line 1"),
        ] {
            let error = format!("{:#}", text.parse::<Access>().unwrap_err());
            assert!(error.contains(part), "{error}");
        }
    }
}
