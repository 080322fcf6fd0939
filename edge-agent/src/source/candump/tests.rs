use std::io::Write;

use super::*;

fn read(text: &[u8]) -> Vec<Result<Frame, String>> {
    let mut reader = CandumpReader::new("drive.log", std::io::Cursor::new(text.to_vec())).unwrap();
    let mut found = Vec::new();
    loop {
        match reader.next() {
            Ok(None) => return found,
            Ok(Some(frame)) => found.push(Ok(frame)),
            Err(error) => found.push(Err(error.to_string())),
        }
    }
}

fn one(line: &str) -> Frame {
    let mut found = read(line.as_bytes());
    assert_eq!(found.len(), 1, "{line}");
    found.pop().unwrap().unwrap()
}

#[test]
fn reads_every_kind_of_frame() {
    let frame = one("(1627274455.023950) can1 7E8#03412F8C00000000\n");
    assert_eq!(frame.time, Timestamp(1_627_274_455_023_950));
    assert_eq!(&*frame.interface, "can1");
    assert_eq!(frame.id, FrameId { raw: 0x7E8, is_extended: false });
    assert_eq!((frame.kind, frame.data()), (FrameKind::Data, &[3, 0x41, 0x2F, 0x8C, 0, 0, 0, 0][..]));

    let frame = one("(1.5) vcan0 0CF00400#607D\r\n");
    assert_eq!(frame.id, FrameId { raw: 0x0CF0_0400, is_extended: true });
    assert_eq!(frame.time, Timestamp(1_500_000));

    let frame = one("(1.000000) can0 123##1AABBCC");
    assert_eq!((frame.kind, frame.data()), (FrameKind::Fd, &[0xAA, 0xBB, 0xCC][..]));
    for remote in ["(1.0) can0 123#R", "(1.0) can0 123#R8"] {
        assert_eq!(one(remote).kind, FrameKind::Remote);
    }
    let frame = one("(1.0) can0 20000080#0000000000000000");
    assert_eq!((frame.kind, frame.id.raw), (FrameKind::Error, 0x80));
    assert_eq!(one("(1.0) can0 001#").data(), &[] as &[u8]);
}

#[test]
fn accepts_directions_length_codes_nanoseconds_and_lower_case() {
    assert_eq!(one("(1.0) can0 123#00 R").data(), [0]);
    assert_eq!(one("(1.0) can0 123#00 T\r").data(), [0]);
    assert_eq!(one("(1.0) can0 123#1122334455667788_C").data().len(), 8);
    assert_eq!(one("(1.123456789) can0 12a#ff").time, Timestamp(1_123_456));
    assert_eq!(one("  (7) can0 12a#ff").time, Timestamp(7_000_000));
}

#[test]
fn a_bad_line_names_log_line_and_fault_and_the_next_line_is_read() {
    let cases = [
        ("7E8#00", "no time in parentheses"),
        ("(x.5) can0 7E8#00", "no time in parentheses"),
        ("(1.) can0 7E8#00", "no time in parentheses"),
        ("(1234567890123.0) can0 7E8#00", "no time in parentheses"),
        ("(1.0)", "no interface name"),
        ("(1.0) can0", "no `#` between id and data"),
        ("(1.0) can0 7E8", "no `#` between id and data"),
        ("(1.0) can0 7E#00", "the id is neither"),
        ("(1.0) can0 FFF#00", "the id is neither"),
        ("(1.0) can0 FFFFFFFF#00", "the id is neither"),
        ("(1.0) can0 7G8#00", "the id is neither"),
        ("(1.0) can0 7E8#0", "not pairs of hex digits"),
        ("(1.0) can0 7E8#0X", "not pairs of hex digits"),
        ("(1.0) can0 7E8##", "not pairs of hex digits"),
        ("(1.0) can0 7E8#001122334455667788", "a length that no frame can have"),
        ("(1.0) can0 7E8##0001122334455667788", "a length that no frame can have"),
        ("(1.0) can0 7E8#R9", "a length that no frame can have"),
        ("(1.0) can0 7E8#00_1", "a length that no frame can have"),
        ("(1.0) can0 7E8#00 what", "unknown text after the frame"),
        ("(1.0) \u{fffd}\u{fffd} 7E8", "no `#`"),
    ];
    for (line, fault) in cases {
        let text = format!("(1.0) can0 7E8#01\n\n{line}\n(2.0) can0 7E8#02\n");
        let found = read(text.as_bytes());
        assert_eq!(found.len(), 3, "{line}");
        let message = found[1].as_ref().unwrap_err();
        assert!(message.starts_with("drive.log:3: ") && message.contains(fault), "{line}: {message}");
        assert_eq!(found[2].as_ref().unwrap().data(), [2]);
    }
}

#[test]
fn bytes_that_are_no_text_and_endless_lines_are_faults_of_one_line() {
    let mut text = b"(1.0) \xff\xfe 7E8#00\n".to_vec();
    text.extend(std::iter::repeat_n(b'A', 3 * 64 * 1024));
    text.extend(b"\n(2.0) can0 7E8#02");
    let found = read(&text);
    assert!(found[0].as_ref().unwrap_err().contains("no interface name"));
    assert!(found[1].as_ref().unwrap_err().contains("drive.log:2: the line is longer"));
    assert_eq!(found[2].as_ref().unwrap().data(), [2]);
}

#[test]
fn gzip_is_seen_by_its_first_bytes_and_a_cut_file_is_told_once() {
    let text: String = (0..5000).map(|i| format!("({i}.0) can0 7E8#{i:08X}\n")).collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let packed = gzip.finish().unwrap();
    assert_eq!(read(&packed).len(), 5000);
    assert_eq!(read(&packed), read(text.as_bytes()));

    let found = read(&packed[..packed.len() / 2]);
    let errors: Vec<_> = found.iter().filter_map(|f| f.as_ref().err()).collect();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains("cannot read on from here"), "{}", errors[0]);
}

#[test]
fn an_empty_log_has_no_frames() {
    assert!(read(b"").is_empty());
    assert!(read(b"\n\n").is_empty());
}

#[test]
fn a_log_that_is_not_there_is_named() {
    let error = CandumpReader::open(Path::new("/nowhere/drive.log")).unwrap_err();
    assert_eq!(error.to_string(), "cannot open log /nowhere/drive.log");
    assert!(!error.is_passing());
}
