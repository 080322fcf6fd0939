//! Any bytes are a catalogue or an error; one that reads has a stable name and is found by id.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::catalog::{Catalog, hash_of};

fuzz_target!(|bytes: &[u8]| {
    let Ok(catalog) = Catalog::decode(bytes) else { return };
    for column in &catalog.columns {
        assert_eq!(catalog.column(column.column_id).map(|c| c.column_id), Some(column.column_id));
        for (raw, text) in &column.labels {
            assert_eq!(column.label(*raw), Some(text.as_str()));
            let _ = column.scaled(*raw);
        }
    }
    let encoded = catalog.encode();
    assert_eq!(hash_of(&encoded), catalog.hash());
    // An unknown field of a later release is skipped, so what is written may be shorter.
    if let Ok(again) = Catalog::decode(&encoded) {
        assert_eq!(again.encode(), encoded);
    } else {
        // Only the bound can refuse what was read: protobuf of ours may be longer than the input,
        // whose fields may have had their defaults left out.
        assert!(encoded.len() > wire::catalog::CATALOG_BYTES_MAX);
    }
});
