//! The text of a set: what an author writes, and what is delivered of it.

use edge_agent::campaign::{CampaignSet, parse, set::SET_VERSION};
use service::logs::chain;
use wire::campaigns::SET_BYTES_MAX;

/// Signature and revision come to what an author writes.
const ROOM: usize = 512;

/// The text that is delivered, JSON: with its name and revision, which are not the author's to give. Comments stay
/// here.
pub(super) fn filled(text: &str, name: &str, revision: u64) -> Result<String, String> {
    let cannot = |error: &dyn std::fmt::Display| format!("cannot be read: {}", error.to_string().trim_end());
    let mut set: serde_json::Map<String, serde_json::Value> = if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map_err(|error| cannot(&error))?
    } else {
        toml::from_str(text).map_err(|error| cannot(&error))?
    };
    set.entry("version").or_insert_with(|| SET_VERSION.into());
    set.insert("id".to_owned(), name.into());
    set.insert("revision".to_owned(), revision.into());
    let filled = format!("{:#}", serde_json::Value::Object(set));
    if filled.len() + ROOM > SET_BYTES_MAX {
        return Err(format!("is {} bytes; a set has at most {}", filled.len(), SET_BYTES_MAX - ROOM));
    }
    Ok(filled)
}

/// Reads a set and its conditions, as far as that goes without a vehicle.
pub(super) fn check(text: &str, name: &str) -> Result<(), String> {
    let set = CampaignSet::parse(&filled(text, name, 1)?).map_err(|error| chain(&error).to_string())?;
    let mut faults = Vec::new();
    for campaign in &set.campaign {
        for (key, condition) in [("when", &campaign.when), ("until", &campaign.until)] {
            if let Some(Err(error)) = condition.as_deref().map(parse::parse) {
                faults.push(format!("campaign {}: {key}: {error}", campaign.name));
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# of the winter\n[[campaign]]\nname = \"cold\"\nwhen = \"Vehicle.Speed > 3 km/h\"\n\
                        [[campaign.collect]]\nsignals = [\"Vehicle.*\"]\n";

    #[test]
    fn what_is_delivered_has_the_name_and_revision_of_here() {
        for text in [TEXT, "id = \"mine\"\nrevision = 9\n", r#"{"id": "mine", "campaign": []}"#, ""] {
            let set = CampaignSet::parse(&filled(text, "winter", 7).unwrap()).unwrap();
            assert_eq!((set.id.as_str(), set.revision), ("winter", 7), "{text}");
        }
        // The same text and revision give the same bytes: their hash is what a vehicle tells.
        assert_eq!(filled(TEXT, "winter", 7), filled(TEXT, "winter", 7));
        let set = CampaignSet::parse(&filled(TEXT, "winter", 7).unwrap()).unwrap();
        assert_eq!(set.campaign[0].when.as_deref(), Some("Vehicle.Speed > 3 km/h"));
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        for (text, part) in [
            ("[[campaign]", "cannot be read"),
            ("{\"campaign\": [}", "cannot be read"),
            ("[[campaign]]\nname = \"a\"\nwen = \"x\"\n", "wen"),
            ("[[campaign]]\nname = \"a\"\nwhen = \"Vehicle.Speed >\"\n", "campaign a: when: column"),
            ("version = 7\n", "version = 7"),
        ] {
            let message = check(text, "a").unwrap_err();
            assert!(message.contains(part), "{part} in {message}");
        }
        let long = format!("# {}\nid = \"a\"\n[[campaign]]\nname = \"{}\"\n", "x", "y".repeat(SET_BYTES_MAX));
        assert!(filled(&long, "a", 1).unwrap_err().contains("at most"));
    }
}
