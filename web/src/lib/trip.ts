// A trip beyond its figures: what changed between revisions, its events, its track as a file.

import { messages as m } from '../messages';
import { offsetOf } from './chart';
import { stretches } from './geometry';
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

/** Whether nobody is told where it was: neither its places nor its track are asked for. */
export const isPrivate = ({ purpose }: Pick<Trip, 'purpose'>): boolean => purpose === 'private';

const BOOKKEEPING: readonly string[] = ['id', 'revision', 'vehicle_id', 'derived_at', 'lake_version', 'readings_version', 'driver_id', 'driver_name'];

export interface Change {
  field: string;
  before: string;
  after: string;
}

const PLACES = /latitude|longitude/;

/** What a revision changed of the one before it. Where either is private, it does not tell where that was. */
export function changes(before: Trip, after: Trip): Change[] {
  const [a, b] = [before as unknown as Record<string, unknown>, after as unknown as Record<string, unknown>];
  const isHidden = isPrivate(before) || isPrivate(after);
  return Object.keys(b)
    .filter((field) => !BOOKKEEPING.includes(field) && !(isHidden && PLACES.test(field)) && JSON.stringify(a[field] ?? null) !== JSON.stringify(b[field] ?? null))
    .map((field) => ({ field: field === 'merged_count' ? m.trip.madeOf : words(field.replace(/_(m|s|km|kmh|l|kwh)$/, '')), before: told(field, a[field]), after: told(field, b[field]) }));
}

function told(field: string, value: unknown): string {
  if (value == null) return '–';
  if (field === 'merged_count') return m.trip.trips(Number(value));
  if (typeof value === 'string') return /_time$/.test(field) ? moment(value) : words(value);
  if (typeof value !== 'number') return String(value);
  if (field.endsWith('_m')) return distance(value);
  if (field.endsWith('_s')) return duration(value);
  if (field.endsWith('_kmh')) return speed(value);
  if (PLACES.test(field)) return number(value, 5);
  const kind = quantityOf(field);
  return kind ? quantity(value, kind, 2) : number(value, 2);
}

const xml = (text: string): string => text.replace(/[<>&"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** Seven digits are a centimetre; more are noise of a double. */
const degrees = (value: number): string => value.toFixed(7);
const rounded = (value: number): number => Number(degrees(value));

/** A track as a file has it: its positions, and how many readings the trip has where some were left off. */
export interface Track {
  positions: readonly Position[];
  /** Null where every position is there. */
  thinnedOf: number | null;
}

/** Whether so many positions, of at most `asked`, are less than the trip has: the server keeps each n-th. */
export function trackOf(positions: readonly Position[], readingCount: number, asked: number): Track {
  return { positions, thinnedOf: readingCount > asked && positions.length < readingCount ? readingCount : null };
}

const thinnedWords = ({ positions, thinnedOf }: Track): string => m.trip.thinned(positions.length, thinnedOf);

/** A file's name says that a track was thinned, as a CSV has no other place for it. */
export function trackName({ vehicle_id, start_time }: Pick<Trip, 'vehicle_id' | 'start_time'>, { thinnedOf }: Track, format: string): string {
  return `${vehicle_id.replace(/[^\w.-]/g, '_')}-${start_time.slice(0, 19).replaceAll(':', '')}${thinnedOf == null ? '' : '-thinned'}.${format}`;
}

/** GPX 1.1: a segment each stretch without a gap, a track point each position, with altitude and time; speed has no place in it. */
export function toGpx(name: string, track: Track): string {
  const points = (positions: readonly Position[]): string =>
    positions
      .map(({ ts, latitude, longitude, altitude_m }) => `      <trkpt lat="${degrees(latitude)}" lon="${degrees(longitude)}">${altitude_m == null ? '' : `<ele>${altitude_m}</ele>`}<time>${xml(ts)}</time></trkpt>\n`)
      .join('');
  const segments = stretches(track.positions).map((positions) => `    <trkseg>\n${points(positions)}    </trkseg>\n`);
  const note = track.thinnedOf == null ? '' : `    <desc>${xml(thinnedWords(track))}</desc>\n`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n<gpx version="1.1" creator="Roadlake" xmlns="http://www.topografix.com/GPX/1/1">\n  <trk>\n    <name>${xml(name)}</name>\n${note}${segments.join('')}  </trk>\n</gpx>\n`;
}

/** GeoJSON: one line, its times and speeds beside it in the same order; a point where there is one position. */
export function toGeoJson(trip: Trip, track: Track): string {
  const { positions } = track;
  const coordinates = positions.map(({ longitude, latitude, altitude_m }) => [rounded(longitude), rounded(latitude), ...(altitude_m == null ? [] : [altitude_m])]);
  const feature = {
    type: 'Feature',
    properties: {
      ...trip,
      ...(track.thinnedOf == null ? {} : { note: thinnedWords(track) }),
      times: positions.map(({ ts }) => ts),
      speeds_kmh: positions.map(({ speed_kmh }) => speed_kmh),
    },
    // A line has two positions at least (RFC 7946).
    geometry: coordinates.length > 1 ? { type: 'LineString', coordinates } : coordinates[0] ? { type: 'Point', coordinates: coordinates[0] } : null,
  };
  return `${JSON.stringify({ type: 'FeatureCollection', features: [feature] })}\n`;
}

export function toTrackCsv({ positions }: Track): string {
  const columns = ['ts', 'latitude', 'longitude', 'speed_kmh', 'heading_deg', 'altitude_m'] as const;
  const cell = (position: Position, column: (typeof columns)[number]): string =>
    column === 'latitude' || column === 'longitude' ? degrees(position[column]) : String(position[column] ?? '');
  return [columns.join(','), ...positions.map((position) => columns.map((column) => cell(position, column)).join(','))].map((line) => `${line}\r\n`).join('');
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
  if (event.speed_kmh != null) parts.push(m.trip.atSpeed(speed(event.speed_kmh)));
  if (event.level_start_pct != null && event.level_end_pct != null) parts.push(m.trip.fromTo(number(event.level_start_pct), quantity(event.level_end_pct, 'pct')));
  if (event.fuel_l != null) parts.push(quantity(event.fuel_l, 'l', 1));
  if (event.energy_kwh != null) parts.push(quantity(event.energy_kwh, 'kwh', 1));
  if (event.kind === 'idling' && event.end_time) parts.push(duration((Date.parse(event.end_time) - Date.parse(event.start_time)) / 1000));
  return parts.join(', ');
}
