// Places drawn by hand: points and rings, circles as the map shows them, and what can be told to be wrong before the
// server is asked. Pure; the server has the last word on a geometry.

import { messages as m } from '../messages';
import type { Geometry, Position } from './geofences';
import { haversine, unwrapRing, type Bounds } from './geometry';

/** As the server keeps them: a centimetre. */
const DECIMALS = 7;
const CIRCLE_STEPS = 72;
const EARTH_M = 6_371_008.8;
const RAD = Math.PI / 180;
export const RADIUS_M_MIN = 1;
export const RADIUS_M_MAX = 1_000_000;
/** Of a whole geometry, the first position of a ring told twice. */
const POINTS_MAX = 999;

const kept = (degrees: number): number => Number(degrees.toFixed(DECIMALS));

/** A place as the server keeps it. A map that goes around the world more than once has longitudes beyond 180°. */
export function position(longitude: number, latitude: number): Position {
  const wrapped = longitude >= -180 && longitude <= 180 ? longitude : ((((longitude + 180) % 360) + 360) % 360) - 180;
  return [kept(wrapped), kept(Math.max(-90, Math.min(90, latitude)))];
}

const isAt = (a: Position | undefined, b: Position | undefined): boolean => a !== undefined && b !== undefined && a[0] === b[0] && a[1] === b[1];

/** One more point; the same place twice is one. */
export const placed = (points: readonly Position[], at: Position): Position[] => (isAt(points.at(-1), at) ? [...points] : [...points, at]);

export const moved = (points: readonly Position[], index: number, to: Position): Position[] => points.map((point, at) => (at === index ? to : point));

/** The ring of a polygon's points: it ends where it begins. */
export function ringOf(points: readonly Position[]): Position[] {
  const [first] = points;
  return first ? [...points, first] : [];
}

/** The points of a ring, its end being its beginning. */
export const pointsOf = (ring: readonly Position[]): Position[] => (ring.length > 1 && isAt(ring[0], ring.at(-1)) ? ring.slice(0, -1) : [...ring]);

/** What keeps points from being the border of a place, as a sentence; empty where nothing does. */
export function polygonFault(points: readonly Position[]): string {
  if (points.length > POINTS_MAX) return m.geofences.faults.tooManyPoints(points.length, POINTS_MAX);
  if (new Set(points.map(String)).size < 3) return m.geofences.faults.tooFewPoints;
  if (new Set(points.map(String)).size < points.length) return m.geofences.faults.sameTwice;
  if (points.some(([longitude], index) => Math.abs(longitude - (points[(index + 1) % points.length]?.[0] ?? 0)) > 180))
    return m.geofences.faults.meridian;
  if (crosses(points)) return m.geofences.faults.crosses;
  return areaOf(points) === 0 ? m.geofences.faults.flat : '';
}

function areaOf(points: readonly Position[]): number {
  const [x0, y0] = points[0] ?? [0, 0];
  let sum = 0;
  for (const [index, [x, y]] of points.entries()) {
    const [nextX, nextY] = points[(index + 1) % points.length] ?? [x0, y0];
    sum += (x - x0) * (nextY - y0) - (nextX - x0) * (y - y0);
  }
  return sum / 2;
}

/** Which side of the line from `a` to `b` a point is on. */
const side = (a: Position, b: Position, p: Position): number => Math.sign((b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]));

/** Whether a point that is on the line through `a` and `b` is between them. */
const isBetween = (a: Position, b: Position, p: Position): boolean =>
  Math.min(a[0], b[0]) <= p[0] && p[0] <= Math.max(a[0], b[0]) && Math.min(a[1], b[1]) <= p[1] && p[1] <= Math.max(a[1], b[1]);

