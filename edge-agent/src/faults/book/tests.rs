use super::*;

fn code(name: &str, occurrences: u8) -> FaultCode {
    FaultCode { code: name.to_owned(), occurrences: Some(occurrences), ..FaultCode::default() }
}

fn report(second: i64, codes: &[FaultCode]) -> FaultReport {
    FaultReport {
        time: Timestamp(second * 1_000_000),
        protocol: Protocol::J1939,
        ecu: "engine-1 (SA 0)".to_owned(),
        list: FaultList::Active,
        codes: codes.to_vec(),
    }
}

/// Events of lists told each second, as `second kind code`.
fn events(lists: &[&[FaultCode]]) -> Vec<String> {
    let (mut book, mut out) = (FaultBook::new(FaultSettings::default()), Vec::new());
    for (second, codes) in lists.iter().enumerate() {
        book.report(&report(second as i64, codes), &mut out);
    }
    texts(&out)
}

fn texts(events: &[FaultEvent]) -> Vec<String> {
    let text = |e: &FaultEvent| {
        let code = e.code.as_ref().map_or("", |c| c.code.as_str());
        format!("{} {} {code}", e.time.0 / 1_000_000, e.kind.name()).trim_end().to_owned()
    };
    events.iter().map(text).collect()
}

#[test]
fn a_fault_is_raised_changed_and_cleared_once_each() {
    let lists: [&[FaultCode]; 8] =
        [&[], &[code("A", 1)], &[code("A", 1)], &[code("A", 2)], &[], &[], &[], &[]];
    assert_eq!(events(&lists), ["0 none", "1 raise A", "3 change A", "6 clear A"]);
}

#[test]
fn a_fault_that_flickers_is_one_fault() {
    let (a, none): (&[FaultCode], &[FaultCode]) = (&[code("A", 1)], &[]);
    assert_eq!(events(&[none, a, none, none, a, none, none, a]), ["0 none", "1 raise A"]);
}

#[test]
fn what_is_there_at_the_start_is_seen_and_not_raised() {
    let lists: [&[FaultCode]; 2] = [&[code("A", 1)], &[code("A", 1), code("B", 1)]];
    assert_eq!(events(&lists), ["0 seen A", "1 raise B"]);
}

#[test]
fn a_unit_that_falls_silent_clears_nothing() {
    let (mut book, mut out) = (FaultBook::new(FaultSettings::default()), Vec::new());
    book.report(&report(0, &[code("A", 1)]), &mut out);
    book.report(&report(100_000, &[code("A", 1)]), &mut out);
    assert_eq!((texts(&out), book.open_count()), (vec!["0 seen A".to_owned()], 1));
}

#[test]
fn lists_of_units_protocols_and_kinds_are_apart() {
    let (mut book, mut out) = (FaultBook::new(FaultSettings::default()), Vec::new());
    let active = report(0, &[code("A", 1)]);
    book.report(&active, &mut out);
    book.report(&FaultReport { list: FaultList::Previous, codes: Vec::new(), ..active.clone() }, &mut out);
    book.report(&FaultReport { ecu: "SA 9".to_owned(), codes: Vec::new(), ..active.clone() }, &mut out);
    book.report(&FaultReport { protocol: Protocol::Uds, codes: Vec::new(), ..active }, &mut out);
    assert_eq!(texts(&out), ["0 seen A", "0 none", "0 none", "0 none"]);
}

#[test]
fn a_list_that_was_asked_for_is_believed_at_once() {
    let (mut book, mut out) = (FaultBook::new(FaultSettings::default()), Vec::new());
    let first =
        FaultReport { protocol: Protocol::Obd, list: FaultList::Confirmed, ..report(0, &[code("P0171", 0)]) };
    book.report(&first, &mut out);
    book.report(&FaultReport { time: Timestamp(1_000_000), codes: Vec::new(), ..first }, &mut out);
    assert_eq!(texts(&out), ["0 seen P0171", "1 clear P0171"]);
}

#[test]
fn an_acknowledged_clear_is_believed_and_what_stays_is_raised_anew() {
    let (mut book, mut out) = (FaultBook::new(FaultSettings::default()), Vec::new());
    book.report(&report(0, &[code("A", 1), code("B", 1)]), &mut out);
    let list = (Protocol::J1939, "engine-1 (SA 0)", FaultList::Active);
    book.cleared(Timestamp(1_000_000), list, &mut out);
    book.report(&report(2, &[code("A", 1)]), &mut out);
    book.cleared(Timestamp(3_000_000), (Protocol::J1939, "SA 9", FaultList::Active), &mut out);
    assert_eq!(texts(&out), ["0 seen A", "0 seen B", "1 clear A", "1 clear B", "2 raise A"]);
}

#[test]
fn codes_and_lists_beyond_the_bounds_are_counted_and_not_kept() {
    let (mut book, mut out) = (FaultBook::new(FaultSettings::default()), Vec::new());
    let many: Vec<FaultCode> = (0..600).map(|i| code(&format!("P{i}"), 1)).collect();
    book.report(&report(0, &many), &mut out);
    assert_eq!((out.len(), book.open_count(), book.beyond()), (512, 512, (0, 88)));
    for i in 0..2000 {
        book.report(&FaultReport { ecu: format!("SA {i}"), ..report(0, &[]) }, &mut out);
    }
    assert_eq!(book.beyond().0, 977);
}
