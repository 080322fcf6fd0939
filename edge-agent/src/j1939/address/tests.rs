use super::*;

/// An engine of maker 100, identity 7, that takes no other address by itself.
fn engine(function_instance: u64) -> Name {
    Name(7 | 100 << 21 | function_instance << 35 | 1 << 60)
}

#[test]
fn a_name_s_fields_lie_where_the_standard_puts_them() {
    let name = Name(
        0x1F_FFFF | 0x123 << 21 | 5 << 32 | 17 << 35 | 30 << 40 | 99 << 49 | 6 << 56 | 2 << 60 | 1 << 63,
    );
    assert_eq!((name.identity(), name.manufacturer()), (0x1F_FFFF, 0x123));
    assert_eq!((name.ecu_instance(), name.function_instance(), name.function()), (5, 17, 30));
    assert_eq!((name.vehicle_system(), name.vehicle_system_instance()), (99, 6));
    assert_eq!((name.industry_group(), name.is_arbitrary_address_capable()), (2, true));
}

#[test]
fn a_unit_is_called_by_its_preferred_address_claimed_or_not() {
    let mut book = AddressBook::default();
    assert_eq!(book.called(SourceAddress(0)), "engine-1 (SA 0)");
    book.claim(SourceAddress(0), engine(0));
    assert_eq!(book.called(SourceAddress(0)), "engine-1 (SA 0)");
    assert_eq!(book.called(SourceAddress(163)), "SA 163");
}

#[test]
fn a_name_keeps_what_it_is_called_when_its_address_moves() {
    let mut book = AddressBook::default();
    book.claim(SourceAddress(0), engine(0));
    book.claim(SourceAddress(140), engine(0));
    assert_eq!(book.called(SourceAddress(140)), "engine-1 (SA 0)");
    assert_eq!((book.name(SourceAddress(0)), book.name(SourceAddress(140))), (None, Some(engine(0))));
    // Another unit takes the address it left.
    book.claim(SourceAddress(0), engine(1));
    assert_eq!(book.name(SourceAddress(0)), Some(engine(1)));
}

#[test]
fn a_unit_on_no_preferred_address_is_called_by_its_function() {
    let mut book = AddressBook::default();
    book.claim(SourceAddress(140), engine(1));
    assert_eq!(book.called(SourceAddress(140)), "engine-2 (SA 140)");
}

#[test]
fn a_unit_that_cannot_claim_loses_its_address() {
    let mut book = AddressBook::default();
    book.claim(SourceAddress(140), engine(1));
    book.claim(SourceAddress::NULL, engine(1));
    assert_eq!(book.name(SourceAddress(140)), None);
    assert_eq!(book.called(SourceAddress(140)), "SA 140");
}

#[test]
fn tables_are_sorted_for_their_search_and_names_are_bounded() {
    assert!(ADDRESSES.windows(2).all(|w| w[0].0 < w[1].0));
    assert!(FUNCTIONS.windows(2).all(|w| w[0].0 < w[1].0));
    let mut book = AddressBook::default();
    for i in 0..10_000_u64 {
        book.claim(SourceAddress(u8::try_from(i % 254).unwrap()), Name(i));
    }
    assert!(book.by_address.len() <= 254 && book.called.len() <= NAME_COUNT_MAX + 1, "{}", book.called.len());
}
