use std::{collections::BTreeMap, sync::Arc};

use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::logs;

type Records = Vec<BTreeMap<String, Vec<String>>>;

/// A journal of the test's own, and what came on its stream.
struct Listens {
    folder: tempfile::TempDir,
    socket: UnixDatagram,
    stream: Lines,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Listens {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("socket")).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { folder, socket, stream: Lines::default() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    fn journal(&self) -> Journal {
        Journal::open(&self.path(), Box::new(self.stream.clone())).unwrap()
    }

    /// The records so far, read as the protocol has them.
    fn records(&self) -> Records {
        let mut bytes = vec![0; 1 << 20];
        let mut records = Vec::new();
        while let Ok(len) = self.socket.recv(&mut bytes) {
            records.push(parsed(&bytes[..len]));
        }
        records
    }

    fn lines(&self) -> String {
        String::from_utf8(self.stream.0.lock().unwrap().clone()).unwrap()
    }
}

fn parsed(mut rest: &[u8]) -> BTreeMap<String, Vec<String>> {
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|b| *b == b'\n').expect("a field ends its line");
        let line = std::str::from_utf8(&rest[..end]).unwrap();
        rest = &rest[end + 1..];
        let (name, value) = if let Some((name, value)) = line.split_once('=') {
            (name, value)
        } else {
            let (len, after) = rest.split_first_chunk::<8>().expect("a length");
            let len = usize::try_from(u64::from_le_bytes(*len)).unwrap();
            let (value, after) = after.split_at(len);
            rest = after.strip_prefix(b"\n").expect("a value ends its line");
            (line, std::str::from_utf8(value).unwrap())
        };
        assert!(name.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'0'..=b'9' | b'_')), "{name}");
        assert!(name.starts_with(|c: char| c.is_ascii_uppercase()) && name.len() <= 64, "{name}");
        fields.entry(name.to_owned()).or_default().push(value.to_owned());
    }
    fields
}

#[test]
fn an_event_is_a_record_with_its_fields() {
    let listens = Listens::new();
    let subscriber = tracing_subscriber::registry().with(listens.journal());
    tracing::subscriber::with_default(subscriber, || {
        tracing::warn!(vehicle_id = "car-1", sequence = 7, share = 0.5, reason = %"full", "batch refused");
    });
    let records = listens.records();
    let [record] = records.as_slice() else { panic!("{records:?}") };
    let value = |name: &str| record[name].join("|");
    assert_eq!(value("MESSAGE"), r#"batch refused vehicle_id="car-1" sequence=7 share=0.5 reason=full"#);
    assert_eq!(value("EVENT"), "batch refused");
    assert_eq!((value("PRIORITY"), value("SYSLOG_IDENTIFIER")), ("4".to_owned(), program()));
    assert_eq!(value("TARGET"), module_path!());
    assert!(value("CODE_FILE").ends_with("tests.rs") && value("CODE_LINE").parse::<u32>().is_ok());
    let own = ["VEHICLE_ID", "SEQUENCE", "SHARE", "REASON"].map(value);
    assert_eq!(own, ["car-1", "7", "0.5", "full"]);
    assert_eq!(listens.lines(), "");
}

#[test]
fn priorities_are_those_of_syslog() {
    let listens = Listens::new();
    let subscriber = tracing_subscriber::registry().with(listens.journal());
    tracing::subscriber::with_default(subscriber, || {
        tracing::error!("a");
        tracing::warn!("b");
        tracing::info!("c");
        tracing::debug!("d");
        tracing::trace!("e");
    });
    let told: Vec<_> = listens.records().iter().map(|record| record["PRIORITY"].join("")).collect();
    assert_eq!(told, ["3", "4", "6", "7", "7"]);
}

#[test]
fn a_value_of_several_lines_comes_whole_and_forges_no_field() {
    let listens = Listens::new();
    let subscriber = tracing_subscriber::registry().with(listens.journal());
    let text = "first\nPRIORITY=0\n\nlast=";
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!(reason = text, "one\ntwo");
    });
    let records = listens.records();
    assert_eq!(records[0]["REASON"], [text]);
    assert_eq!(records[0]["EVENT"], ["one\ntwo"]);
    assert_eq!(records[0]["PRIORITY"], ["6"]);
}

