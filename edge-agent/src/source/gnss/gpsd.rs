//! gpsd's JSON protocol: one object a line, `TPV` and `SKY` of interest.

use serde::Deserialize;
use wire::time::Timestamp;

use super::{Fix, FixType, LineReader, Motion, Reading, Report};

/// What is sent to make gpsd report.
pub(crate) const WATCH: &[u8] = b"?WATCH={\"enable\":true,\"json\":true};\n";

/// gpsd's `mode`: a position without, or with, altitude.
const MODE_2D: u8 = 2;
const MODE_3D: u8 = 3;
/// gpsd's `status`: corrected (DGPS, which is mostly by satellite), and RTK fixed and floating.
const STATUS_DGPS: u8 = 2;
const STATUS_RTK: [u8; 2] = [3, 4];
/// Metres a second to km/h.
const KMH_PER_MPS: f64 = 3.6;

/// The members of interest of both objects.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Object {
    class: String,
    mode: Option<u8>,
    status: Option<u8>,
    time: Option<String>,
    lat: Option<f64>,
    lon: Option<f64>,
    /// Altitude over mean sea level; `alt` is what older releases call it.
    #[serde(rename = "altMSL")]
    alt_msl: Option<f64>,
    alt: Option<f64>,
    speed: Option<f64>,
    track: Option<f64>,
    /// Estimated horizontal and vertical error, in metres.
    eph: Option<f64>,
    epv: Option<f64>,
    hdop: Option<f64>,
    #[serde(rename = "uSat")]
    used: Option<f64>,
}

/// Reads gpsd's lines. Satellites come in objects of their own and are told with the next position.
#[derive(Debug, Default)]
pub(crate) struct GpsdReader {
    satellites: Option<f64>,
    hdop: Option<f64>,
}

impl LineReader for GpsdReader {
    fn read(&mut self, line: &[u8]) -> Reading {
        let Ok(object) = serde_json::from_slice::<Object>(line) else { return Reading::Damaged };
        match object.class.as_str() {
            "TPV" => self.position(&object),
            // Some SKY objects carry the satellites only, some the precision only.
            "SKY" => {
                self.satellites = object.used.or(self.satellites);
                self.hdop = object.hdop.or(self.hdop);
                Reading::Other
            }
            _ => Reading::Other,
        }
    }
}

impl GpsdReader {
    fn position(&self, object: &Object) -> Reading {
        let Some(mode) = object.mode else { return Reading::Other };
        let has_position = mode >= MODE_2D;
        let position = object.lat.zip(object.lon).filter(|(latitude, longitude)| {
            has_position && latitude.abs() <= 90.0 && longitude.abs() <= 180.0
        });
        let status = object.status.unwrap_or(1);
        let fix_type = match (mode, status) {
            (MODE_2D, STATUS_DGPS) => FixType::TwoDSatellite,
            (MODE_2D, status) if STATUS_RTK.contains(&status) => FixType::TwoDGround,
            (MODE_2D, _) => FixType::TwoD,
            (MODE_3D, STATUS_DGPS) => FixType::ThreeDSatellite,
            (MODE_3D, status) if STATUS_RTK.contains(&status) => FixType::ThreeDGround,
            (MODE_3D, _) => FixType::ThreeD,
            _ => FixType::None,
        };
        let motion = has_position.then(|| Motion {
            speed_kmh: object.speed.map(|mps| mps * KMH_PER_MPS),
            heading_deg: object.track,
            altitude_m: object.alt_msl.or(object.alt).filter(|_| mode >= MODE_3D),
        });
        let time = object.time.as_deref().and_then(|text| Timestamp::parse(text).ok());
        Reading::Report(Box::new(Report {
            position,
            motion,
            fix: Some(Fix {
                fix_type,
                horizontal_accuracy_m: object.eph,
                vertical_accuracy_m: object.epv,
                satellites: self.satellites,
                hdop: self.hdop,
            }),
            time: time.filter(|_| has_position),
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_report_of_three_dimensions_gives_position_motion_and_accuracy() {
        let line = br#"{"class":"TPV","device":"/dev/ttyUSB0","status":2,"mode":3,"time":"2026-03-01T10:00:00.500Z","lat":51.5,"lon":-0.25,"altMSL":44.5,"alt":45.1,"track":90.5,"speed":10.0,"eph":3.2,"epv":6.0}"#;
        let Reading::Report(report) = GpsdReader::default().read(line) else { panic!("no report") };
        assert_eq!(report.position, Some((51.5, -0.25)));
        let motion = report.motion.unwrap();
        assert_eq!(
            (motion.speed_kmh, motion.heading_deg, motion.altitude_m),
            (Some(36.0), Some(90.5), Some(44.5))
        );
        let fix = report.fix.unwrap();
        assert_eq!((fix.fix_type, fix.horizontal_accuracy_m), (FixType::ThreeDSatellite, Some(3.2)));
        assert_eq!(report.time, Some(Timestamp::parse("2026-03-01T10:00:00.5Z").unwrap()));
    }

    #[test]
    fn without_a_fix_nothing_but_that_is_told() {
        let line = br#"{"class":"TPV","mode":1,"lat":51.5,"lon":0.25,"time":"1999-08-22T00:00:00Z"}"#;
        let Reading::Report(report) = GpsdReader::default().read(line) else { panic!("no report") };
        assert_eq!((report.position, report.motion, report.time), (None, None, None));
        assert_eq!(report.fix.unwrap().fix_type, FixType::None);
        assert_eq!(GpsdReader::default().read(br#"{"class":"VERSION","release":"3.25"}"#), Reading::Other);
    }

    #[test]
    fn satellites_are_told_with_the_next_position() {
        let mut reader = GpsdReader::default();
        assert_eq!(reader.read(br#"{"class":"SKY","uSat":9,"hdop":0.8}"#), Reading::Other);
        let Reading::Report(report) = reader.read(br#"{"class":"TPV","mode":2,"lat":1.0,"lon":2.0}"#) else {
            panic!("no report")
        };
        let fix = report.fix.unwrap();
        assert_eq!((fix.satellites, fix.hdop, fix.fix_type), (Some(9.0), Some(0.8), FixType::TwoD));
        assert_eq!(report.motion.unwrap().altitude_m, None);
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            GpsdReader::default().read(&line);
        }
    }
}
