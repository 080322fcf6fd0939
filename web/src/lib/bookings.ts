// Bookings as /v1 tells of them, and how they are told to a person.

import { messages as m } from '../messages';
import { call, query, segment } from './api';
import { haversine } from './geometry';
import type { Tone } from './invoice';
import type { FleetItem, Page, Vehicle } from './types';

export type BookingStatus = 'pending' | 'confirmed' | 'started' | 'undoing' | 'finished' | 'cancelled' | 'expired' | 'failed';

export interface BookingPrice {
  basis: 'estimate' | 'trips';
  tariff_id: string;
  tariff_version: number;
  currency: string;
  net_minor: number;
  tax_minor: number;
  total_minor: number;
}

export interface Booking {
  id: string;
  organization_id: string;
  user_id: string | null;
  vehicle_id: string | null;
  status: BookingStatus;
  from: string;
  to: string;
  expected_distance_m: number;
  price: BookingPrice;
  is_credit_held: boolean;
  is_vehicle_reserved: boolean;
  is_trip_planned: boolean;
  charged_minor: number;
  owed_minor: number;
  kept_minor: number;
  end_reason: { code: string; message: string } | null;
  confirm_by: string;
  created_at: string;
  confirmed_at: string | null;
  started_at: string | null;
  ended_at: string | null;
  version: number;
}

export interface NewBooking {
  vehicle_id?: string;
  organization_id?: string;
  from: string;
  to: string;
  expected_distance_m: number;
}

export interface Organization {
  id: string;
  name: string;
  currency: string;
  time_zone: string;
  version: number;
  created_at: string;
}

const BOOKINGS = '/v1/bookings';
const PAGE_MAX = 200;
const PAGES_MAX = 10;

/** Every page of a list, up to a bound: what a person chooses from. */
export async function all<T>(read: (cursor?: string) => Promise<Page<T>>, pagesMax = PAGES_MAX): Promise<T[]> {
  const found: T[] = [];
  let cursor: string | undefined;
  for (let look = 0; look < pagesMax; look += 1) {
    const { data, next_cursor } = await read(cursor);
    found.push(...data);
    if (!next_cursor) break;
    cursor = next_cursor;
  }
  return found;
}

export const bookings = {
  path: BOOKINGS,
  act: (id: string, act: 'extend' | 'cancel' | 'start' | 'finish') => `${BOOKINGS}/${segment(id)}/${act}`,
  get: (id: string, signal?: AbortSignal) => call<Booking>(`${BOOKINGS}/${segment(id)}`, { signal }),
  list: (filter: { organization_id?: string; from?: string; to?: string; cursor?: string; limit?: number }, signal?: AbortSignal) => call<Page<Booking>>(`${BOOKINGS}${query(filter)}`, { signal }),
  /** What one would cost; nothing is held. */
  quote: (wish: NewBooking, signal?: AbortSignal) => call<BookingPrice>(`${BOOKINGS}:quote`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(wish), signal }),
  /** What one would cost in all that lasted until then. */
  quoteExtension: (id: string, to: string, signal?: AbortSignal) =>
    call<BookingPrice>(`${BOOKINGS}/${segment(id)}/quote-extension`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ to }), signal }),
  /** Vehicles nobody has booked in `[from, to)`. */
  free: (period: { organization_id?: string; from: string; to: string }, signal?: AbortSignal) =>
    all((cursor) => call<Page<Vehicle>>(`/v1/vehicles/available${query({ ...period, limit: PAGE_MAX, cursor })}`, { signal })),
};

export const organizations = (signal?: AbortSignal): Promise<Organization[]> =>
  all((cursor) => call<Page<Organization>>(`/v1/organizations${query({ limit: PAGE_MAX, cursor })}`, { signal }));

export const bookingTone = (status: string): Tone =>
  (({ pending: 'idling', undoing: 'idling', confirmed: 'moving', started: 'moving', finished: 'parked', failed: 'bad', expired: 'offline' }) as Record<string, Tone>)[status] ?? 'offline';

/** What a state means to who booked: a heading and a line. */
export function told({ status, end_reason }: Booking): { title: string; line: string } {
  switch (status) {
    case 'pending':
      return { title: m.bookings.stages.pending, line: m.bookings.stages.pendingLine };
    case 'confirmed':
      return { title: m.bookings.stages.confirmed, line: m.bookings.stages.confirmedLine };
    case 'started':
      return { title: m.bookings.stages.started, line: m.bookings.stages.startedLine };
    case 'undoing':
      return { title: m.bookings.stages.ending, line: end_reason?.message ?? m.bookings.stages.endingLine };
    case 'finished':
      return { title: m.bookings.stages.finished, line: m.bookings.stages.finishedLine };
    case 'cancelled':
      return { title: m.bookings.stages.cancelled, line: m.bookings.stages.cancelledLine };
    case 'expired':
      return { title: m.bookings.stages.expired, line: end_reason?.message ?? m.bookings.stages.expiredLine };
    case 'failed':
      return { title: m.bookings.stages.refused, line: end_reason?.message ?? m.bookings.stages.refusedLine };
  }
}

/** Whether its state changes by itself soon. */
export const isUnderWay = ({ status }: Booking): boolean => status === 'pending' || status === 'undoing';
export const isOver = ({ status }: Booking): boolean => ['finished', 'cancelled', 'expired', 'failed'].includes(status);

export interface Place {
  latitude: number;
  longitude: number;
}

export interface Offer {
  vehicle_id: string;
  name: string;
  organization_id: string | null;
  at: FleetItem | undefined;
  /** From where the reader is; null where either place is not known. */
  away_m: number | null;
}

/** Free vehicles with their places, the nearest first; those without a place last, by name. */
export function offers(free: readonly Vehicle[], fleet: readonly FleetItem[], here: Place | null): Offer[] {
  const places = new Map(fleet.map((item) => [item.vehicle_id, item]));
  const made = free.map(({ vehicle_id, name, organization_id }): Offer => {
    const at = places.get(vehicle_id);
    const away_m = here && at?.latitude != null && at.longitude != null ? haversine(here, { latitude: at.latitude, longitude: at.longitude }) : null;
    return { vehicle_id, name: name || vehicle_id, organization_id, at, away_m };
  });
  return made.sort((a, b) => (a.away_m ?? Infinity) - (b.away_m ?? Infinity) || a.name.localeCompare(b.name, undefined, { numeric: true }));
}
