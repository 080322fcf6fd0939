//! `[j1939]` and `[faults]`: what is listened to, and how patiently.

use serde::Deserialize;
use service::config::Faults;

use crate::{
    faults::FaultSettings,
    j1939::{BUS_COUNT_MAX, J1939Settings, Listen, SpnConversion},
};

/// `[j1939]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct J1939Config {
    /// `auto`, `always` or `never`.
    pub listen: ListenName,
    /// The interfaces that speak it; all when empty.
    pub interfaces: Vec<String>,
    /// How SPNs of old control units are laid out, 1 to 4.
    pub spn_conversion: u8,
}

/// When J1939 is listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListenName {
    /// When a DBC file has a message of J1939.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// `[faults]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultsConfig {
    /// Lists in a row, told by the unit itself, that a cleared code was missing from.
    pub absent_broadcasts: u32,
    /// The same of lists that were asked for.
    pub absent_polls: u32,
}

impl Default for J1939Config {
    fn default() -> Self {
        Self { listen: ListenName::Auto, interfaces: Vec::new(), spn_conversion: 4 }
    }
}

impl Default for FaultsConfig {
    fn default() -> Self {
        let FaultSettings { absent_broadcasts, absent_polls } = FaultSettings::default();
        Self { absent_broadcasts, absent_polls }
    }
}

impl J1939Config {
    pub(super) fn check(&self, faults: &mut Faults) -> Option<J1939Settings> {
        let spn_conversion = match self.spn_conversion {
            1 => Ok(SpnConversion::Version1),
            2 => Ok(SpnConversion::Version2),
            3 => Ok(SpnConversion::Version3),
            4 => Ok(SpnConversion::Version4),
            other => Err(format!("{other} is no version of the conversion; write 1, 2, 3 or 4")),
        };
        let spn_conversion = faults.check("j1939.spn_conversion", spn_conversion);
        if self.interfaces.len() > BUS_COUNT_MAX {
            faults.add("j1939.interfaces", format!("has more than {BUS_COUNT_MAX}; name fewer"));
        }
        Some(J1939Settings {
            listen: match self.listen {
                ListenName::Auto => Listen::Auto,
                ListenName::Always => Listen::Always,
                ListenName::Never => Listen::Never,
            },
            interfaces: self.interfaces.clone(),
            spn_conversion: spn_conversion?,
        })
    }
}

impl FaultsConfig {
    pub(super) fn check(&self, faults: &mut Faults) -> Option<FaultSettings> {
        for (key, count) in
            [("faults.absent_broadcasts", self.absent_broadcasts), ("faults.absent_polls", self.absent_polls)]
        {
            if !(1..=1000).contains(&count) {
                faults.add(key, "must be between 1 and 1000 lists");
            }
        }
        Some(FaultSettings { absent_broadcasts: self.absent_broadcasts, absent_polls: self.absent_polls })
    }
}
