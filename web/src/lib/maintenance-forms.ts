// What people write of maintenance: in their units and their days, and what is sent of it in the server's.

import { messages as m } from '../messages';
import { minorOf } from './billing';
import type { Choice } from './campaigns';
import { count, dataTime } from './format';
import { kmText, type Schedule, shownKm, type WorkOrder } from './maintenance';
import { zone } from './prefs.svelte';
import { dayStart } from './trip';
import type { Vehicle } from './types';
import { unit } from './units';

/** A number as people write it, with or without spaces or commas between thousands; NaN for none. */
export function numberIn(text: string): number {
  const bare = text.trim();
  if (/^\d{1,3}([ ,]\d{3})+(\.\d+)?$/.test(bare)) return Number(bare.replace(/[ ,]/g, ''));
  return /^\d+(\.\d+)?$/.test(bare) ? Number(bare) : NaN;
}

/** Kilometres in what was written in the reader's unit. */
export const kmIn = (text: string): number => numberIn(text) / unit('km').of(1);

export interface Draft {
  name: string;
  description: string;
  every_km: string;
  every_days: string;
  remind_km: string;
  remind_days: string;
  choice: Choice;
}

export interface Wish {
  organization_id?: string;
  name: string;
  description: string | null;
  every_km: number | null;
  every_days: number | null;
  remind_km: number | null;
  remind_days: number | null;
  vehicle_ids: string[];
  is_enabled: boolean;
}

export const EMPTY: Draft = { name: '', description: '', every_km: '', every_days: '', remind_km: '', remind_days: '', choice: { isAll: true, ids: [] } };
const REMIND_DAYS = 14;
const REMIND_SHARE = 0.1;
const EVERY_KM_MAX = 1_000_000;
const EVERY_DAYS_MAX = 3_650;

/** When a reminder comes where nothing is told of it, as the server has it: a tenth of the distance before. */
export const remindKmBy = (everyKm: number): number => Math.floor(everyKm * REMIND_SHARE);
export const remindDaysBy = (everyDays: number): number => Math.min(REMIND_DAYS, Math.floor(everyDays / 2));

const textOf = (value: number | null): string => (value === null ? '' : String(value));
const kmTextOf = (value: number | null): string => (value === null ? '' : shownKm(value));

/** As it is now, for a form: vehicles are chosen by their ids of telemetry. */
export const draftOf = (it: Schedule, vehicles: readonly Vehicle[]): Draft => ({
  name: it.name, description: it.description ?? '', every_km: kmTextOf(it.every_km), every_days: textOf(it.every_days),
  remind_km: kmTextOf(it.remind_km), remind_days: textOf(it.remind_days),
  choice: { isAll: it.vehicle_ids.length === 0, ids: it.vehicle_ids.map((id) => vehicles.find((item) => item.id === id)?.vehicle_id ?? id) },
});

export type Faults = Partial<Record<'name' | 'every_km' | 'every_days' | 'remind_km' | 'remind_days' | 'vehicle_ids', string>>;

const isWhole = (text: string, least: number, most: number): boolean => Number.isInteger(numberIn(text)) && numberIn(text) >= least && numberIn(text) <= most;

/** What is wrong with a draft, each at its field. */
export function faultsOf(draft: Draft): Faults {
  const found: Faults = {};
  const [everyKm, remindKm] = [kmIn(draft.every_km), kmIn(draft.remind_km)];
  const { label } = unit('km');
  if (!draft.name.trim()) found.name = m.common.giveName;
  if (!draft.every_km.trim() && !draft.every_days.trim()) found.every_km = m.maintenance.faults.giveInterval(label);
  if (draft.every_km.trim() && !(Math.round(everyKm) >= 1 && Math.round(everyKm) <= EVERY_KM_MAX)) found.every_km = m.maintenance.faults.distance(kmText(EVERY_KM_MAX));
  if (draft.every_days.trim() && !isWhole(draft.every_days, 1, EVERY_DAYS_MAX)) found.every_days = m.maintenance.faults.days(count(EVERY_DAYS_MAX));
  if (draft.every_km.trim() && draft.remind_km.trim() && !(Math.round(remindKm) < Math.round(everyKm))) found.remind_km = m.maintenance.faults.distanceLess;
  if (draft.every_days.trim() && draft.remind_days.trim() && !isWhole(draft.remind_days, 0, numberIn(draft.every_days) - 1)) found.remind_days = m.maintenance.faults.daysLess;
  if (!draft.choice.isAll && draft.choice.ids.length === 0) found.vehicle_ids = m.maintenance.faults.chooseVehicles;
  return found;
}