function meet(a: Position, b: Position, c: Position, d: Position): boolean {
  const [abc, abd, cda, cdb] = [side(a, b, c), side(a, b, d), side(c, d, a), side(c, d, b)];
  if (abc !== abd && cda !== cdb && abc !== 0 && abd !== 0 && cda !== 0 && cdb !== 0) return true;
  return (abc === 0 && isBetween(a, b, c)) || (abd === 0 && isBetween(a, b, d)) || (cda === 0 && isBetween(c, d, a)) || (cdb === 0 && isBetween(c, d, b));
}

/** Whether the border of these points crosses or touches itself. */
export function crosses(points: readonly Position[]): boolean {
  const count = points.length;
  for (let i = 0; i < count; i += 1) {
    const [a, b] = [points[i], points[(i + 1) % count]];
    for (let j = i + 1; j < count; j += 1) {
      const [c, d] = [points[j], points[(j + 1) % count]];
      if (!a || !b || !c || !d) continue;
      // Neighbours share a point. They lie on each other where the border turns back on itself.
      if (j === i + 1) {
        if (side(a, b, d) === 0 && (d[0] - b[0]) * (a[0] - b[0]) + (d[1] - b[1]) * (a[1] - b[1]) > 0) return true;
      } else if (i === 0 && j === count - 1) {
        if (side(c, d, b) === 0 && (b[0] - a[0]) * (c[0] - a[0]) + (b[1] - a[1]) * (c[1] - a[1]) > 0) return true;
      } else if (meet(a, b, c, d)) return true;
    }
  }
  return false;
}

/** Metres from a circle's centre to a point on its edge, whole and within what is taken. */
export function radiusTo([longitude, latitude]: Position, [toLongitude, toLatitude]: Position): number {
  const away = haversine({ longitude, latitude }, { longitude: toLongitude, latitude: toLatitude });
  return Math.min(RADIUS_M_MAX, Math.max(RADIUS_M_MIN, Math.round(away)));
}

/** A circle over ground as the ring that a map draws. */
export function circleRing([longitude, latitude]: Position, radius_m: number): Position[] {
  const angle = radius_m / EARTH_M;
  const [lat, lon] = [latitude * RAD, longitude * RAD];
  const ring = Array.from({ length: CIRCLE_STEPS }, (_, step): Position => {
    const bearing = (step / CIRCLE_STEPS) * 2 * Math.PI;
    const toLat = Math.asin(Math.sin(lat) * Math.cos(angle) + Math.cos(lat) * Math.sin(angle) * Math.cos(bearing));
    const toLon = lon + Math.atan2(Math.sin(bearing) * Math.sin(angle) * Math.cos(lat), Math.cos(angle) - Math.sin(lat) * Math.sin(toLat));
    return [toLon / RAD, toLat / RAD];
  });
  return unwrapRing(ringOf(ring)) as Position[];
}

/** The polygons that a map draws of a geometry: rings each. */
export function polygonsOf(geometry: Geometry): Position[][][] {
  if (geometry.type === 'Circle') return [[circleRing(geometry.centre, geometry.radius_m)]];
  return geometry.type === 'Polygon' ? [geometry.coordinates] : geometry.coordinates;
}

/** The smallest box around a geometry, as it is drawn. */
export function boundsOf(geometry: Geometry): Bounds {
  const box: Bounds = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [x, y] of polygonsOf(geometry).flat(2)) {
    box[0] = Math.min(box[0], x);
    box[1] = Math.min(box[1], y);
    box[2] = Math.max(box[2], x);
    box[3] = Math.max(box[3], y);
  }
  return box;
}

