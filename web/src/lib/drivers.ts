// Drivers as /v1 has them: the people who drive, and who drives which vehicle from when to when.

import { messages as m } from '../messages';
import { send } from './admin';
import { call, query, segment } from './api';
import { all } from './bookings';
import { day, minute } from './format';
import type { Tone } from './invoice';
import type { Page } from './types';

export const DRIVER_STATUSES = ['active', 'left'] as const;
export type DriverStatus = (typeof DRIVER_STATUSES)[number];

export interface Driver {
  id: string;
  organization_id: string | null;
  name: string;
  employee_number: string | null;
  /** Who signs in as this driver. */
  user_id: string | null;
  licence_number: string | null;
  licence_classes: string[];
  /** The last day that it is good for, as `2027-03-01`. */
  licence_valid_until: string | null;
  phone: string | null;
  status: DriverStatus;
  /** What they drive now, by the registry's id. */
  vehicle_id: string | null;
  /** Its id of telemetry. */
  vehicle_name: string | null;
  version: number;
  created_at: string;
  updated_at: string;
}

export interface Assignment {
  id: string;
  organization_id: string | null;
  driver_id: string;
  /** As it is now. */
  driver_name: string;
  /** The registry's id. */
  vehicle_id: string;
  /** Its id of telemetry. */
  vehicle_name: string;
  from: string;
  /** Null while it is open. */
  to: string | null;
  note: string | null;
  made_by: string;
  version: number;
  created_at: string;
  updated_at: string;
}

export interface NewAssignment {
  driver_id: string;
  vehicle_id: string;
  /** Now where it is left out. */
  from?: string;
  to?: string;
  note?: string;
  /** Whether a present one of the vehicle or the driver ends where this one begins. */
  replaces?: true;
}

export interface Summary {
  trips: number;
  distance_km: number;
  driving_duration_s: number;
  idle_duration_s: number;
  /** Most driven first; the registry's id is null of one that is not in it. */
  vehicles: { vehicle_id: string | null; vehicle_name: string; trips: number; distance_km: number }[];
}

interface Cut {
  cursor?: string;
  limit?: number;
}

const DRIVERS = '/v1/drivers';
const ASSIGNMENTS = '/v1/driver-assignments';
const PAGE_MAX = 200;
const PAGES_MAX = 51;
const match = (version: number): Record<string, string> => ({ 'if-match': `"${version}"` });

export const drivers = {
  path: DRIVERS,
  pathOf: (id: string) => `${DRIVERS}/${segment(id)}`,
  summaryPath: (id: string) => `${drivers.pathOf(id)}/summary`,
  list: (filter: Cut & { status?: string; q?: string; vehicle_id?: string; licence_ends_before?: string }, signal?: AbortSignal) => call<Page<Driver>>(`${DRIVERS}${query({ ...filter })}`, { signal }),
  /** Every driver that the caller may see, those who left too: what is told of the past has their names. */
  all: (signal?: AbortSignal): Promise<Driver[]> => all((cursor) => drivers.list({ limit: PAGE_MAX, cursor }, signal), PAGES_MAX),
  get: (id: string, signal?: AbortSignal) => call<Driver>(drivers.pathOf(id), { signal }),
  add: (made: Partial<DriverWish> & { organization_id?: string }) => send<Driver>('POST', DRIVERS, made),
  change: ({ id, version }: Driver, patch: DriverPatch) => send<Driver>('PATCH', drivers.pathOf(id), patch, match(version)),
  summary: (id: string, period: { from: string; to: string }, signal?: AbortSignal) => call<Summary>(`${drivers.summaryPath(id)}${query(period)}`, { signal }),
};

export const assignments = {
  path: ASSIGNMENTS,
  pathOf: (id: string) => `${ASSIGNMENTS}/${segment(id)}`,
  endPath: (id: string) => `${assignments.pathOf(id)}/end`,
  list: (filter: Cut & { driver_id?: string; vehicle_id?: string; at?: string; from?: string; to?: string }, signal?: AbortSignal) => call<Page<Assignment>>(`${ASSIGNMENTS}${query({ ...filter })}`, { signal }),
  change: ({ id, version }: Assignment, patch: Partial<Times>) => send<Assignment>('PATCH', assignments.pathOf(id), patch, match(version)),
  end: (id: string) => send<Assignment>('POST', assignments.endPath(id), {}),
  remove: (id: string) => send<undefined>('DELETE', assignments.pathOf(id)),
  /** What of the vehicle's and of the driver's own is in the way of a new one. */
  inTheWay: async ({ driver_id, vehicle_id, from, to }: Pick<NewAssignment, 'driver_id' | 'vehicle_id' | 'to'> & { from: string }, signal?: AbortSignal): Promise<Assignment[]> => {
    const found = await Promise.all([{ vehicle_id }, { driver_id }].map((of) => assignments.list({ ...of, from, to, limit: PAGE_MAX }, signal)));
    return [...new Map(found.flatMap(({ data }) => data).map((item) => [item.id, item])).values()];
  },
};

export const driverTone = (status: string): Tone => (status === 'active' ? 'moving' : 'offline');

export interface DriverWish {
  name: string;
  employee_number: string | null;
  user_id: string | null;
  licence_number: string | null;
  licence_classes: string[];
  licence_valid_until: string | null;
  phone: string | null;
}
export type DriverPatch = Partial<DriverWish> & { status?: DriverStatus };

