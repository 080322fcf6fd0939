//! Where a vehicle can go: a line of nodes five metres apart, with height and speed limit.

use crate::agent::NamedBytes;

/// Distance between nodes.
pub(super) const NODE_M: f64 = 5.0;
const EARTH_RADIUS_M: f64 = 6_371_008.8;
/// Side acceleration a driver takes in a bend.
const BEND_MPS2: f64 = 2.0;
/// Nodes before and after that a bend is measured over.
const BEND_NODES: usize = 4;
const SPEED_MIN_MPS: f64 = 3.0;
/// Steeper is a fault of the recorded height.
const GRADE_MAX: f64 = 0.10;

/// Why a file is no track.
#[derive(Debug, thiserror::Error)]
pub enum TrackError {
    /// A line that is not `lat,lon,ele_m,speed_limit_kmh`.
    #[error(
        "{file}:{line}: not `lat,lon,ele_m,speed_limit_kmh` in degrees, metres and km/h (the last two may be empty)"
    )]
    Line {
        /// Which file.
        file: String,
        /// Its line, from 1.
        line: u64,
    },
    /// Shorter than a vehicle can drive.
    #[error("track {file} is {length_m:.0} m long; it must be at least 300 m")]
    TooShort {
        /// Which file.
        file: String,
        /// How long it is.
        length_m: f64,
    },
}

/// One node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Node {
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
    pub(crate) height_m: f64,
    pub(crate) limit_mps: f64,
    /// Towards the next node, radians clockwise from north.
    pub(crate) heading_rad: f64,
    /// Rise per metre towards the next node.
    pub(crate) grade: f64,
    /// What the bend allows.
    pub(crate) bend_mps: f64,
    /// One by the radius, right positive.
    pub(crate) curvature: f64,
}

/// A track, as driven in one direction.
#[derive(Debug, Clone)]
pub(crate) struct Track {
    pub(crate) nodes: Vec<Node>,
}

#[derive(Clone, Copy)]
struct Point {
    latitude: f64,
    longitude: f64,
    height_m: Option<f64>,
    limit_kmh: f64,
}

impl Track {
    pub(super) fn parse(file: &NamedBytes) -> Result<Self, TrackError> {
        let mut points = Vec::new();
        let text = String::from_utf8_lossy(&file.bytes);
        for (i, line) in text.lines().enumerate().skip(1).filter(|(_, l)| !l.trim().is_empty()) {
            let at = || TrackError::Line { file: file.name.clone(), line: i as u64 + 1 };
            points.push(parse_point(line).ok_or_else(at)?);
        }
        let length_m: f64 = points.windows(2).map(|w| distance_m(&w[0], &w[1])).sum();
        if length_m < 300.0 {
            return Err(TrackError::TooShort { file: file.name.clone(), length_m });
        }
        Ok(Self::of_nodes(resample(&points)))
    }

    fn of_nodes(mut nodes: Vec<Node>) -> Self {
        let len = nodes.len();
        for i in 0..len {
            let (a, b) =
                if i + 1 < len { (nodes[i], nodes[i + 1]) } else { (nodes[len - 2], nodes[len - 1]) };
            nodes[i].heading_rad = heading_rad(&a, &b);
            nodes[i].grade = ((b.height_m - a.height_m) / NODE_M).clamp(-GRADE_MAX, GRADE_MAX);
        }
        for i in 0..len {
            let (before, after) = (i.saturating_sub(BEND_NODES), (i + BEND_NODES).min(len - 1));
            let turn = wrapped(nodes[after].heading_rad - nodes[before].heading_rad);
            #[allow(clippy::cast_precision_loss, reason = "a handful of nodes")]
            let curvature = turn / ((after - before) as f64 * NODE_M);
            nodes[i].curvature = curvature;
            nodes[i].bend_mps = (BEND_MPS2 / curvature.abs().max(1e-6)).sqrt().max(SPEED_MIN_MPS);
        }
        Self { nodes }
    }

