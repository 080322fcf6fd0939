// Geometry of maps and tracks. Pure functions over WGS 84 degrees.

import type { Feature, FeatureCollection, LineString, Point } from 'geojson';

export interface Place {
  latitude: number;
  longitude: number;
}

export interface TrackPoint extends Place {
  ts: string;
  speed_kmh?: number | null;
}

export type Bounds = [west: number, south: number, east: number, north: number];

/** The smallest box around the points, or null without any. */
export function bounds(points: readonly { latitude?: number | null; longitude?: number | null }[]): Bounds | null {
  let box: Bounds | null = null;
  for (const { latitude, longitude } of points) {
    if (latitude == null || longitude == null) continue;
    box = box
      ? [Math.min(box[0], longitude), Math.min(box[1], latitude), Math.max(box[2], longitude), Math.max(box[3], latitude)]
      : [longitude, latitude, longitude, latitude];
  }
  return box;
}

/** Great-circle distance in metres. */
export function haversine(a: Place, b: Place): number {
  const rad = Math.PI / 180;
  const dLat = (b.latitude - a.latitude) * rad;
  const dLon = (b.longitude - a.longitude) * rad;
  const h = Math.sin(dLat / 2) ** 2 + Math.cos(a.latitude * rad) * Math.cos(b.latitude * rad) * Math.sin(dLon / 2) ** 2;
  return 2 * 6_371_008.8 * Math.asin(Math.min(1, Math.sqrt(h)));
}

const GAP_S = 120;
const IMPLAUSIBLE_KMH = 250;

/** The kilometres an hour that a step needs; 0 where no time passed. */
function impliedKmh(from: TrackPoint, to: TrackPoint): number {
  const seconds = (Date.parse(to.ts) - Date.parse(from.ts)) / 1000;
  return seconds > 0 ? (haversine(from, to) / seconds) * 3.6 : 0;
}

/** Whether nothing is known of the road between two positions: a hole in time, or an implausible jump. */
export function isGap(from: TrackPoint, to: TrackPoint): boolean {
  return (Date.parse(to.ts) - Date.parse(from.ts)) / 1000 > GAP_S || impliedKmh(from, to) > IMPLAUSIBLE_KMH;
}

/** A track cut where it has gaps. */
export function stretches<T extends TrackPoint>(points: readonly T[]): T[][] {
  const found: T[][] = [];
  let before: T | undefined;
  for (const point of points) {
    const last = found.at(-1);
    if (last && before && !isGap(before, point)) last.push(point);
    else found.push([point]);
    before = point;
  }
  return found;
}

/**
 * A track as one feature a step, coloured by its speed. Steps over a gap in time or an implausible
 * jump are kept apart (`gap: true`): they are drawn dashed, so that the map never invents a road.
 */
export function trackSegments(points: readonly TrackPoint[]): FeatureCollection<LineString, { speed: number; gap: boolean }> {
  const features: Feature<LineString, { speed: number; gap: boolean }>[] = [];
  for (let index = 1; index < points.length; index += 1) {
    const from = points[index - 1];
    const to = points[index];
    if (!from || !to) continue;
    features.push({
      type: 'Feature',
      properties: { speed: to.speed_kmh ?? impliedKmh(from, to), gap: isGap(from, to) },
      geometry: { type: 'LineString', coordinates: [[from.longitude, from.latitude], [to.longitude, to.latitude]] },
    });
  }
  return { type: 'FeatureCollection', features };
}

/**
 * A line across the date line goes on past 180° instead of jumping back through the whole map.
 * Natural Earth's shapes in world-atlas are spherical and jump there.
 */
export function unwrapLine(line: readonly number[][]): number[][] {
  let shift = 0;
  let before: number | undefined;
  return line.map(([lon = 0, lat = 0]) => {
    if (before !== undefined && lon - before > 180) shift -= 360;
    if (before !== undefined && lon - before < -180) shift += 360;
    before = lon;
    return [lon + shift, lat];
  });
}

/** The same for a polygon's ring; one around a pole (Antarctica) is closed along that pole. */
export function unwrapRing(ring: readonly number[][]): number[][] {
  const line = unwrapLine(ring);
  const [first = 0, firstLat = 0] = line[0] ?? [];
  const [last = 0] = line.at(-1) ?? [];
  if (Math.abs(last - first) < 180) return line;
  const pole = firstLat < 0 ? -90 : 90;
  return [...line, [last, pole], [first, pole], [first, firstLat]];
}

const STEPS = [30, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];

/** The spacing of the graticule: the widest step that still gives about five lines a view. */
export function graticuleStep(spanDeg: number): number {
  return STEPS.find((step) => spanDeg / step >= 4) ?? 0.001;
}

export interface Graticule {
  lines: FeatureCollection<LineString>;
  labels: FeatureCollection<Point, { text: string; axis: 'lat' | 'lon' }>;
}

/** Meridians and parallels through a view, with a label for each at its left or bottom edge. */
export function graticule([west, south, east, north]: Bounds): Graticule {
  const step = graticuleStep(Math.min(360, east - west));
  const pad = step * 2;
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  const top = Math.min(85, north + pad);
  const bottom = Math.max(-85, south - pad);
  const lines: Feature<LineString>[] = [];
  const labels: Feature<Point, { text: string; axis: 'lat' | 'lon' }>[] = [];
  const line = (coordinates: number[][]): void => {
    lines.push({ type: 'Feature', properties: {}, geometry: { type: 'LineString', coordinates } });
  };
  const label = (lon: number, lat: number, text: string, axis: 'lat' | 'lon'): void => {
    labels.push({ type: 'Feature', properties: { text, axis }, geometry: { type: 'Point', coordinates: [lon, lat] } });
  };
  for (let index = Math.ceil((west - pad) / step); index * step <= east + pad; index += 1) {
    const lon = index * step;
    line([[lon, bottom], [lon, top]]);
    if (lon > west && lon < east) label(lon, south, degrees(wrap(lon), digits, 'E', 'W'), 'lon');
  }
  for (let index = Math.ceil(bottom / step); index * step <= top; index += 1) {
    const lat = index * step;
    line([[west - pad, lat], [east + pad, lat]]);
    if (lat > south && lat < north) label(west, lat, degrees(lat, digits, 'N', 'S'), 'lat');
  }
  return { lines: { type: 'FeatureCollection', features: lines }, labels: { type: 'FeatureCollection', features: labels } };
}

const wrap = (lon: number): number => ((((lon + 180) % 360) + 360) % 360) - 180;

function degrees(value: number, digits: number, positive: string, negative: string): string {
  const text = `${Math.abs(value).toFixed(digits)}°`;
  if (Number(Math.abs(value).toFixed(digits)) === 0) return '0°';
  return text + (value > 0 ? positive : negative);
}

/** Every n-th value so that at most `max` remain, the last one always among them. */
export function thin<T>(values: readonly T[], max: number): T[] {
  if (values.length <= max) return [...values];
  const step = (values.length - 1) / (max - 1);
  const kept: T[] = [];
  for (let index = 0; index < max; index += 1) {
    const value = values[Math.round(index * step)];
    if (value !== undefined) kept.push(value);
  }
  return kept;
}
