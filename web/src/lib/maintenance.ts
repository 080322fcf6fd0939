// Maintenance as /v1 has it: schedules, where each vehicle is in them, and the work orders that come of it.

import { messages as m } from '../messages';
import { send } from './admin';
import { call, query, segment } from './api';
import { count, number } from './format';
import type { Tone } from './invoice';
import type { OrderPatch, Wish } from './maintenance-forms';
import type { Page, Vehicle } from './types';
import { unit } from './units';
import { vehicleName } from './vehicle';

/** Most urgent first. */
export const DUE_STATUSES = ['overdue', 'due_soon', 'ok', 'unknown'] as const;
export type DueStatus = (typeof DUE_STATUSES)[number];

export interface Schedule {
  id: string;
  organization_id: string | null;
  name: string;
  description: string | null;
  every_km: number | null;
  every_days: number | null;
  remind_km: number | null;
  remind_days: number | null;
  /** The registry's ids; empty for every vehicle of the organization, those that come later too. */
  vehicle_ids: string[];
  is_enabled: boolean;
  version: number;
  created_at: string;
  updated_at: string;
}

/** Where a vehicle is in a schedule. */
export interface Due {
  /** The registry's id. */
  vehicle_id: string;
  /** Its id of telemetry. */
  vehicle_name: string;
  schedule_id: string;
  schedule_name: string;
  status: DueStatus;
  last_done_at: string | null;
  last_done_odometer_km: number | null;
  due_at: string | null;
  due_odometer_km: number | null;
  /** Null where there is no limit of it; below zero when it is over. */
  left_km: number | null;
  left_days: number | null;
  /** The open one. */
  work_order_id: string | null;
}

export const ORDER_STATUSES = ['open', 'in_progress', 'done', 'cancelled'] as const;
export type OrderStatus = (typeof ORDER_STATUSES)[number];

export interface WorkOrder {
  id: string;
  organization_id: string | null;
  vehicle_id: string;
  vehicle_name: string;
  /** Null of a repair. */
  schedule_id: string | null;
  title: string;
  notes: string | null;
  status: OrderStatus;
  is_automatic: boolean;
  opened_at: string;
  due_at: string | null;
  assigned_to: string | null;
  started_at: string | null;
  /** When it was done, or cancelled. */
  closed_at: string | null;
  /** When it was done. */
  odometer_km: number | null;
  cost: { amount_minor: number; currency: string } | null;
  cancel_reason: string | null;
  version: number;
  updated_at: string;
}

interface Cut {
  vehicle_id?: string;
  cursor?: string;
  limit?: number;
}

const SCHEDULES = '/v1/maintenance-schedules';
const DUE = '/v1/maintenance-due';
const ORDERS = '/v1/work-orders';
const match = (version: number): Record<string, string> => ({ 'if-match': `"${version}"` });

export const maintenance = {
  schedulesPath: SCHEDULES,
  schedulePath: (id: string) => `${SCHEDULES}/${segment(id)}`,
  donePath: (id: string) => `${maintenance.schedulePath(id)}/done`,
  ordersPath: ORDERS,
  orderPath: (id: string) => `${ORDERS}/${segment(id)}`,
  actPath: (id: string, act: 'complete' | 'cancel') => `${maintenance.orderPath(id)}/${act}`,
  schedules: (filter: Cut, signal?: AbortSignal) => call<Page<Schedule>>(`${SCHEDULES}${query({ ...filter })}`, { signal }),
  schedule: (id: string, signal?: AbortSignal) => call<Schedule>(maintenance.schedulePath(id), { signal }),
  addSchedule: (made: Partial<Wish>) => send<Schedule>('POST', SCHEDULES, made),
  changeSchedule: ({ id, version }: Schedule, patch: Partial<Wish>) => send<Schedule>('PATCH', maintenance.schedulePath(id), patch, match(version)),
  removeSchedule: (id: string) => send<undefined>('DELETE', maintenance.schedulePath(id)),
  /** A vehicle is once in a schedule: both ids are the row's. */
  due: async (filter: Cut & { schedule_id?: string; group_id?: string; status?: string }, signal?: AbortSignal): Promise<Page<Due & { id: string }>> => {
    const { data, next_cursor } = await call<Page<Due>>(`${DUE}${query({ ...filter })}`, { signal });
    return { data: data.map((item) => ({ ...item, id: `${item.schedule_id} ${item.vehicle_id}` })), next_cursor };
  },
  orders: (filter: Cut & { schedule_id?: string; status?: string }, signal?: AbortSignal) => call<Page<WorkOrder>>(`${ORDERS}${query({ ...filter })}`, { signal }),
  /** Those of a vehicle that are not closed. One that is started between the two answers is in both: it is told once. */
  openOrders: async (vehicle_id: string, limit: number, signal?: AbortSignal): Promise<WorkOrder[]> => {
    const [open, begun] = await Promise.all((['open', 'in_progress'] as const).map((status) => maintenance.orders({ vehicle_id, status, limit }, signal)));
    return [...new Map([...(open?.data ?? []), ...(begun?.data ?? [])].map((order) => [order.id, order])).values()];
  },
  order: (id: string, signal?: AbortSignal) => call<WorkOrder>(maintenance.orderPath(id), { signal }),
  changeOrder: ({ id, version }: WorkOrder, patch: OrderPatch) => send<WorkOrder>('PATCH', maintenance.orderPath(id), patch, match(version)),
};

