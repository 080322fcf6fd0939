//! NMEA 0183 (IEC 61162-1): GGA, RMC, VTG, GSA and GST of any satellite system's talker.
//!
//! A receiver tells one moment in several sentences. Each is passed on as it comes, with what it
//! tells; a position that GGA and RMC both tell of one moment is passed on once.

use wire::time::Timestamp;

use super::{Fix, FixType, LineReader, Motion, Reading, Report};

/// Longest sentence that is looked at; the standard has 82 characters, some receivers more.
const SENTENCE_BYTES_MAX: usize = 256;
/// Most fields of a sentence: GSA has 18.
const FIELD_COUNT_MAX: usize = 32;
/// Satellite systems' talkers: GPS, GLONASS, Galileo, BeiDou (two spellings), QZSS (two), NavIC,
/// and several at once.
const TALKERS: [&[u8]; 9] = [b"GP", b"GL", b"GA", b"GB", b"BD", b"GQ", b"QZ", b"GI", b"GN"];
/// Knots to km/h, exact by definition.
const KMH_PER_KNOT: f64 = 1.852;
/// Receivers count weeks in 10 bits (IS-GPS-200, 20.3.3.3.1.1): an old one is wrong by this much.
const WEEKS_1024_US: i64 = 1024 * 7 * 86_400_000_000;
/// 2024-01-01: nothing was received with this program before it was written.
const EARLIEST_US: i64 = 1_704_067_200_000_000;

/// Reads sentences and remembers what belongs together.
#[derive(Debug, Default)]
pub(crate) struct NmeaReader {
    /// Time of day of the last position passed on, as written.
    position_at: Option<[u8; 6]>,
    altitude_m: Option<f64>,
    /// Dimensions by the last GSA.
    dimensions: Option<u8>,
    /// Standard deviations by the last GST: horizontal, vertical.
    accuracy_m: (Option<f64>, Option<f64>),
    /// RMC tells speed and course; VTG then only repeats them.
    has_rmc: bool,
}

impl LineReader for NmeaReader {
    fn read(&mut self, line: &[u8]) -> Reading {
        let line = line.trim_ascii();
        // A line before the first `$` is the rest of one that was cut by connecting.
        let Some(sentence) = line.strip_prefix(b"$") else { return Reading::Other };
        let Some(body) = checked(sentence) else { return Reading::Damaged };
        let mut parts = body.splitn(2, |b| *b == b',');
        let (Some(address), Some(rest)) = (parts.next(), parts.next()) else { return Reading::Other };
        let Some((talker, kind)) = address.split_at_checked(2) else { return Reading::Other };
        if !TALKERS.contains(&talker) {
            return Reading::Other;
        }
        let fields = Fields::of(rest);
        let report = match kind {
            b"GGA" => self.gga(&fields),
            b"RMC" => self.rmc(&fields),
            b"VTG" => self.vtg(&fields),
            b"GSA" => {
                self.dimensions = fields.integer(1);
                return Reading::Other;
            }
            b"GST" => {
                self.gst(&fields);
                return Reading::Other;
            }
            _ => return Reading::Other,
        };
        report.map_or(Reading::Damaged, |report| Reading::Report(Box::new(report)))
    }
}

impl NmeaReader {
    /// Time, latitude, N/S, longitude, E/W, quality, satellites, HDOP, altitude, M, ...
    fn gga(&mut self, fields: &Fields<'_>) -> Option<Report> {
        let quality = fields.integer(5)?;
        let fix_type = self.fix_type(quality);
        let has_fix = fix_type != FixType::None;
        let position = if has_fix { self.once(fields, position(fields, 1)?) } else { None };
        self.altitude_m = fields.number(8).filter(|_| has_fix);
        let accuracy_m = if has_fix { self.accuracy_m } else { (None, None) };
        Some(Report {
            position,
            fix: Some(Fix {
                fix_type,
                satellites: fields.number(6),
                hdop: fields.number(7).filter(|_| has_fix),
                horizontal_accuracy_m: accuracy_m.0,
                vertical_accuracy_m: accuracy_m.1,
            }),
            ..Report::default()
        })
    }