/** Where the name of a geometry stands: a circle's centre, or the middle of its widest polygon's border. */
export function namePlace(geometry: Geometry): Position {
  if (geometry.type === 'Circle') return geometry.centre;
  const borders = polygonsOf(geometry).map(([border = []]) => pointsOf(border));
  const widest = borders.sort((a, b) => Math.abs(areaOf(b)) - Math.abs(areaOf(a)))[0] ?? [];
  const area = areaOf(widest);
  const [x0, y0] = widest[0] ?? [0, 0];
  if (area === 0) return [x0, y0];
  let [x, y] = [0, 0];
  for (const [index, [ax, ay]] of widest.entries()) {
    const [bx, by] = widest[(index + 1) % widest.length] ?? [x0, y0];
    const cross = (ax - x0) * (by - y0) - (bx - x0) * (ay - y0);
    x += (ax + bx - 2 * x0) * cross;
    y += (ay + by - 2 * y0) * cross;
  }
  return [x0 + x / (6 * area), y0 + y / (6 * area)];
}

export type CircleField = 'latitude' | 'longitude' | 'radius';
export type CircleFaults = Partial<Record<CircleField, string>>;

/** A decimal number as a person writes it, or null. */
export function numberIn(text: string): number | null {
  const plain = text.trim().replace(',', '.').replace(/^\u2212/, '-');
  return /^[+-]?(\d+\.?\d*|\.\d+)$/.test(plain) ? Number(plain) : null;
}

/** A circle of what stands in its fields, or what is wrong with each. */
export function circleIn(text: Record<CircleField, string>): { geometry: Geometry } | { faults: CircleFaults } {
  const faults: CircleFaults = {};
  const read = (field: CircleField, least: number, most: number, words: string): number => {
    const value = numberIn(text[field]);
    if (value === null || value < least || value > most) faults[field] = words;
    return value ?? 0;
  };
  const latitude = read('latitude', -90, 90, m.geofences.faults.latitude);
  const longitude = read('longitude', -180, 180, m.geofences.faults.longitude);
  const radius_m = read('radius', RADIUS_M_MIN, RADIUS_M_MAX, m.geofences.faults.radius);
  return Object.keys(faults).length > 0 ? { faults } : { geometry: { type: 'Circle', centre: position(longitude, latitude), radius_m } };
}

const isPosition = (value: unknown): boolean => Array.isArray(value) && value.length >= 2 && value.slice(0, 2).every((part) => typeof part === 'number' && Number.isFinite(part));
const isListOf = (value: unknown, isOne: (item: unknown) => boolean): boolean => Array.isArray(value) && value.length > 0 && value.every(isOne);
const isRing = (value: unknown): boolean => isListOf(value, isPosition);
const isPolygon = (value: unknown): boolean => isListOf(value, isRing);

/** A geometry in GeoJSON that was pasted: itself, a feature, or a collection of one; or why it is none. */
export function geoJsonIn(text: string): { geometry: Geometry } | { fault: string } {
  if (!text.trim()) return { fault: m.geofences.faults.empty };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { fault: m.geofences.faults.notJson };
  }
  return geometryOf(value);
}

function geometryOf(value: unknown): { geometry: Geometry } | { fault: string } {
  const it = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  switch (it.type) {
    case 'Feature':
      return geometryOf(it.geometry);
    case 'FeatureCollection': {
      const features = Array.isArray(it.features) ? (it.features as unknown[]) : [];
      return features.length === 1 ? geometryOf(features[0]) : { fault: m.geofences.faults.features(features.length) };
    }
    case 'Polygon':
      return isPolygon(it.coordinates) ? { geometry: { type: 'Polygon', coordinates: it.coordinates as Position[][] } } : { fault: m.geofences.faults.polygon };
    case 'MultiPolygon':
      return isListOf(it.coordinates, isPolygon) ? { geometry: { type: 'MultiPolygon', coordinates: it.coordinates as Position[][][] } } : { fault: m.geofences.faults.multiPolygon };
    case 'Circle':
      return isPosition(it.centre) && typeof it.radius_m === 'number' ? { geometry: { type: 'Circle', centre: it.centre as Position, radius_m: it.radius_m } } : { fault: m.geofences.faults.circle };
    default:
      return { fault: typeof it.type === 'string' ? m.geofences.faults.noArea(it.type) : m.geofences.faults.noType };
  }
}