export const dueTone = (status: string): Tone => (({ ok: 'moving', due_soon: 'idling', overdue: 'bad' }) as Record<string, Tone>)[status] ?? 'offline';
export const orderTone = (status: string): Tone => (({ open: 'idling', in_progress: 'moving', done: 'parked' }) as Record<string, Tone>)[status] ?? 'offline';

/** Whether there is still something to do for it. */
export const isOpen = ({ status }: Pick<WorkOrder, 'status'>): boolean => status === 'open' || status === 'in_progress';

const MISSING = '–';
const SMALL = 100;
export const daysText = (value: number): string => m.time.wholeDays(value, count(value));

/** Kilometres as a field has them, in the reader's unit. */
export function shownKm(km: number): string {
  const shown = unit('km').of(km);
  return String(Math.abs(shown) < SMALL ? Math.round(shown * 10) / 10 : Math.round(shown));
}

/** The same with its unit: `0.4 km`, `1,200 km`. */
export const kmText = (km: number | null): string => (km === null ? MISSING : `${number(Number(shownKm(km)), 1)} ${unit('km').label}`);

/** `1,200 km`, and `35 km over` where it is past. */
export const leftKm = (km: number | null): string => (km === null || km >= 0 ? kmText(km) : m.maintenance.over(kmText(-km)));

/** `12 days`, `today`, `3 days over`. */
export function leftDays(left: number | null): string {
  if (left === null) return MISSING;
  const whole = Math.floor(left);
  return whole === 0 ? m.time.today : whole > 0 ? daysText(whole) : m.maintenance.over(daysText(-whole));
}

/** What is left, in one line: `35 km over, 12 days`. */
export const leftText = ({ left_km, left_days }: Pick<Due, 'left_km' | 'left_days'>): string =>
  [left_km === null ? '' : leftKm(left_km), left_days === null ? '' : leftDays(left_days)].filter(Boolean).join(', ') || m.common.notKnown;

const alternatives = new Intl.ListFormat(m.locale, { type: 'disjunction' });
/** The one, the other, or `the one or the other`; what is empty is left out. */
export const either = (...parts: string[]): string => alternatives.format(parts.filter(Boolean));

/** `15,000 km or 365 days`. */
export const intervalText = ({ every_km, every_days }: Pick<Schedule, 'every_km' | 'every_days'>): string =>
  either(every_km === null ? '' : kmText(every_km), every_days === null ? '' : daysText(every_days)) || MISSING;

export const whomText = ({ vehicle_ids: [first, ...more] }: Pick<Schedule, 'vehicle_ids'>, named: (id: string) => string): string =>
  first === undefined ? m.common.allVehicles : more.length === 0 ? named(first) : m.common.vehicleCount(more.length + 1);

/** What vehicles are called, by the registry's id; one that is not known, or not to this reader, by `otherwise`. */
export function namesOf(vehicles: readonly Vehicle[]): (id: string, otherwise?: string) => string {
  const names = new Map(vehicles.map((item) => [item.id, vehicleName(item)]));
  return (id, otherwise = id) => names.get(id) ?? otherwise;
}
