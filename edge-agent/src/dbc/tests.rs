use super::*;
use crate::decode::layout::Raw;

const HEAD: &str = "VERSION \"\"\n\nNS_ :\n\nBS_:\n\nBU_: A B\n\n";

fn parse(body: &str) -> Dbc {
    Dbc::from_bytes("car.dbc", format!("{HEAD}{body}").as_bytes()).unwrap()
}

fn fault(body: &str) -> String {
    Dbc::from_bytes("car.dbc", format!("{HEAD}{body}").as_bytes()).unwrap_err().to_string()
}

/// The only warning of a file.
fn warning(body: &str) -> String {
    let dbc = parse(body);
    assert_eq!(dbc.warnings.len(), 1, "{:?}", dbc.warnings);
    dbc.warnings[0].to_string()
}

#[test]
fn a_message_has_its_signals_by_first_bit_with_what_is_said_of_them_elsewhere() {
    let dbc = parse(
        "BO_ 2147484672 Doors: 8 A\n SG_ Late : 8|8@1- (0.5,-40) [-104|23.5] \"degC\" B\n \
         SG_ Early : 7|8@0+ (1,0) [0|3] \"\" B\n\nSIG_VALTYPE_ 2147484672 Late : 0;\n\
         VAL_ 2147484672 Early 2 \"ajar\" 0 \"shut\" 1 \"open\" ;\n",
    );
    assert_eq!(dbc.warnings, []);
    let message = &dbc.messages[0];
    assert_eq!((message.line, message.name.as_str(), message.byte_count), (9, "Doors", 8));
    assert_eq!(message.id, FrameId { raw: 1024, is_extended: true });
    let names: Vec<_> = message.signals.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["Early", "Late"]);
    let early = &message.signals[0];
    assert_eq!(early.line, 11);
    let labels: Vec<_> = early.labels.iter().map(|(v, text)| (*v, text.as_str())).collect();
    assert_eq!(labels, [(0, "shut"), (1, "open"), (2, "ajar")]);
    let late = &message.signals[1];
    assert_eq!((late.scale, late.offset, late.unit.as_str()), (0.5, -40.0, "degC"));
    let mut data = [0_u8; 64];
    data[1] = 0xFF;
    assert_eq!(late.layout.extract(&data), Raw::Int(-1));
}

#[test]
fn a_syntax_error_names_file_line_place_and_remedy() {
    let message = fault("BO_ 5 M: 8 A\n SG_ S : 0|8@7+ (1,0) [0|0] \"\" B\n");
    assert!(message.starts_with("car.dbc:10: not valid DBC: column 14, expected"), "{message}");
    assert!(message.contains("7+ (1,0)") && message.contains("correct that line"), "{message}");

    let message = fault("BO_ five M: 8 A\n");
    assert!(message.contains("car.dbc:9:") && message.contains("message id"), "{message}");

    let message = fault("BO_ 5 M: 8 A\n SG_ S : 0|8@1+ (1,0) [0|0] \"km B\n");
    assert!(message.contains("car.dbc:10: not valid DBC: column 29, expected unit"), "{message}");

    let message = fault("BO_ 5 M: 8 A\n SG_ S : 0|8@1+ (1,0) [0|0] \"\" B\n\nVAL_ 5 S one \"1\" ;\n");
    assert!(message.contains("car.dbc:12:") && message.contains("cannot go on like this"), "{message}");

    let message = fault("BO_ 99999999999999999999 M: 8 A\n");
    assert!(message.contains("car.dbc:9:") && message.contains("out of range"), "{message}");

    let message = Dbc::from_bytes("car.dbc", b"\x1f\x8bhello").unwrap_err().to_string();
    assert!(message.contains("starts with VERSION"), "{message}");
}

#[test]
fn windows_1252_texts_are_read() {
    let body = [HEAD.as_bytes(), b"BO_ 5 M: 8 A\n SG_ S : 0|8@1+ (1,0) [0|0] \"\xb0C\" B\n"].concat();
    assert_eq!(Dbc::from_bytes("car.dbc", &body).unwrap().messages[0].signals[0].unit, "°C");
}

#[test]
fn a_file_without_an_end_of_line_or_messages_is_read() {
    assert_eq!(parse("BO_ 5 M: 8 A\n SG_ S : 0|8@1+ (1,0) [0|0] \"\" B").messages[0].signals.len(), 1);
    assert_eq!(warning(""), "car.dbc:1: the file has no messages (BO_); is it the right one?");
}