/** What a draft without faults asks for; what is left to the server is left out. */
export function wishOf(draft: Draft, vehicles: readonly Vehicle[]): Omit<Wish, 'is_enabled'> {
  const km = (text: string): number | null => (text.trim() ? Math.round(kmIn(text)) : null);
  const whole = (text: string): number | null => (text.trim() ? numberIn(text) : null);
  const ids = new Map(vehicles.map((item) => [item.vehicle_id, item.id]));
  return {
    name: draft.name.trim(), description: draft.description.trim() || null,
    every_km: km(draft.every_km), every_days: whole(draft.every_days),
    remind_km: draft.every_km.trim() ? km(draft.remind_km) : null, remind_days: draft.every_days.trim() ? whole(draft.remind_days) : null,
    vehicle_ids: draft.choice.isAll ? [] : draft.choice.ids.map((id) => ids.get(id) ?? id),
  };
}

/** What is posted of a schedule to add: a reminder that nobody told of is the server's to choose. */
export function newOf(draft: Draft, vehicles: readonly Vehicle[], organization: string): Partial<Wish> {
  const wish = Object.entries(wishOf(draft, vehicles)).filter(([, value]) => value !== null);
  return { ...(Object.fromEntries(wish) as Partial<Wish>), ...(organization ? { organization_id: organization } : {}) };
}

/** What of a schedule is to be another. A field that was not touched is not sent: a unit of the reader's rounds it. */
export function changesOf(was: Schedule, draft: Draft, vehicles: readonly Vehicle[]): Partial<Wish> {
  const [before, wish] = [draftOf(was, vehicles), wishOf(draft, vehicles)];
  const patch: Partial<Wish> = {};
  if (wish.name !== was.name) patch.name = wish.name;
  if (wish.description !== was.description) patch.description = wish.description;
  const isTouched = (field: 'every_km' | 'every_days' | 'remind_km' | 'remind_days'): boolean => draft[field].trim() !== before[field];
  for (const [every, remind, by] of [['every_km', 'remind_km', remindKmBy], ['every_days', 'remind_days', remindDaysBy]] as const) {
    const limit = wish[every];
    if (isTouched(every) && limit !== was[every]) patch[every] = limit;
    // Without a limit nothing reminds of it; one that is emptied is as of a schedule that is new.
    const early = limit === null ? null : (wish[remind] ?? by(limit));
    if (early !== null && isTouched(remind) && early !== was[remind]) patch[remind] = early;
  }
  if ([...wish.vehicle_ids].sort().join('\n') !== [...was.vehicle_ids].sort().join('\n')) patch.vehicle_ids = wish.vehicle_ids;
  return patch;
}

export interface OrderDraft {
  /** The registry's id. */
  vehicle_id: string;
  title: string;
  notes: string;
  assigned_to: string;
  /** A day in the reader's zone, or the empty string. */
  due_day: string;
}

interface OrderWish {
  title: string;
  notes: string | null;
  assigned_to: string | null;
  due_at: string | null;
}

/** An open one is started by its status. */
export type OrderPatch = Partial<OrderWish> & { status?: 'in_progress' };

/** The day of a moment in the reader's zone, as a date field has it. */
export const dayOf = (iso: string | null): string => (iso === null ? '' : dataTime(iso).slice(0, 10));

