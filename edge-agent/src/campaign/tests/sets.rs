//! Sets as they are written.

use super::*;

#[test]
fn a_set_that_cannot_be_used_tells_every_fault_at_once() {
    let text = "[[campaign]]\nname = \"Bad Name\"\nwhen = \"Vehicle.Speed > 80 celsius\"\n\
        [[campaign.collect]]\nsignals = [\"Vehicle.Sped\", \"Vehicle.Cabin.*\"]\n\
        [[campaign]]\nname = \"two\"\nbefore = \"1h\"\n\
        [[campaign.collect]]\nsignals = [\"Vehicle.Speed\"]\ntake = \"aggregate\"\ndead_band = \"1\"\n";
    let vehicle = "car-1".parse().unwrap();
    let message = Plan::compile(&set(text), &vehicle, &catalog(), Bounds::default()).unwrap_err().to_string();
    for part in
        ["Bad Name", "column 15", "Vehicle.Sped", "Vehicle.Cabin.*", "before", "add `when`", "`interval`"]
    {
        assert!(message.contains(part), "{part} in {message}");
    }
    let other = CampaignSet { vehicles: vec!["car-2".parse().unwrap()], ..set("") };
    let error = Plan::compile(&other, &vehicle, &catalog(), Bounds::default()).unwrap_err();
    assert!(error.to_string().contains("car-1"), "{error}");
}

#[test]
fn json_says_the_same_as_toml() {
    let toml = set(&overheat("before = \"2s\""));
    let json = format!(
        r#"{{"version":1,"id":"test","revision":1,"campaign":[{{"name":"overheat","when":"{HOT}","before":"2s","collect":[{{"signals":["Vehicle.Speed"]}}]}}]}}"#
    );
    let json = CampaignSet::parse(&json).unwrap();
    assert_eq!(CampaignSet { hash: toml.hash, ..json }, toml);
    assert!(
        CampaignSet::parse("version = 2\nid = \"x\"\nrevision = 1").unwrap_err().to_string().contains('2')
    );
}

/// Names a reader expects, from its own message about a name it does not know.
fn expected_names(json: &str) -> Vec<String> {
    let message = CampaignSet::parse(json).unwrap_err().to_string();
    let list = message.split("expected one of").nth(1).unwrap_or_else(|| panic!("{message}"));
    let mut names: Vec<String> = list.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn the_published_schema_has_the_keys_the_reader_has() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/campaigns/schema.json");
    let schema: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let keys = |place: &str| -> Vec<String> {
        let properties = schema.pointer(place).and_then(|p| p.as_object()).unwrap();
        let mut keys: Vec<String> = properties.keys().cloned().collect();
        keys.sort();
        keys
    };
    assert_eq!(keys("/properties"), expected_names(r#"{"no":1}"#));
    assert_eq!(keys("/$defs/campaign/properties"), expected_names(r#"{"campaign":[{"no":1}]}"#));
    assert_eq!(keys("/$defs/collect/properties"), expected_names(r#"{"campaign":[{"collect":[{"no":1}]}]}"#));
}
