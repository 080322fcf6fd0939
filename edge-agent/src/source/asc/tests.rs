#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

use std::io::Cursor;

use proptest::prelude::*;

use super::*;

fn reader(text: &str) -> AscReader {
    AscReader::of_input("t.asc".to_owned(), Box::new(Cursor::new(text.as_bytes().to_vec())))
}

fn frames(text: &str) -> Vec<Frame> {
    let mut reader = reader(text);
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

const HEAD: &str = "date Mon Jul 26 04:40:55.012 2021\nbase hex  timestamps absolute\n";

#[test]
fn messages_of_both_kinds_remote_and_error_frames_are_read_and_other_events_passed_over() {
    let text = format!(
        "{HEAD}internal events logged\n// version 9.0.0\nBegin Triggerblock Mon Jul 26 04:40:55.012 2021\n\
         0.000000 Start of measurement\n\
         0.001000 1  7E8             Rx   d 2 03 41  Length = 240000 BitCount = 124 ID = 2024\n\
         0.002000 2  18FEF100x       Tx   d 8 01 02 03 04 05 06 07 08\n\
         0.003000 1  123             Rx   r\n\
         0.004000 1  ErrorFrame\n\
         0.005000 1  Statistic: D 1 R 0 XD 0 XR 0 E 0 O 0 B 0.06%\n\
         0.006000 1  456             TxRq d 1 00\n\
         0.007000 CANFD   1 Rx        723  Engine_Data  1 0 9 12 01 02 03 04 05 06 07 08 09 0A 0B 0C 102203 133 303000 e0006659 46500250 4b140250 20011736 2001040d\n\
         0.008000 CANFD   2 Rx        7E8  0 0 2 2 AA BB 102203 133 200000 0 0 0 0 0\n\
         End TriggerBlock\n"
    );
    let frames = frames(&text);
    let seen: Vec<_> = frames.iter().map(|f| (&*f.interface, f.id.raw, f.kind, f.data().len())).collect();
    assert_eq!(
        seen,
        [
            ("can0", 0x7E8, FrameKind::Data, 2),
            ("can1", 0x18FE_F100, FrameKind::Data, 8),
            ("can0", 0x123, FrameKind::Remote, 0),
            ("can0", 0, FrameKind::Error, 0),
            ("can0", 0x723, FrameKind::Fd, 12),
            ("can1", 0x7E8, FrameKind::Data, 2),
        ]
    );
    assert_eq!(frames[0].time, Timestamp::parse("2021-07-26T04:40:55.013Z").unwrap());
    assert!(frames[1].id.is_extended && !frames[0].id.is_extended);
}

#[test]
fn relative_times_add_up_and_decimal_numbers_are_decimal() {
    let text = "date Sam Okt 1 01:02:03.5 pm 2022\nbase dec timestamps relative\n\
        0.5 1 100 Rx d 2 10 255\n0.25 1 EngineData Rx d 1 1 Length = 1 BitCount = 2 ID = 217056256x\n";
    let frames = frames(text);
    assert_eq!((frames[0].id.raw, frames[0].data()), (100, &[10, 255][..]));
    assert_eq!((frames[1].id.raw, frames[1].id.is_extended), (217_056_256, true));
    assert_eq!(frames[0].time, Timestamp::parse("2022-10-01T13:02:04Z").unwrap());
    assert_eq!(frames[1].time.since_us(frames[0].time), 250_000);
}

#[test]
fn a_damaged_line_is_told_with_its_place_and_the_next_is_read() {
    let mut reader =
        reader(&format!("{HEAD}0.1 1 7E8 Rx d 8 00 01\n0.2 1 7E9 Rx d 1 GG\n0.3 1 7EA Rx d 1 01\n"));
    for (place, fault) in [(3, EntryFault::Length), (4, EntryFault::Data)] {
        match reader.next().unwrap_err() {
            SourceError::Entry { place: at, fault: told, .. } => assert_eq!((at, told), (place, fault)),
            other => panic!("{other}"),
        }
    }
    assert_eq!(reader.next().unwrap().unwrap().id.raw, 0x7EA);
    assert_eq!(reader.next().unwrap(), None);
}

#[test]
fn dates_are_read_in_every_spelling_that_was_met() {
    let read = |text: &str| parse_date(&text.split(' ').collect::<Vec<_>>());
    let at = |text: &str| Some(Timestamp::parse(text).unwrap());
    assert_eq!(read("Thu, 09 Nov 2023 20:21:36 GMT"), at("2023-11-09T20:21:36Z"));
    assert_eq!(read("Die Mär 2 12:00:00.25 am 2021"), at("2021-03-02T00:00:00.25Z"));
    assert_eq!(read("Mon Jul 40 04:40:55 2021"), None);
    assert_eq!(read(""), None);
}

proptest! {
    #[test]
    fn any_bytes_give_frames_or_faults(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut reader = AscReader::of_input("t".to_owned(), Box::new(Cursor::new(bytes)));
        while !matches!(reader.next(), Ok(None)) {}
    }

    #[test]
    fn any_words_give_frames_or_faults(
        words in proptest::collection::vec("(CANFD|Rx|d|r|1|0|64|7E8|18FEF100x|0\\.[0-9]{1,3}|ID|=|base|dec|date)", 0..40),
    ) {
        let mut reader = reader(&format!("0.1 {}\n", words.join(" ")));
        while !matches!(reader.next(), Ok(None)) {}
    }
}