export const orderDraftOf = (it: WorkOrder): OrderDraft => ({ vehicle_id: it.vehicle_id, title: it.title, notes: it.notes ?? '', assigned_to: it.assigned_to ?? '', due_day: dayOf(it.due_at) });

const orderWishOf = ({ title, notes, assigned_to, due_day }: OrderDraft): OrderWish => ({
  title: title.trim(), notes: notes.trim() || null, assigned_to: assigned_to.trim() || null, due_at: dayStart(due_day, zone()),
});

/** What is posted of a repair. */
export const repairOf = (draft: OrderDraft) => ({
  vehicle_id: draft.vehicle_id,
  ...(Object.fromEntries(Object.entries(orderWishOf(draft)).filter(([, value]) => value !== null)) as Partial<OrderWish>),
});

/** What of a work order is to be another. */
export function orderChangesOf(was: WorkOrder, draft: OrderDraft): OrderPatch {
  const wish = orderWishOf(draft);
  return {
    ...(wish.title !== was.title ? { title: wish.title } : {}),
    ...(wish.notes !== was.notes ? { notes: wish.notes } : {}),
    ...(wish.assigned_to !== was.assigned_to ? { assigned_to: wish.assigned_to } : {}),
    // The same day is not another moment of it.
    ...(draft.due_day !== dayOf(was.due_at) ? { due_at: wish.due_at } : {}),
  };
}

/** What a person tells of work that was done. */
export interface DoneDraft {
  day: string;
  odometer: string;
  cost: string;
  currency: string;
  notes: string;
}

export type DoneFaults = Partial<Record<'day' | 'odometer' | 'cost' | 'currency', string>>;

interface DoneWish {
  done_at?: string;
  odometer_km?: number;
  cost?: { amount_minor: number; currency: string };
  notes?: string;
}

const isCurrency = (text: string): boolean => /^[A-Z]{3}$/.test(text);
const currencyIn = (text: string): string => text.trim().toUpperCase();

/** What is wrong with what was told of work done; `today` is the reader's. */
export function doneFaultsOf(draft: DoneDraft, today: string): DoneFaults {
  const found: DoneFaults = {};
  const currency = currencyIn(draft.currency);
  if (dayStart(draft.day, zone()) === null) found.day = m.maintenance.faults.giveDay;
  else if (draft.day > today) found.day = m.maintenance.faults.notToCome;
  if (draft.odometer.trim() && Number.isNaN(kmIn(draft.odometer))) found.odometer = m.maintenance.faults.odometer(unit('km').label);
  if (!draft.cost.trim()) return found;
  if (!isCurrency(currency)) found.currency = m.maintenance.faults.currency;
  else if (minorOf(draft.cost, currency) === null) found.cost = m.maintenance.faults.amount(currency);
  return found;
}

/** What is sent of it. Today is left to the server, whose clock it is; notes are in place of those that there are. */
export function doneOf(draft: DoneDraft, today: string): DoneWish {
  const at = draft.day === today ? null : dayStart(draft.day, zone());
  const currency = currencyIn(draft.currency);
  const amount_minor = draft.cost.trim() && isCurrency(currency) ? minorOf(draft.cost, currency) : null;
  return {
    ...(at === null ? {} : { done_at: at }),
    ...odometerOf(draft),
    ...(amount_minor === null ? {} : { cost: { amount_minor, currency } }),
    ...(draft.notes.trim() ? { notes: draft.notes.trim() } : {}),
  };
}

/** What is sent of work that was done before, or elsewhere: a day of it, from its beginning. */
export const recordOf = (vehicle_id: string, draft: DoneDraft) => ({ vehicle_id, done_at: dayStart(draft.day, zone()), ...odometerOf(draft) });

const odometerOf = ({ odometer }: DoneDraft): { odometer_km?: number } => (odometer.trim() ? { odometer_km: Math.round(kmIn(odometer) * 10) / 10 } : {});