#[test]
fn an_error_is_told_with_its_causes_and_spans_with_their_fields() {
    let listens = Listens::new();
    let subscriber = tracing_subscriber::registry().with(listens.journal());
    let cause = io::Error::other(io::Error::other("no route"));
    tracing::subscriber::with_default(subscriber, || {
        let outer = tracing::info_span!("connection", peer = "a", late = tracing::field::Empty);
        let _outer = outer.enter();
        outer.record("late", 9);
        let _inner = tracing::info_span!("request", peer = "b").entered();
        tracing::error!(error = &cause as &(dyn std::error::Error + 'static), "lost");
    });
    let records = listens.records();
    assert_eq!(records[0]["ERROR"], [chain(&cause).to_string()]);
    assert_eq!(records[0]["PEER"], ["a", "b"]);
    assert_eq!(records[0]["LATE"], ["9"]);
}

#[test]
fn names_are_the_journals_and_none_is_forged() {
    let cases = [
        ("vehicle_id", Some("VEHICLE_ID")),
        ("http.status-code", Some("HTTP_STATUS_CODE")),
        ("_pid", Some("PID")),
        ("__CURSOR", Some("CURSOR")),
        ("4wd", Some("WD")),
        ("priority", Some("F_PRIORITY")),
        ("code_file", Some("F_CODE_FILE")),
        ("syslog_identifier", Some("F_SYSLOG_IDENTIFIER")),
        ("__", None),
        ("", None),
    ];
    for (name, expected) in cases {
        assert_eq!(record_name(name).as_deref(), expected, "{name}");
    }
    assert_eq!(record_name(&"x".repeat(200)).unwrap().len(), NAME_BYTES_MAX - 2);
}

#[test]
fn what_the_journal_does_not_take_goes_to_its_stream_and_it_is_found_again() {
    let mut listens = Listens::new();
    let journal = listens.journal();
    let subscriber = tracing_subscriber::registry().with(journal);
    let long = "x".repeat(4 << 20);
    tracing::subscriber::with_default(subscriber, || {
        tracing::error!(reason = long, "too long for a datagram");
        std::fs::remove_file(listens.path()).unwrap();
        tracing::info!(count = 2, "it is away");
        listens.socket = UnixDatagram::bind(listens.path()).unwrap();
        listens.socket.set_nonblocking(true).unwrap();
        tracing::info!("it is back");
    });
    let lines = listens.lines();
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("<3>too long for a datagram reason=\"xxx"));
    assert_eq!(lines[1], "<6>it is away count=2");
    let records = listens.records();
    assert_eq!((records.len(), &records[0]["EVENT"]), (1, &vec!["it is back".to_owned()]));
}

#[test]
fn without_a_journal_there_is_no_way_into_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    assert!(Journal::open(&path, Box::new(io::sink())).is_err());
    // A socket nobody listens at.
    drop(UnixDatagram::bind(&path).unwrap());
    assert!(Journal::open(&path, Box::new(io::sink())).is_err());
}

#[test]
fn the_last_lines_are_kept_beside_the_journal() {
    let listens = Listens::new();
    logs::keep_recent(64 << 10);
    let subscriber = logs::journaled(listens.journal(), "info".parse().unwrap());
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!(count = 3, "kept beside the journal");
        tracing::debug!("below the filter");
    });
    assert_eq!(listens.records().len(), 1);
    let recent = logs::recent(64 << 10);
    let line = recent.lines().find(|line| line.contains("kept beside the journal")).unwrap();
    assert!(line.contains("INFO") && line.contains("count=3"), "{line}");
    assert!(!recent.contains("below the filter"));
}
