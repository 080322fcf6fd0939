#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    time::Duration,
};

use service::clock::ManualClock;

use super::*;
use crate::{
    dbc::Dbc,
    decode::Decoder,
    frame::Frame,
    map::{MappedDecoder, RawValue, SignalMap},
    source::{Polled, Source, SourceError, merge::Merge, own},
};

struct NoBus;

impl Source for NoBus {
    fn next(&mut self) -> Result<Option<Frame>, SourceError> {
        Ok(None)
    }

    fn next_within(&mut self, _wait: Duration) -> Result<Polled, SourceError> {
        std::thread::yield_now();
        Ok(Polled::Quiet)
    }
}

fn decoder() -> MappedDecoder {
    let (dbc, map) = (own::dbc(), own::gnss_map());
    let decoder = Decoder::compile(&[Dbc::from_bytes(&dbc.name, &dbc.bytes).unwrap()]).unwrap();
    let map = SignalMap::parse(&map.name, std::str::from_utf8(&map.bytes).unwrap()).unwrap();
    MappedDecoder::new(decoder, &[map]).unwrap()
}

/// The next `count` frames, as VSS signals and values.
fn values(merge: &mut Merge, count: usize) -> Vec<(String, f64)> {
    let mut decoder = decoder();
    let (mut out, mut samples) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let frame = merge.next().unwrap().unwrap();
        assert!(frame.id.is_own());
        samples.clear();
        decoder.samples(&frame, &mut samples);
        for sample in &samples {
            let column = &decoder.catalog().columns[sample.column_id as usize];
            let raw = match sample.value {
                RawValue::Raw(raw) => raw as f64,
                RawValue::Number(number) => number,
            };
            out.push((column.signal.clone(), raw * column.scale + column.offset));
        }
    }
    out
}

fn value(values: &[(String, f64)], leaf: &str) -> Option<f64> {
    values.iter().find(|(signal, _)| signal.ends_with(leaf)).map(|(_, value)| *value)
}

fn merge(receiver: Receiver) -> Merge {
    let clock = ManualClock::at(1_700_000_000_000_000);
    Merge::new(Box::new(NoBus), vec![Box::new(GnssSource::new(receiver, clock).unwrap())]).unwrap()
}

#[test]
fn a_position_of_gpsd_becomes_vss_signals_and_a_closed_connection_is_made_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut merge = merge(Receiver::parse(&format!("gpsd://{address}"), 9600).unwrap());
    for latitude in [51.5, 51.6] {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut asked).unwrap();
        assert!(asked.starts_with("?WATCH="));
        let report = format!(
            "{{\"class\":\"TPV\",\"mode\":3,\"lat\":{latitude},\"lon\":-0.25,\"altMSL\":44.5,\"speed\":10,\"track\":90,\"eph\":3}}\n"
        );
        stream.write_all(report.as_bytes()).unwrap();
        let values = values(&mut merge, 3);
        assert!((value(&values, "Latitude").unwrap() - latitude).abs() < 1e-7);
        assert!((value(&values, "Longitude").unwrap() + 0.25).abs() < 1e-7);
        assert!((value(&values, "Altitude").unwrap() - 44.5).abs() < 1e-6);
        assert!((value(&values, "Vehicle.Speed").unwrap() - 36.0).abs() < 1e-6);
        assert_eq!(value(&values, "FixType"), Some(5.0));
        assert_eq!(value(&values, "SatellitesUsed"), None);
    }
    assert!(merge.counts().interface_losses >= 1);
}

#[test]
fn a_file_of_sentences_is_read_to_its_end_and_damage_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("drive.nmea");
    std::fs::write(
        &path,
        "ut off\r\n$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n\
         $GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*00\r\n",
    )
    .unwrap();
    let mut merge = merge(Receiver::parse(path.to_str().unwrap(), 9600).unwrap());
    let values = values(&mut merge, 2);
    assert!((value(&values, "Latitude").unwrap() - 48.1173).abs() < 1e-6);
    assert_eq!(value(&values, "SatellitesUsed"), Some(8.0));
    while merge.counts().damaged == 0 {
        std::thread::yield_now();
    }
    assert_eq!(merge.next_within(Duration::ZERO).unwrap(), Polled::Quiet);
}

#[test]
fn a_receiver_is_named_by_an_address_or_a_path() {
    assert_eq!(Receiver::parse("gpsd://10.0.0.1", 1).unwrap(), Receiver::Gpsd("10.0.0.1:2947".to_owned()));
    assert_eq!(Receiver::parse("tcp://[::1]:4000", 1).unwrap(), Receiver::NmeaTcp("[::1]:4000".to_owned()));
    assert!(matches!(Receiver::parse("/dev/ttyUSB0", 4800).unwrap(), Receiver::NmeaFile { baud: 4800, .. }));
    for bad in ["", "tcp://host", "gpsd://", "udp://host:1", "gpsd://host:port"] {
        assert!(Receiver::parse(bad, 9600).is_err(), "{bad}");
    }
    assert!(Receiver::is_rate(115_200) && !Receiver::is_rate(1));
}

#[test]
fn lines_that_are_there_already_make_the_frames_a_connection_would() {
    let lines = RecordedLines::new().unwrap();
    let address = "127.0.0.1:2947".to_owned();
    let tpv = b"{\"class\":\"TPV\",\"mode\":2,\"lat\":51.5,\"lon\":-0.25}\nno JSON\n{\"class\":\"SKY\"}";
    let (frames, damaged) = lines.read(&Receiver::Gpsd(address.clone()), tpv, Timestamp(7));
    // Position, motion and fix.
    assert_eq!((frames.len(), damaged), (3, 1));
    assert!(frames.iter().all(|frame| frame.id.is_own() && frame.time == Timestamp(7)));
    // The same lines are no sentences of NMEA: they are the rest of one that was cut.
    assert_eq!(lines.read(&Receiver::NmeaTcp(address), tpv, Timestamp(7)), (Vec::new(), 0));
}
