//! Any bytes are a campaign set or a fault, and any text is an expression or a fault.
#![no_main]

use edge_agent::campaign::{Bounds, CampaignSet, Plan, parse::parse};
use libfuzzer_sys::fuzz_target;
use wire::{campaigns::SetPayload, catalog::Catalog};

fuzz_target!(|bytes: &[u8]| {
    let Ok(payload) = SetPayload::split(bytes) else { return };
    if let Ok(expr) = parse(payload.text) {
        // Printed with all its brackets it may be deeper than is allowed.
        if let Ok(again) = parse(&expr.to_string()) {
            assert_eq!(again, expr);
        }
    }
    let Ok(set) = CampaignSet::parse(payload.text) else { return };
    let Ok(vehicle_id) = "car-1".parse() else { return };
    let catalog = Catalog { vss_release: String::new(), columns: Vec::new() };
    let _ = Plan::compile(&set, &vehicle_id, &catalog, Bounds::default());
});