#[test]
fn what_cannot_be_honoured_is_left_out_and_told_with_its_line() {
    let signal = |text: &str| warning(&format!("BO_ 5 M: 8 A\n SG_ {text} (1,0) [0|0] \"\" B\n"));
    assert_eq!(
        signal("S : 0|0@1+"),
        "car.dbc:10: signal M.S is left out: a length of 0 bits is outside 1 to 64"
    );
    assert!(signal("S : 0|65@1+").contains("outside 1 to 64"));
    assert!(signal("S : 14276|8@1+").contains("beyond byte 1785"));
    assert!(signal("S m1 : 0|8@1+").contains("no multiplexer signal (M)"));
    assert!(signal("S : 60|8@1+").contains("needs 9 bytes but message M has 8"));

    let message = warning("BO_ 70000 M: 8 A\n");
    assert!(
        message.contains("car.dbc:9: message M is left out") && message.contains("2147553648"),
        "{message}"
    );

    let float = "BO_ 5 M: 8 A\n SG_ S : 0|16@1+ (1,0) [0|0] \"\" B\n\nSIG_VALTYPE_ 5 S : 1;\n";
    assert!(warning(float).contains("neither 32 nor 64 bits"));

    let twice = "BO_ 5 M: 8 A\n SG_ S : 0|8@1+ (1,0) [0|0] \"\" B\n\nBO_ 5 N: 8 A\n SG_ T : 0|8@1+ (1,0) [0|0] \"\" B\n";
    let dbc = parse(twice);
    assert_eq!((dbc.messages.len(), dbc.messages[0].name.as_str()), (1, "N"));
    assert!(dbc.warnings[0].to_string().starts_with("car.dbc:12: message N has the id of M on line 9"));
}

#[test]
fn multiplexers_in_a_circle_or_missing_or_two_are_left_out() {
    let signals = "BO_ 5 M: 8 A\n SG_ A m0M : 0|8@1+ (1,0) [0|0] \"\" B\n SG_ B m0M : 8|8@1+ (1,0) [0|0] \"\" B\n \
                   SG_ C : 16|8@1+ (1,0) [0|0] \"\" B\n\n";
    let dbc = parse(&format!("{signals}SG_MUL_VAL_ 5 A B 0-0;\nSG_MUL_VAL_ 5 B A 0-0;\n"));
    assert_eq!(dbc.messages[0].signals.len(), 1);
    assert!(dbc.warnings.iter().all(|w| w.message.contains("form a circle")), "{:?}", dbc.warnings);
    assert_eq!(dbc.warnings.len(), 2);

    let dbc = parse(&format!("{signals}SG_MUL_VAL_ 5 A C 0-0;\nSG_MUL_VAL_ 5 B Gone 0-0;\n"));
    assert_eq!(
        dbc.warnings[0].to_string(),
        "car.dbc:11: signal B is left out: its multiplexer Gone is not in the message"
    );
    let signals = &dbc.messages[0].signals;
    assert_eq!(signals[0].present_when, Some(Switch { multiplexer: 1, ranges: vec![(0, 0)] }));
    assert!(signals[1].is_multiplexer);

    let two = "BO_ 5 M: 8 A\n SG_ A M : 0|8@1+ (1,0) [0|0] \"\" B\n SG_ B M : 8|8@1+ (1,0) [0|0] \"\" B\n \
               SG_ C m1 : 16|8@1+ (1,0) [0|0] \"\" B\n";
    assert!(warning(two).contains("two multiplexers, A and B; say which in SG_MUL_VAL_"));
}

#[test]
fn what_a_file_says_of_nothing_is_told_with_its_line() {
    const M: &str = "BO_ 5 M: 8 A\n SG_ A M : 0|8@1+ (1,0) [0|0] \"\" B\n \
                     SG_ B m0 : 8|8@1+ (1,0) [0|0] \"\" B\n\n";
    let told = |statement: &str| warning(&format!("{M}{statement}\n"));
    let message = told("SIG_VALTYPE_ 5 Gone : 1;");
    assert!(message.starts_with("car.dbc:13: SIG_VALTYPE_ is about signal Gone of message 5"), "{message}");
    let message = told("SIG_VALTYPE_ 2147483654 A: 1;");
    assert!(message.contains("car.dbc:13: ") && message.contains("a message that is not in"), "{message}");
    let message = told("VAL_ 5 Gone 1 \"on\" 0 \"off\" ;");
    assert!(message.starts_with("car.dbc:13: VAL_ is about signal Gone of message 5, a signal"), "{message}");
    let message = told("SG_MUL_VAL_ 5 B A 0-0, 9-8;");
    assert!(message.starts_with("car.dbc:13: the range 9-8 of signal B holds no value"), "{message}");
    let twice = "BO_ 5 M: 8 A\n SG_ A : 0|8@1+ (1,0) [0|0] \"\" B\n SG_ A : 8|8@1+ (1,0) [0|0] \"\" B\n";
    assert!(warning(twice).contains("message M has two signals A"), "{}", warning(twice));
}

#[test]
fn quoted_text_that_looks_like_a_statement_moves_no_lines() {
    let dbc = parse(
        "BO_ 5 M: 8 A\n SG_ S : 0|8@1+ (1,0) [0|0] \"\" B\n\nCM_ BO_ 5 \"two\nBO_ 6 Not: 8 A\nlines\";\n",
    );
    assert_eq!((dbc.messages.len(), dbc.messages[0].line), (1, 9));
}

#[test]
fn independent_signals_are_no_message() {
    let dbc = parse(
        "BO_ 3221225472 VECTOR__INDEPENDENT_SIG_MSG: 0 Vector__XXX\n SG_ S : 0|8@1+ (1,0) [0|0] \"\" B\n",
    );
    assert!(dbc.messages.is_empty());
}
