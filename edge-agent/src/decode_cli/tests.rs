use std::fs;

use super::*;

const DBC: &str = "VERSION \"\"\n\nNS_ :\n\nBS_:\n\nBU_: A B\n\n\
    BO_ 5 M: 8 A\n SG_ Speed : 0|8@1+ (0.5,0) [0|0] \"km/h\" B\n SG_ Door : 8|8@1- (1,0) [0|0] \"\" B\n\n\
    VAL_ 5 Door 1 \"open, a \"\"bit\" ;\n";

/// Runs the command over a log of that text: what came out, what was told, and the result.
fn decode(log: &str) -> (String, String, Result<Outcome, DecodeCliError>) {
    decode_as(Format::Csv, log)
}

fn decode_as(format: Format, log: &str) -> (String, String, Result<Outcome, DecodeCliError>) {
    let folder = tempfile::tempdir().unwrap();
    let (dbc_path, log_path) = (folder.path().join("car.dbc"), folder.path().join("drive.log"));
    fs::write(&dbc_path, DBC.replace("a \"\"bit", "a bit")).unwrap();
    fs::write(&log_path, log).unwrap();
    let args =
        DecodeArgs { dbc: vec![dbc_path], files: vec![log_path], format, lenient: false, j1939: false };
    let (mut out, mut told) = (Vec::new(), Vec::new());
    let result = run(&args, &mut out, &mut told);
    let told = String::from_utf8(told).unwrap().replace(&folder.path().display().to_string(), "");
    (String::from_utf8(out).unwrap(), told, result)
}

#[test]
fn prints_one_line_a_signal_in_frame_order() {
    let (out, told, result) = decode("(1.5) can0 005#0301\n(2.000001) can0 005#04FF\n");
    assert_eq!(
        out,
        "timestamp,interface,frame_id,signal,raw,value,unit,label\n\
         1.500000,can0,005,Speed,3,1.5,km/h,\n\
         1.500000,can0,005,Door,1,1,,\"open, a bit\"\n\
         2.000001,can0,005,Speed,4,2.0,km/h,\n\
         2.000001,can0,005,Door,-1,-1,,\n"
    );
    assert_eq!(told, "");
    let outcome = result.unwrap();
    assert!(outcome.is_whole());
    assert_eq!((outcome.frames_decoded, outcome.samples), (2, 4));
}

#[test]
fn prints_one_json_object_a_signal() {
    let (out, _, result) = decode_as(Format::Jsonl, "(1.5) can\"0 005#0301\n(2.000001) can0 005#04FF\n");
    let lines: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    let door = serde_json::json!({
        "timestamp": 1.5, "interface": "can\"0", "frame_id": "005", "signal": "Door", "raw": 1, "value": 1,
        "unit": "", "label": "open, a bit"
    });
    assert_eq!(lines[1], door);
    assert_eq!((lines[2]["value"].as_f64(), &lines[2]["unit"]), (Some(2.0), &"km/h".into()));
    assert!(lines[3]["label"].is_null());
    assert_eq!(result.unwrap().samples, 4);
    // Nothing but objects, also of nothing.
    assert_eq!(decode_as(Format::Jsonl, "").0, "");
    assert_eq!(
        ["NaN", "inf", "-inf", "-1.5", "1e300"].map(|t| print::json_number(t.to_owned())).concat(),
        "nullnullnull-1.51e300"
    );
}

#[test]
fn a_corrupt_line_is_told_with_file_and_line_and_the_rest_is_printed() {
    let (out, told, result) = decode("(1.5) can0 005#0301\n(1.6) can0 005#03\u{1}1\n(1.7) can0 005#05\n");
    assert_eq!(out.lines().count(), 4);
    assert!(told.starts_with("error: /drive.log:2: the data is not pairs of hex digits"), "{told}");
    let outcome = result.unwrap();
    assert_eq!(outcome.lines_bad, 1);
    assert!(!outcome.is_whole());
}

#[test]
fn an_unknown_id_is_told_once_with_its_first_line_and_count() {
    let (_, told, result) = decode("(1.5) can0 00000005#00\n(1.5) can0 00000005#00\n(1.5) can0 005#R\n");
    assert_eq!(told.lines().count(), 1);
    assert!(
        told.starts_with("error: /drive.log:1: id 00000005 is in none of the DBC files (2 frames)"),
        "{told}"
    );
    assert!(told.contains("DBC file that has it") && told.contains("--lenient"));
    let outcome = result.unwrap();
    assert_eq!((outcome.frames_unknown, outcome.frames_without_data), (2, 1));
}