    /// The way back.
    pub(super) fn reversed(&self) -> Self {
        Self::of_nodes(self.nodes.iter().rev().copied().collect())
    }

    #[allow(clippy::cast_precision_loss, reason = "a track has few nodes")]
    pub(super) fn length_m(&self) -> f64 {
        (self.nodes.len() - 1) as f64 * NODE_M
    }

    /// The node at or before, and the share of the way to the next.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "clamped"
    )]
    pub(super) fn place(&self, at_m: f64) -> (usize, f64) {
        let place = (at_m / NODE_M).clamp(0.0, (self.nodes.len() - 1) as f64);
        let index = (place as usize).min(self.nodes.len() - 2);
        (index, place - index as f64)
    }

    /// Latitude and longitude at a distance from the start.
    pub(super) fn position(&self, at_m: f64) -> (f64, f64) {
        let (i, share) = self.place(at_m);
        let (a, b) = (&self.nodes[i], &self.nodes[i + 1]);
        (a.latitude + (b.latitude - a.latitude) * share, a.longitude + (b.longitude - a.longitude) * share)
    }
}

fn parse_point(line: &str) -> Option<Point> {
    let mut fields = line.split(',').map(str::trim);
    let latitude: f64 = fields.next()?.parse().ok()?;
    let longitude: f64 = fields.next()?.parse().ok()?;
    let optional = |text: Option<&str>| match text {
        None | Some("") => Some(None),
        Some(text) => text.parse::<f64>().ok().filter(|v| v.is_finite()).map(Some),
    };
    let height_m = optional(fields.next())?;
    let limit_kmh = optional(fields.next())?.unwrap_or(50.0).clamp(10.0, 130.0);
    let is_on_earth = latitude.abs() < 89.0 && longitude.abs() <= 180.0;
    (is_on_earth && fields.next().is_none()).then_some(Point { latitude, longitude, height_m, limit_kmh })
}

/// Nodes at equal distances along the line through the points.
fn resample(points: &[Point]) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut carry_m = 0.0;
    let mut height_m = points.iter().find_map(|p| p.height_m).unwrap_or(0.0);
    for pair in points.windows(2) {
        let (a, b) = (&pair[0], &pair[1]);
        let (from_m, to_m) = (a.height_m.unwrap_or(height_m), b.height_m.unwrap_or(height_m));
        height_m = to_m;
        let length_m = distance_m(a, b);
        while carry_m < length_m {
            let share = carry_m / length_m;
            nodes.push(Node {
                latitude: a.latitude + (b.latitude - a.latitude) * share,
                longitude: a.longitude + (b.longitude - a.longitude) * share,
                height_m: from_m + (to_m - from_m) * share,
                limit_mps: a.limit_kmh / 3.6,
                heading_rad: 0.0,
                grade: 0.0,
                bend_mps: 0.0,
                curvature: 0.0,
            });
            carry_m += NODE_M;
        }
        carry_m -= length_m;
    }
    nodes
}

fn distance_m(a: &Point, b: &Point) -> f64 {
    let north = (b.latitude - a.latitude).to_radians();
    let east = (b.longitude - a.longitude).to_radians() * a.latitude.to_radians().cos();
    EARTH_RADIUS_M * north.hypot(east)
}

fn heading_rad(a: &Node, b: &Node) -> f64 {
    let north = b.latitude - a.latitude;
    let east = (b.longitude - a.longitude) * a.latitude.to_radians().cos();
    east.atan2(north)
}

/// An angle in (-π, π].
fn wrapped(angle: f64) -> f64 {
    let turns = (angle / std::f64::consts::TAU).round();
    angle - turns * std::f64::consts::TAU
}

/// Degrees of a distance in metres at a latitude.
pub(super) fn degrees_of(north_m: f64, east_m: f64, latitude: f64) -> (f64, f64) {
    let north = (north_m / EARTH_RADIUS_M).to_degrees();
    (north, (east_m / EARTH_RADIUS_M / latitude.to_radians().cos()).to_degrees())
}
