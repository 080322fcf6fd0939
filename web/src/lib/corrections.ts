// Corrections of trips as /v1 tells of them: what people merged, split or marked. Where one can be made, and how it is told.

import { messages as m } from '../messages';
import { send } from './admin';
import { api, call, query, segment } from './api';
import { all } from './bookings';
import { duration, minute, minutes, moment } from './format';
import { isPrivate } from './trip';
import type { Page, Purpose, Trip } from './types';

export interface TripCorrection {
  id: string;
  /** The vehicle's id of telemetry, as in a trip. */
  vehicle_id: string;
  kind: 'merge' | 'split' | 'mark';
  from: string;
  /** Of a split, as `from`. */
  to: string;
  purpose: Purpose | null;
  status: 'active' | 'revoked';
  made_at: string;
  /** Who, for people. */
  made_by: string;
  version: number;
}

const CORRECTIONS = '/v1/trip-corrections';
export const MERGED_MAX = 20;
/** A trip that begins later than so long after another does not follow it. */
const APART_MAX_H = 12;
const HOUR_MS = 3_600_000;
const PAGE_MAX = 200;

type Timed = Pick<Trip, 'start_time' | 'end_time'>;
const startOf = ({ start_time }: Timed): number => Date.parse(start_time);
const endOf = ({ end_time }: Timed): number => Date.parse(end_time);
const iso = (ms: number): string => new Date(ms).toISOString();

/** The vehicle's trips with any time in `[from, to)`, newest first. */
const tripsIn = (vehicle_id: string, fromMs: number, toMs: number, signal?: AbortSignal): Promise<Trip[]> =>
  all((cursor) => api.trips({ vehicle_id, from: iso(fromMs), to: iso(toMs), limit: PAGE_MAX, cursor }, signal));

export const corrections = {
  path: CORRECTIONS,
  pathOf: (id: string) => `${CORRECTIONS}/${segment(id)}`,
  mergePath: '/v1/trips:merge',
  splitPath: '/v1/trips:split',
  markPath: '/v1/trips:mark',
  list: (filter: { trip_id?: string; cursor?: string; limit?: number }, signal?: AbortSignal) => call<Page<TripCorrection>>(`${CORRECTIONS}${query(filter)}`, { signal }),
  takeBack: (id: string) => send<TripCorrection>('DELETE', corrections.pathOf(id)),
  /** The trips before and after one, near enough to be merged with it. */
  beside: async (it: Trip, signal?: AbortSignal): Promise<Beside> =>
    besideOf(await tripsIn(it.vehicle_id, startOf(it) - APART_MAX_H * HOUR_MS, endOf(it) + APART_MAX_H * HOUR_MS + 1, signal), it),
  /** The trip that has the time of one that was withdrawn. */
  covering: async (it: Trip, signal?: AbortSignal): Promise<Trip | null> => coveringOf(await tripsIn(it.vehicle_id, startOf(it), endOf(it) + 1, signal), it),
};

export interface Beside {
  before: Trip | null;
  after: Trip | null;
}

/** Of trips around one, the last before it and the first after it. */
export function besideOf(around: readonly Trip[], it: Trip): Beside {
  const others = around.filter(({ id, status }) => id !== it.id && status === 'completed');
  const before = others.filter((other) => endOf(other) <= startOf(it)).sort((a, b) => endOf(b) - endOf(a))[0];
  const after = others.filter((other) => startOf(other) >= endOf(it)).sort((a, b) => startOf(a) - startOf(b))[0];
  return { before: before ?? null, after: after ?? null };
}

/** The trip that has most of the time of another; null where none has any. */
export function coveringOf(around: readonly Trip[], it: Trip): Trip | null {
  const shared = (other: Trip): number => Math.min(endOf(other), endOf(it)) - Math.max(startOf(other), startOf(it));
  const others = around.filter((other) => other.id !== it.id && other.status === 'completed' && shared(other) > 0);
  return others.sort((a, b) => shared(b) - shared(a))[0] ?? null;
}

export const inOrder = (trips: readonly Trip[]): Trip[] => [...trips].sort((a, b) => startOf(a) - startOf(b));

/** How long the vehicle stood between two trips, in seconds. */
export const stopBetween = (first: Timed, second: Timed): number => Math.max(0, startOf(second) - endOf(first)) / 1000;

/** Why trips cannot become one, as far as they tell; the empty string where they may. That no other is between, the server sees. */
export function mergeFault(trips: readonly Trip[]): string {
  if (trips.some(({ status }) => status === 'withdrawn')) return m.corrections.withdrawn;
  if (new Set(trips.map(({ vehicle_id }) => vehicle_id)).size > 1) return m.corrections.differentVehicles;
  if (trips.length < 2) return m.corrections.chooseAnother;
  if (trips.length > MERGED_MAX) return m.corrections.atMost(MERGED_MAX);
  const ordered = inOrder(trips);
  const isApart = ordered.some((it, index) => index > 0 && stopBetween(ordered[index - 1] ?? it, it) > APART_MAX_H * 3600);
  return isApart ? m.corrections.tooFarApart(APART_MAX_H) : '';
}

/** What becomes of trips that are merged: from when to when, and how long the vehicle stood meanwhile. */
export function mergeText(trips: readonly Trip[]): string {
  const ordered = inOrder(trips);
  const [first, last] = [ordered[0], ordered.at(-1)];
  if (!first || !last) return '';
  const stood = ordered.reduce((sum, it, index) => (index === 0 ? 0 : sum + stopBetween(ordered[index - 1] ?? it, it)), 0);
  return m.corrections.becomeOne(ordered.length - 1, minutes(first.start_time, last.end_time), duration(stood));
}

/** Why a trip cannot be split at a moment; the empty string where it can. */
export function splitFault(atMs: number | null, it: Timed & Pick<Trip, 'purpose'>): string {
  if (atMs === null || Number.isNaN(atMs)) return isPrivate(it) ? m.corrections.giveTime : m.corrections.clickWhere;
  if (atMs <= startOf(it) || atMs >= endOf(it)) return m.corrections.notInside(moment(it.start_time), moment(it.end_time));
  return '';
}

export const PURPOSES: readonly (readonly [purpose: Purpose | null, word: string])[] = [['business', m.corrections.business], ['private', m.corrections.private], [null, m.corrections.neither]];

/** What was done, and to when. */
export function correctionText({ kind, from, to, purpose }: Pick<TripCorrection, 'kind' | 'from' | 'to' | 'purpose'>): { what: string; when: string } {
  if (kind === 'merge') return { what: m.corrections.merged, when: minutes(from, to) };
  if (kind === 'split') return { what: m.corrections.split, when: m.corrections.at(moment(from)) };
  return { what: m.corrections.marked[purpose ?? 'neither'], when: from === to ? minute(from) : minutes(from, to) };
}

/** Whether a later mark counts in its place: taken back, nothing that is shown changes. */
export const isBelowAnother = (it: TripCorrection, all: readonly TripCorrection[]): boolean =>
  it.kind === 'mark' && all.some(({ kind, status, made_at }) => kind === 'mark' && status === 'active' && Date.parse(made_at) > Date.parse(it.made_at));

/** What taking one back does. */
export function takeBackText({ kind }: Pick<TripCorrection, 'kind'>): string {
  if (kind === 'merge') return m.corrections.takeBackMerge;
  if (kind === 'split') return m.corrections.takeBackSplit;
  return m.corrections.takeBackMark;
}