    /// Time, status, latitude, N/S, longitude, E/W, knots, course, date, variation, E/W, mode
    fn rmc(&mut self, fields: &Fields<'_>) -> Option<Report> {
        self.has_rmc = true;
        // `V` warns; mode N is no data, M manual and S a simulator.
        if fields.get(1) != b"A" || matches!(fields.get(11), b"N" | b"M" | b"S") {
            return Some(Report::default());
        }
        let position = position(fields, 2)?;
        Some(Report {
            position: self.once(fields, position),
            motion: Some(Motion {
                speed_kmh: fields.number(6).map(|knots| knots * KMH_PER_KNOT),
                heading_deg: fields.number(7).filter(|deg| (0.0..=360.0).contains(deg)),
                altitude_m: self.altitude_m,
            }),
            fix: None,
            time: time(fields.get(0), fields.get(8)),
        })
    }

    /// Course, T, course, M, knots, N, km/h, K, mode
    fn vtg(&mut self, fields: &Fields<'_>) -> Option<Report> {
        if self.has_rmc || matches!(fields.get(8), b"N" | b"M" | b"S") {
            return Some(Report::default());
        }
        let speed_kmh = fields.number(6).or_else(|| fields.number(4).map(|knots| knots * KMH_PER_KNOT));
        let heading_deg = fields.number(0).filter(|deg| (0.0..=360.0).contains(deg));
        let motion = Motion { speed_kmh, heading_deg, altitude_m: self.altitude_m };
        Some(Report { motion: Some(motion), ..Report::default() })
    }

    /// Time, RMS, major, minor, orientation, latitude, longitude and altitude deviation in metres
    fn gst(&mut self, fields: &Fields<'_>) {
        let horizontal = fields.number(5).zip(fields.number(6)).map(|(north, east)| north.hypot(east));
        self.accuracy_m = (horizontal, fields.number(7));
    }

    /// The position, unless one of the same moment was passed on.
    fn once(&mut self, fields: &Fields<'_>, position: (f64, f64)) -> Option<(f64, f64)> {
        let at: Option<[u8; 6]> = fields.get(0).get(..6).and_then(|t| t.try_into().ok());
        // Receivers faster than 1 Hz have hundredths; their GGA is then the one passed on.
        let is_again = at.is_some() && at == self.position_at && fields.get(1) == b"A";
        self.position_at = at;
        (!is_again).then_some(position)
    }

    /// By GGA's quality and GSA's dimensions. 7 and 8 are typed in and simulated: no fix.
    fn fix_type(&self, quality: u8) -> FixType {
        let is_flat = self.dimensions == Some(2);
        match (quality, is_flat) {
            (1 | 3 | 6, false) => FixType::ThreeD,
            (1 | 3 | 6, true) => FixType::TwoD,
            (2, false) => FixType::ThreeDSatellite,
            (2, true) => FixType::TwoDSatellite,
            (4 | 5, false) => FixType::ThreeDGround,
            (4 | 5, true) => FixType::TwoDGround,
            _ => FixType::None,
        }
    }
}

/// The sentence between `$` and `*`, when its checksum is right. One without is not believed.
fn checked(sentence: &[u8]) -> Option<&[u8]> {
    if sentence.len() > SENTENCE_BYTES_MAX {
        return None;
    }
    let star = sentence.iter().rposition(|b| *b == b'*')?;
    let (body, sum) = (sentence.get(..star)?, sentence.get(star + 1..)?);
    let told = u8::from_str_radix(std::str::from_utf8(sum).ok().filter(|s| s.len() == 2)?, 16).ok()?;
    (body.iter().fold(0, |sum, byte| sum ^ byte) == told).then_some(body)
}

/// The comma-separated fields after the address.
struct Fields<'a> {
    fields: [&'a [u8]; FIELD_COUNT_MAX],
}

