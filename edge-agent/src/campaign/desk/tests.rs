//! What a desk accepts, refuses and keeps.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

use std::time::Duration;

use wire::{campaigns::sign, signature::BatchSigner};

use super::*;

fn catalog() -> Catalog {
    let dbc = crate::simulate::dbc();
    let map = crate::simulate::map(crate::simulate::Powertrain::Battery);
    let dbc = crate::dbc::Dbc::from_bytes(&dbc.name, &dbc.bytes).unwrap();
    let map = crate::map::SignalMap::parse(&map.name, std::str::from_utf8(&map.bytes).unwrap()).unwrap();
    let decoder = crate::decode::Decoder::compile(&[dbc]).unwrap();
    crate::map::MappedDecoder::new(decoder, &[map]).unwrap().catalog().clone()
}

fn signer() -> BatchSigner {
    BatchSigner::from_secret(&[9; 32])
}

fn set(revision: u64) -> String {
    format!(
        "version = 1\nid = \"fleet\"\nrevision = {revision}\n[[campaign]]\nname = \"c\"\n\
         [[campaign.collect]]\nsignals = [\"Vehicle.Speed\"]\n"
    )
}

struct Office {
    folder: tempfile::TempDir,
    settings: CampaignSettings,
}

impl Office {
    fn with_key() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key.pub");
        let hex: String = signer().public_key().iter().map(|b| format!("{b:02x}")).collect();
        fs::write(&key, hex + "\n").unwrap();
        let settings = CampaignSettings { public_key_file: Some(key), ..CampaignSettings::default() };
        Self { folder, settings }
    }

    fn open(&self) -> Desk {
        let (id, at) = ("car-1".parse().unwrap(), TakesEffect::AtOnce);
        Desk::open(id, catalog(), &self.settings, self.folder.path(), at).unwrap()
    }
}

fn revision(desk: &Desk) -> Option<u64> {
    desk.status().0.in_force.map(|s| s.revision)
}

#[test]
fn a_bad_set_is_refused_with_its_reason_and_the_last_good_one_stays_over_a_restart() {
    let office = Office::with_key();
    let desk = office.open();
    assert_eq!(revision(&desk), None);
    let mut seen = desk.accepted();
    assert_eq!(desk.deliver(&sign(&set(3), &signer()), Delivery::Mqtt).unwrap(), Accepted::New);
    assert_eq!(desk.take_new(&mut seen).unwrap().revision, 3);
    assert!(desk.take_new(&mut seen).is_none());
    assert_eq!(desk.deliver(&sign(&set(3), &signer()), Delivery::Mqtt).unwrap(), Accepted::Same);
    let other_key = BatchSigner::from_secret(&[1; 32]);
    let mut unknown_signal = set(9);
    unknown_signal = unknown_signal.replace("Vehicle.Speed", "Vehicle.Sped");
    for (payload, reason) in [
        (set(4).into_bytes(), "not signed"),
        (sign(&set(4), &other_key), "signature"),
        (sign(&set(2), &signer()), "revision 2 does not follow revision 3"),
        (sign(&unknown_signal, &signer()), "Vehicle.Sped is no signal"),
        (sign("version = 1", &signer()), "missing field"),
        (vec![0xFF; 40], "UTF-8"),
    ] {
        let before = desk.told();
        desk.deliver(&payload, Delivery::Mqtt).unwrap_err();
        let (status, told) = desk.status();
        assert!(status.refusal.contains(reason), "{reason} in {}", status.refusal);
        assert!(told > before);
        assert_eq!(revision(&desk), Some(3));
        assert!(desk.take_new(&mut seen).is_none());
    }
    let again = office.open();
    assert_eq!((revision(&again), again.status().0.refusal.as_str()), (Some(3), ""));
    assert_eq!(again.catalog_hash(), again.plan().unwrap().catalog().hash());
    assert_ne!(again.catalog_hash(), catalog().hash());
    again.deliver(&sign(&set(4), &signer()), Delivery::Mqtt).unwrap();
    assert_eq!((revision(&again), again.status().0.refusal.as_str()), (Some(4), ""));
}

#[test]
fn a_kept_set_that_another_key_signed_is_not_run() {
    let mut office = Office::with_key();
    office.open().deliver(&sign(&set(3), &signer()), Delivery::Mqtt).unwrap();
    let key = office.folder.path().join("other.pub");
    let public = BatchSigner::from_secret(&[1; 32]).public_key();
    fs::write(&key, public.iter().map(|b| format!("{b:02x}")).collect::<String>()).unwrap();
    office.settings.public_key_file = Some(key);
    let desk = office.open();
    assert_eq!(revision(&desk), None);
    assert!(desk.status().0.refusal.contains("signature"));
}

#[test]
fn without_a_key_only_the_local_file_is_accepted_and_only_while_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("set.toml");
    let settings = CampaignSettings { file: Some(file.clone()), ..CampaignSettings::default() };
    let mut office = Office { folder, settings };
    fs::write(&file, set(5)).unwrap();
    let desk = office.open();
    assert_eq!(revision(&desk), Some(5));
    let error = desk.deliver(&sign(&set(6), &signer()), Delivery::Mqtt).unwrap_err();
    assert!(matches!(error, CampaignError::NoKey));
    // A local file may go back, and a damaged one changes nothing.
    fs::write(&file, set(4)).unwrap();
    desk.read_file();
    assert_eq!(revision(&desk), Some(4));
    fs::write(&file, "version = ").unwrap();
    desk.read_file();
    assert_eq!(revision(&desk), Some(4));
    assert!(desk.status().0.refusal.contains("cannot be read"));
    assert_eq!(revision(&office.open()), Some(4));
    office.settings.file = None;
    assert_eq!(revision(&office.open()), None);
}

#[test]
fn the_battery_set_fits_the_simulated_vehicle() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/campaigns/battery-watch.toml");
    let set = CampaignSet::parse(&fs::read_to_string(path).unwrap()).unwrap();
    let plan = Plan::compile(&set, &"car-1".parse().unwrap(), &catalog(), Bounds::default()).unwrap();
    assert_eq!(plan.lines().len(), 4);
    // The longest window of the set at the simulator's rates is a small part of the ring.
    assert!(plan.before_us_max <= i64::try_from(Duration::from_secs(5).as_micros()).unwrap());
}