/** What a person tells of a driver; what is empty is not known. */
export interface DriverDraft {
  name: string;
  employee_number: string;
  user_id: string;
  licence_number: string;
  /** Apart by commas or spaces. */
  licence_classes: string;
  licence_valid_until: string;
  phone: string;
}

export const EMPTY: DriverDraft = { name: '', employee_number: '', user_id: '', licence_number: '', licence_classes: '', licence_valid_until: '', phone: '' };

/** As it is now, for a form. */
export const draftOf = (it: Driver): DriverDraft => ({
  name: it.name, employee_number: it.employee_number ?? '', user_id: it.user_id ?? '', licence_number: it.licence_number ?? '',
  licence_classes: it.licence_classes.join(', '), licence_valid_until: it.licence_valid_until ?? '', phone: it.phone ?? '',
});

/** `ce, b` as `B` and `CE`, each once and in order, as the server keeps them. */
export const classesIn = (text: string): string[] => [...new Set(text.toUpperCase().split(/[\s,;]+/).filter(Boolean))].sort();

const textOrNull = (text: string): string | null => text.trim() || null;

const wishOf = (draft: DriverDraft): DriverWish => ({
  name: draft.name.trim(), employee_number: textOrNull(draft.employee_number), user_id: draft.user_id || null, licence_number: textOrNull(draft.licence_number),
  licence_classes: classesIn(draft.licence_classes), licence_valid_until: draft.licence_valid_until || null, phone: textOrNull(draft.phone),
});

/** What is posted of a driver to add: what is not known is left out. */
export function newOf(draft: DriverDraft, organization: string): Partial<DriverWish> & { organization_id?: string } {
  const wish = Object.entries(wishOf(draft)).filter(([, value]) => value !== null && (!Array.isArray(value) || value.length > 0));
  return { ...(Object.fromEntries(wish) as Partial<DriverWish>), ...(organization ? { organization_id: organization } : {}) };
}

/** What of a driver is to be another. */
export function changesOf(was: Driver, draft: DriverDraft): Partial<DriverWish> {
  const wish = wishOf(draft);
  return Object.fromEntries(Object.entries(wish).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(was[name as keyof DriverWish]))) as Partial<DriverWish>;
}

const DAY_MS = 86_400_000;
export const LICENCE_SOON_DAYS = 30;

/** So many days after a day: `2027-03-01`. */
export const dayPlus = (day: string, days: number): string => new Date(Date.parse(`${day}T00:00:00Z`) + days * DAY_MS).toISOString().slice(0, 10);

export interface LicenceEnd {
  /** `1 Mar 2027`. */
  day: string;
  /** `in 12 days`, `today`, `3 days ago`. */
  when: string;
  /** Whether there are less than 30 days, or none any more. */
  isSoon: boolean;
}

/** Until when a licence is good, by the reader's day; null where that is not known. */
export function licenceEnd(validUntil: string | null, today: string): LicenceEnd | null {
  const days = Math.round((Date.parse(`${validUntil ?? ''}T00:00:00Z`) - Date.parse(`${today}T00:00:00Z`)) / DAY_MS);
  if (validUntil === null || Number.isNaN(days)) return null;
  return { day: day(validUntil, 'UTC'), when: days === 0 ? m.time.today : days > 0 ? m.time.inDays(days) : m.time.wholeDaysAgo(-days), isSoon: days < LICENCE_SOON_DAYS };
}

/** Whether somebody drives by it at a moment. */
export const isAt = ({ from, to }: Pick<Assignment, 'from' | 'to'>, nowMs: number): boolean => Date.parse(from) <= nowMs && (to === null || nowMs < Date.parse(to));

/** Where it is in time, by the server's clock. */
export const phaseOf = (it: Pick<Assignment, 'from' | 'to'>, nowMs: number): 'now' | 'planned' | 'over' => (isAt(it, nowMs) ? 'now' : Date.parse(it.from) > nowMs ? 'planned' : 'over');
export const phaseTone = (phase: string): Tone => (phase === 'now' ? 'moving' : phase === 'planned' ? 'idling' : 'offline');

/** `12 Mar 2024, 14:05 – 13 Mar 2024, 16:00`, or `since` and `from` its beginning while it has no end. */
export const timesText = (it: Pick<Assignment, 'from' | 'to'>, nowMs: number): string =>
  it.to === null ? (Date.parse(it.from) > nowMs ? m.assignments.fromOn : m.assignments.sinceOn)(minute(it.from)) : `${minute(it.from)} – ${minute(it.to)}`;

/** Whether all that is in the way can end where a new one begins: what is open, and began before. */
export const canEnd = (inTheWay: readonly Assignment[], fromMs: number): boolean => inTheWay.every((it) => it.to === null && Date.parse(it.from) < fromMs);

/** When an assignment is, as a form has it: fields of date and time in the reader's zone. */
export interface Times {
  from: string;
  to: string | null;
  note: string | null;
}

/** A period is half-open and has a length. */
export const timesFault = (from: string, to: string | null): string => (to !== null && Date.parse(to) <= Date.parse(from) ? m.assignments.endsAfter : '');

/** What of an assignment is to be another. A minute that was not touched is not sent: the field has no seconds. */
export function timesChanges(was: Assignment, wish: Times): Partial<Times> {
  const isSame = (a: string | null, b: string | null): boolean => a?.slice(0, 16) === b?.slice(0, 16);
  return {
    ...(isSame(was.from, wish.from) ? {} : { from: wish.from }),
    ...(isSame(was.to, wish.to) ? {} : { to: wish.to }),
    ...(was.note === wish.note ? {} : { note: wish.note }),
  };
}