impl<'a> Fields<'a> {
    fn of(rest: &'a [u8]) -> Self {
        let mut fields: [&[u8]; FIELD_COUNT_MAX] = [b""; FIELD_COUNT_MAX];
        for (field, text) in fields.iter_mut().zip(rest.split(|b| *b == b',')) {
            *field = text;
        }
        Self { fields }
    }

    fn get(&self, index: usize) -> &'a [u8] {
        self.fields.get(index).copied().unwrap_or_default()
    }

    fn integer(&self, index: usize) -> Option<u8> {
        std::str::from_utf8(self.get(index)).ok()?.parse().ok()
    }

    fn number(&self, index: usize) -> Option<f64> {
        number(self.get(index))
    }
}

fn number(text: &[u8]) -> Option<f64> {
    // Signs, digits and a point only: Rust also reads "inf" and "nan".
    if text.is_empty() || !text.iter().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'-' | b'+')) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// `ddmm.mmmm,N,dddmm.mmmm,E` from field `first` on, in degrees.
fn position(fields: &Fields<'_>, first: usize) -> Option<(f64, f64)> {
    let latitude = degrees(fields.get(first), 2, fields.get(first + 1), b"N", b"S")?;
    let longitude = degrees(fields.get(first + 2), 3, fields.get(first + 3), b"E", b"W")?;
    (latitude.abs() <= 90.0 && longitude.abs() <= 180.0).then_some((latitude, longitude))
}

fn degrees(text: &[u8], digits: usize, side: &[u8], plus: &[u8], minus: &[u8]) -> Option<f64> {
    let (whole, minutes) = text.split_at_checked(digits)?;
    let minutes = number(minutes).filter(|m| (0.0..60.0).contains(m))?;
    let value = number(whole)? + minutes / 60.0;
    if side == plus {
        Some(value)
    } else if side == minus {
        Some(-value)
    } else {
        None
    }
}

