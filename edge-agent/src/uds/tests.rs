#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

use std::sync::Arc;

use wire::time::Timestamp;

use super::*;
use crate::{
    frame::{Frame, FrameId, FrameKind},
    isotp::{Address, Link, LinkFault, LinkSettings},
};

const MS: i64 = 1000;

fn id(raw: u32) -> FrameId {
    FrameId { raw, is_extended: false }
}

fn client() -> Client {
    let address = Address::normal(id(0x7E0), id(0x7E8));
    Client::new(Link::new(address, LinkSettings::default(), Arc::from("can0")), Timing::default())
}

fn asked(request: &[u8]) -> Client {
    let mut client = client();
    client.ask(request, None, Timestamp(0)).unwrap();
    assert!(client.take_frame(Timestamp(0)).is_some());
    client
}

fn answer(client: &mut Client, data: &[u8], at_us: i64) {
    let frame = Frame::new(Timestamp(at_us), Arc::from("can0"), id(0x7E8), FrameKind::Data, data).unwrap();
    client.observe(&frame);
}

#[test]
fn an_answer_within_p2_ends_the_request() {
    let mut client = asked(&read_data(0xF40C));
    answer(&mut client, &[0x05, 0x62, 0xF4, 0x0C, 1, 2], 20 * MS);
    let answer = vec![0x62, 0xF4, 0x0C, 1, 2];
    assert_eq!(client.take_outcome(), Some(Outcome::Positive { answer, time: Timestamp(20 * MS) }));
    assert!(client.is_idle());
}

#[test]
fn no_answer_within_p2_is_silence() {
    let mut client = asked(&read_data(0xF40C));
    client.tick(Timestamp(150 * MS));
    assert_eq!(client.take_outcome(), None);
    assert_eq!(client.wake_at(), Some(Timestamp(150 * MS + 1)));
    client.tick(Timestamp(150 * MS + 1));
    assert_eq!(client.take_outcome(), Some(Outcome::Silent { time: Timestamp(150 * MS + 1) }));
}

#[test]
fn response_pending_is_waited_for_by_p2_star_but_not_for_ever() {
    let mut client = asked(&dtcs_by_status(0xFF));
    answer(&mut client, &[0x03, 0x7F, 0x19, 0x78], 40 * MS);
    client.tick(Timestamp(5000 * MS));
    answer(&mut client, &[0x03, 0x59, 0x02, 0xFF], 5050 * MS);
    assert!(matches!(client.take_outcome(), Some(Outcome::Positive { .. })));

    let mut client = asked(&dtcs_by_status(0xFF));
    for second in 0..40 {
        answer(&mut client, &[0x03, 0x7F, 0x19, 0x78], second * 1000 * MS);
        client.tick(Timestamp(second * 1000 * MS + 1));
    }
    assert!(matches!(client.take_outcome(), Some(Outcome::Silent { time }) if time.0 <= 31_000 * MS));
}

#[test]
fn a_busy_control_unit_is_asked_again_a_few_times() {
    let mut client = asked(&read_data(0xF40C));
    let mut now = 0;
    for _ in 0..3 {
        answer(&mut client, &[0x03, 0x7F, 0x22, 0x21], now + 10 * MS);
        now = client.wake_at().unwrap().0;
        client.tick(Timestamp(now));
        assert_eq!(client.take_frame(Timestamp(now)).unwrap().data()[..4], [0x03, 0x22, 0xF4, 0x0C]);
    }
    answer(&mut client, &[0x03, 0x7F, 0x22, 0x21], now + 10 * MS);
    assert!(matches!(client.take_outcome(), Some(Outcome::Negative { code: NegativeCode::BUSY, .. })));
}

#[test]
fn answers_to_others_are_not_ours() {
    let mut client = asked(&read_data(0xF40C));
    for wrong in [
        &[0x05, 0x62, 0xF4, 0x0D, 1, 2][..],
        &[0x04, 0x41, 0x0C, 1, 2],
        &[0x03, 0x7F, 0x19, 0x31],
        &[0x01, 0x62],
    ] {
        answer(&mut client, wrong, 10 * MS);
        assert_eq!(client.take_outcome(), None, "{wrong:02X?}");
    }
    answer(&mut client, &[0x03, 0x7F, 0x22, 0x31], 20 * MS);
    let Some(Outcome::Negative { code, .. }) = client.take_outcome() else { panic!("no refusal") };
    assert_eq!(code.to_string(), "requestOutOfRange (0x31)");
}

#[test]
fn without_a_request_nothing_is_answered_to() {
    let mut client = client();
    answer(&mut client, &[0x10, 20, 0x62, 0xF4, 0x0C, 1, 2, 3], 0);
    assert_eq!((client.take_frame(Timestamp(0)), client.take_outcome()), (None, None));
}

#[test]
fn an_answer_that_breaks_off_fails() {
    let mut client = asked(&read_data(0xF40C));
    answer(&mut client, &[0x10, 20, 0x62, 0xF4, 0x0C, 1, 2, 3], 10 * MS);
    assert_eq!(client.take_frame(Timestamp(10 * MS)).unwrap().data()[0], 0x30);
    client.tick(Timestamp(1011 * MS));
    let fault = LinkFault::ConsecutiveTimeout;
    assert_eq!(client.take_outcome(), Some(Outcome::Failed { fault, time: Timestamp(1011 * MS) }));
}

#[test]
fn codes_carry_failure_type_and_status() {
    let answer = [0x59, 0x02, 0xFF, 0x01, 0x71, 0x00, 0x2F, 0xC1, 0x00, 0x87, 0x08, 0x00];
    let codes = parse_dtcs(&answer).unwrap();
    let texts: Vec<_> = codes.iter().map(|c| (c.code.to_string(), c.status)).collect();
    assert_eq!(texts, [("P0171-00".to_owned(), 0x2F), ("U0100-87".to_owned(), 0x08)]);
    for code in codes {
        assert_eq!(DtcCode::parse(&code.code.to_string()), Ok(code.code));
    }
    assert_eq!(DtcCode::parse("P0171"), Ok(DtcCode([0x01, 0x71, 0])));
    for text in ["", "P", "P017", "P01711", "X0171", "P4171", "P0171-", "P0171-8", "P+171", "P0171-é"] {
        assert!(DtcCode::parse(text).is_err(), "{text}");
    }
    assert_eq!(parse_dtcs(&[0x59, 0x04, 0xFF]), None);
    let code = DtcCode([0x01, 0x71, 0x00]);
    assert_eq!(parse_records(&[0x59, 0x06, 0x01, 0x71, 0x00, 0x2F, 1, 9], code), Some(&[1, 9][..]));
    assert_eq!(parse_records(&[0x59, 0x06, 0x01, 0x72, 0x00, 0x2F, 1, 9], code), None);
}
