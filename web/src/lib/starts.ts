// Where a person starts from when they book: typed, or a place of the fleet's own that vehicles stand at.

import type { Place } from './bookings';
import type { Geofence, Geometry, Kind } from './geofences';
import { bounds } from './geometry';

/** Kinds of geofences that a vehicle is fetched at. */
const KINDS: readonly Kind[] = ['depot', 'parking', 'charging', 'site', 'workshop'];
/** A metre. */
const DIGITS = 5;

/** `56.15, 10.2` as a place: latitude first; null where it is none. */
export function placeOf(text: string): Place | null {
  const match = /^([+-]?\d{1,3}(?:\.\d+)?)(?:\s*[,;]\s*|\s+)([+-]?\d{1,3}(?:\.\d+)?)$/.exec(text.trim());
  if (!match) return null;
  const [latitude, longitude] = [Number(match[1]), Number(match[2])];
  return Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180 ? { latitude, longitude } : null;
}

/** A place as an address has it. */
export const atOf = ({ latitude, longitude }: Place): string => [latitude, longitude].map((value) => String(Number(value.toFixed(DIGITS)))).join(',');

function centreOf(geometry: Geometry): Place | null {
  if (geometry.type === 'Circle') return { longitude: geometry.centre[0], latitude: geometry.centre[1] };
  const rings = geometry.type === 'Polygon' ? geometry.coordinates.slice(0, 1) : geometry.coordinates.flatMap((polygon) => polygon.slice(0, 1));
  const box = bounds(rings.flat().map(([longitude, latitude]) => ({ longitude, latitude })));
  return box && { longitude: (box[0] + box[2]) / 2, latitude: (box[1] + box[3]) / 2 };
}

export interface Start {
  id: string;
  name: string;
  /** As an address has it. */
  at: string;
}

/** The places that vehicles are fetched at, by name. */
export function startsOf(geofences: readonly Geofence[]): Start[] {
  const found = geofences.flatMap(({ id, name, kind, geometry }) => {
    const centre = KINDS.includes(kind) ? centreOf(geometry) : null;
    return centre ? [{ id, name, at: atOf(centre) }] : [];
  });
  return found.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
}