/// `hhmmss.ss` and `ddmmyy`; a date of a rolled-over week count is put right.
fn time(of_day: &[u8], date: &[u8]) -> Option<Timestamp> {
    let two = |text: &[u8], at: usize| -> Option<u32> {
        let pair = text.get(at..at + 2).filter(|pair| pair.iter().all(u8::is_ascii_digit))?;
        Some(u32::from(pair[0] - b'0') * 10 + u32::from(pair[1] - b'0'))
    };
    let (hour, minute, second) = (two(of_day, 0)?, two(of_day, 2)?, number(of_day.get(4..)?)?);
    let (day, month, year) = (two(date, 0)?, two(date, 2)?, two(date, 4)?);
    // Two digits: the epoch of GPS is 1980.
    let year = if year >= 80 { 1900 + year } else { 2000 + year };
    let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:00Z");
    if !(0.0..61.0).contains(&second) {
        return None;
    }
    #[allow(clippy::cast_possible_truncation, reason = "under 61 seconds")]
    let mut time = Timestamp::parse(&text).ok()?.plus_us((second * 1e6).round() as i64);
    while time.0 < EARLIEST_US {
        time = time.plus_us(WEEKS_1024_US);
    }
    Some(time)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

    use proptest::prelude::*;

    use super::*;

    fn sentence(body: &str) -> Vec<u8> {
        let sum = body.bytes().fold(0, |sum, byte| sum ^ byte);
        format!("${body}*{sum:02X}\r").into_bytes()
    }

    fn report(reader: &mut NmeaReader, body: &str) -> Report {
        match reader.read(&sentence(body)) {
            Reading::Report(report) => *report,
            other => panic!("{other:?} of {body}"),
        }
    }

    #[test]
    fn a_moment_in_two_sentences_is_one_position_and_its_motion() {
        let mut reader = NmeaReader::default();
        assert_eq!(reader.read(&sentence("GNGSA,A,3,01,02,,,,,,,,,,,1.5,0.9,1.2")), Reading::Other);
        let gga = report(&mut reader, "GNGGA,123519.00,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,");
        let (latitude, longitude) = gga.position.unwrap();
        assert!((latitude - 48.1173).abs() < 1e-9 && (longitude - 11.516_666_666_7).abs() < 1e-9);
        let fix = gga.fix.unwrap();
        assert_eq!((fix.fix_type, fix.satellites, fix.hdop), (FixType::ThreeD, Some(8.0), Some(0.9)));
        let rmc =
            report(&mut reader, "GNRMC,123519.00,A,4807.038,N,01131.000,E,022.4,084.4,230326,003.1,W,A");
        assert_eq!(rmc.position, None);
        let motion = rmc.motion.unwrap();
        assert!((motion.speed_kmh.unwrap() - 41.4848).abs() < 1e-9);
        assert_eq!((motion.heading_deg, motion.altitude_m), (Some(84.4), Some(545.4)));
        assert_eq!(rmc.time, Some(Timestamp::parse("2026-03-23T12:35:19Z").unwrap()));
        // VTG repeats what RMC tells.
        assert_eq!(report(&mut reader, "GNVTG,054.7,T,034.4,M,005.5,N,010.2,K,A"), Report::default());
    }

    #[test]
    fn southern_and_western_positions_are_negative() {
        let mut reader = NmeaReader::default();
        let rmc = report(&mut reader, "GPRMC,000001,A,3345.6,S,07030.0,W,0.0,,010126,,,D");
        assert_eq!(rmc.position, Some((-33.76, -70.5)));
        assert_eq!(rmc.motion.unwrap().heading_deg, None);
    }

    #[test]
    fn a_wrong_or_missing_checksum_and_a_foreign_talker_are_not_believed() {
        let mut reader = NmeaReader::default();
        let mut bad = sentence("GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,");
        bad[10] ^= 1;
        assert_eq!(reader.read(&bad), Reading::Damaged);
        assert_eq!(
            reader.read(b"$GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230326,,,A"),
            Reading::Damaged
        );
        assert_eq!(reader.read(&sentence("AIRMC,1,2")), Reading::Other);
        assert_eq!(reader.read(&sentence("PUBX,00,1")), Reading::Other);
    }

    #[test]
    fn without_a_fix_or_from_a_simulator_there_is_no_position() {
        let mut reader = NmeaReader::default();
        let none = report(&mut reader, "GPGGA,123519,,,,,0,00,99.9,,M,,M,,");
        assert_eq!((none.position, none.fix.unwrap().fix_type), (None, FixType::None));
        let typed = report(&mut reader, "GPGGA,123519,4807.038,N,01131.000,E,8,08,0.9,545.4,M,46.9,M,,");
        assert_eq!(typed.position, None);
        assert_eq!(report(&mut reader, "GPRMC,123519,V,,,,,,,230326,,,N"), Report::default());
    }

    #[test]
    fn a_date_before_the_program_is_a_week_count_that_rolled_over() {
        // 2006-08-07 is 1024 weeks before 2026-03-23.
        let rolled = time(b"120000", b"070806").unwrap();
        assert_eq!(rolled, Timestamp::parse("2026-03-23T12:00:00Z").unwrap());
        assert_eq!(time(b"120000", b"320126"), None);
        assert_eq!(time(b"1200", b"010126"), None);
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(line in proptest::collection::vec(any::<u8>(), 0..300)) {
            NmeaReader::default().read(&line);
        }

        #[test]
        fn any_fields_under_a_right_checksum_are_read_or_refused(
            kind in prop_oneof![Just("GGA"), Just("RMC"), Just("VTG"), Just("GSA"), Just("GST")],
            fields in "[0-9A-Z.,+-]{0,100}",
        ) {
            let mut reader = NmeaReader::default();
            if let Reading::Report(report) = reader.read(&sentence(&format!("GP{kind},{fields}")))
                && let Some((latitude, longitude)) = report.position
            {
                prop_assert!(latitude.abs() <= 90.0 && longitude.abs() <= 180.0);
            }
        }
    }
}
