// A trip beyond its figures: what changed between revisions, its events, its track as a file.

import { offsetOf } from './chart';
import { distance, duration, moment, number, quantity, speed, words } from './format';
import type { Position, Trip } from './types';
import { quantityOf } from './units';

/** The start of a calendar day in a zone, as UTC; null for no day. */
export function dayStart(day: string, timeZone?: string): string | null {
  const at = /^\d{4}-\d\d-\d\d$/.test(day) ? Date.parse(`${day}T00:00:00Z`) : NaN;
  if (Number.isNaN(at)) return null;
  // The offset is that of the day's own start, not of midnight in UTC: near a change of clocks they differ.
  const guess = at - offsetOf(at, timeZone);
  return new Date(at - offsetOf(guess, timeZone)).toISOString();
}

/** The day after, so that a range can be half-open. */
export function dayAfter(day: string): string {
  const at = Date.parse(`${day}T00:00:00Z`);
  return Number.isNaN(at) ? '' : new Date(at + 86_400_000).toISOString().slice(0, 10);
}

const BOOKKEEPING: readonly string[] = ['id', 'revision', 'vehicle_id', 'derived_at', 'lake_version', 'readings_version'];

export interface Change {
  field: string;
  before: string;
  after: string;
}

/** What a revision changed of the one before it. */
export function changes(before: Trip, after: Trip): Change[] {
  const [a, b] = [before as unknown as Record<string, unknown>, after as unknown as Record<string, unknown>];
  return Object.keys(b)
    .filter((field) => !BOOKKEEPING.includes(field) && JSON.stringify(a[field]) !== JSON.stringify(b[field]))
    .map((field) => ({ field: words(field.replace(/_(m|s|km|kmh|l|kwh)$/, '')), before: told(field, a[field]), after: told(field, b[field]) }));
}

function told(field: string, value: unknown): string {
  if (value == null) return '–';
  if (typeof value === 'string') return /_time$/.test(field) ? moment(value) : words(value);
  if (typeof value !== 'number') return String(value);
  if (field.endsWith('_m')) return distance(value);
  if (field.endsWith('_s')) return duration(value);
  if (field.endsWith('_kmh')) return speed(value);
  if (/latitude|longitude/.test(field)) return number(value, 5);
  const kind = quantityOf(field);
  return kind ? quantity(value, kind, 2) : number(value, 2);
}

const xml = (text: string): string => text.replace(/[<>&"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** GPX 1.1: a track point each, with altitude and time; speed has no place in it. */
export function toGpx(name: string, positions: readonly Position[]): string {
  const points = positions.map(({ ts, latitude, longitude, altitude_m }) =>
    `      <trkpt lat="${latitude}" lon="${longitude}">${altitude_m == null ? '' : `<ele>${altitude_m}</ele>`}<time>${xml(ts)}</time></trkpt>`,
  );
  return `<?xml version="1.0" encoding="UTF-8"?>\n<gpx version="1.1" creator="Roadlake" xmlns="http://www.topografix.com/GPX/1/1">\n  <trk>\n    <name>${xml(name)}</name>\n    <trkseg>\n${points.join('\n')}\n    </trkseg>\n  </trk>\n</gpx>\n`;
}

/** GeoJSON: one line, its times and speeds beside it in the same order. */
export function toGeoJson(trip: Trip, positions: readonly Position[]): string {
  const feature = {
    type: 'Feature',
    properties: { ...trip, times: positions.map(({ ts }) => ts), speeds_kmh: positions.map(({ speed_kmh }) => speed_kmh) },
    geometry: {
      type: 'LineString',
      coordinates: positions.map(({ longitude, latitude, altitude_m }) => (altitude_m == null ? [longitude, latitude] : [longitude, latitude, altitude_m])),
    },
  };
  return `${JSON.stringify({ type: 'FeatureCollection', features: [feature] })}\n`;
}

export function toTrackCsv(positions: readonly Position[]): string {
  const columns = ['ts', 'latitude', 'longitude', 'speed_kmh', 'heading_deg', 'altitude_m'] as const;
  return [columns.join(','), ...positions.map((position) => columns.map((column) => position[column] ?? '').join(','))].map((line) => `${line}\r\n`).join('');
}

export interface DrivingEvent {
  event_id: string;
  kind: string;
  severity: string | null;
  start_time: string;
  end_time: string;
  latitude: number | null;
  longitude: number | null;
  speed_kmh: number | null;
  peak_mps2: number | null;
  level_start_pct: number | null;
  level_end_pct: number | null;
  fuel_l: number | null;
  energy_kwh: number | null;
}

export const tone = (kind: string): 'bad' | 'idling' | 'parked' => (/^harsh|theft/.test(kind) ? 'bad' : kind === 'idling' ? 'idling' : 'parked');

/** What an event came to, in a few words. */
export function eventDetail(event: DrivingEvent): string {
  const parts: string[] = [];
  if (event.severity) parts.push(event.severity);
  if (event.peak_mps2 != null) parts.push(quantity(Math.abs(event.peak_mps2), 'mps2', 1));
  if (event.speed_kmh != null) parts.push(`at ${speed(event.speed_kmh)}`);
  if (event.level_start_pct != null && event.level_end_pct != null) parts.push(`${number(event.level_start_pct)} to ${quantity(event.level_end_pct, 'pct')}`);
  if (event.fuel_l != null) parts.push(quantity(event.fuel_l, 'l', 1));
  if (event.energy_kwh != null) parts.push(quantity(event.energy_kwh, 'kwh', 1));
  if (event.kind === 'idling') parts.push(duration((Date.parse(event.end_time) - Date.parse(event.start_time)) / 1000));
  return parts.join(', ');
}