#[test]
fn many_unknown_ids_and_bad_lines_are_counted_not_listed() {
    let ids: String = (0..5000).map(|i| format!("(1.0) can0 {:08X}#00\n", i + 16)).collect();
    let (_, told, result) = decode(&ids);
    assert_eq!(told.lines().count(), UNKNOWN_ID_TOLD_MAX + 1, "{told}");
    assert_eq!(result.unwrap().frames_unknown, 5000);
    let (_, told, result) = decode(&format!("(1.5) can0 005#00\n{}", "nonsense\n".repeat(500)));
    assert_eq!(told.lines().count(), 101);
    assert!(told.ends_with("error: 500 lines in all are no frames\n"));
    assert_eq!(result.unwrap().lines_bad, 500);
}

#[test]
fn a_file_of_another_format_is_said_to_be_one() {
    let (_, told, result) = decode(&"Time Stamp,ID,Extended,Bus,LEN,D1\n".repeat(500));
    assert_eq!(told.lines().count(), 6, "{told}");
    let last = told.lines().last().unwrap();
    assert!(last.starts_with("error: /drive.log: none of its 500 lines is a frame"), "{told}");
    assert!(last.contains("candump -l") && last.contains("ASC") && last.contains("BLF"), "{told}");
    assert!(!result.unwrap().is_whole());
}

#[test]
fn bad_lines_before_the_first_frame_are_counted_whatever_was_told_of_them() {
    let (out, told, result) = decode(&format!("{}(1.5) can0 005#00\nno\n", "nonsense\n".repeat(7)));
    assert_eq!((out.lines().count(), result.unwrap().lines_bad), (2, 8), "{out}");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 7, "{told}");
    assert!(lines[5].starts_with("error: /drive.log:9:"), "{told}");
    assert_eq!(lines[6], "error: 8 lines in all are no frames");
}

#[test]
fn an_empty_log_has_a_header() {
    let (out, _, result) = decode("");
    assert_eq!(out.lines().count(), 1);
    assert!(result.unwrap().is_whole());
}

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: DecodeArgs,
}

fn inputs(words: &[&str]) -> Result<(Vec<String>, String), UsageError> {
    let words = std::iter::once("decode").chain(words.iter().copied());
    let args = <Cli as clap::Parser>::try_parse_from(words).unwrap().args;
    let (dbcs, log) = args.inputs()?;
    Ok((dbcs.iter().map(|path| path.display().to_string()).collect(), log.display().to_string()))
}

#[test]
fn dbc_files_are_known_by_their_names_wherever_they_stand() {
    let expected = Ok((vec!["a.dbc".to_owned(), "b.DBC".to_owned()], "drive.log".to_owned()));
    // As a shell makes them of `--dbc *.dbc drive.log`, and otherwise.
    for words in [
        &["--dbc", "a.dbc", "b.DBC", "drive.log"][..],
        &["a.dbc", "b.DBC", "drive.log"],
        &["drive.log", "a.dbc", "b.DBC"],
        &["a.dbc", "drive.log", "--format", "jsonl", "b.DBC"],
        &["--dbc", "a.dbc", "--dbc", "b.DBC", "drive.log"],
        &["--", "a.dbc", "drive.log", "b.DBC"],
    ] {
        assert_eq!(inputs(words), expected, "{words:?}");
    }
    assert_eq!(inputs(&["car.dbc", "-"]).unwrap().1, "-");
    assert_eq!(inputs(&["--dbc", "car.txt", "drive.log"]).unwrap().0, ["car.txt"]);
}

#[test]
fn arguments_without_a_log_or_a_dbc_file_or_with_two_logs_are_told() {
    assert_eq!(inputs(&["a.dbc", "b.dbc"]), Err(UsageError::NoLog));
    assert_eq!(inputs(&["drive.log"]), Err(UsageError::NoDbc));
    let logs = UsageError::Logs("one.log".into(), "two.log".into());
    assert_eq!(inputs(&["a.dbc", "one.log", "two.log"]), Err(logs));
}

#[test]
fn a_log_without_a_frame_is_told_and_no_failure() {
    let (_, told, result) = decode("\n");
    assert_eq!(told, "warning: /drive.log: there is no frame in it\n");
    assert!(result.unwrap().is_whole());
}
