// Alerts as /v1 has them: rules in SQL, what they raised, and what they would have raised in a time that was.

import { messages as m } from '../messages';
import { send } from './admin';
import type { RuleWish } from './alert-rules';
import { call, query, segment } from './api';
import { dataTime, duration, number, quantity } from './format';
import type { Tone } from './invoice';
import { cellText } from './sql';
import type { Page } from './types';
import { quantityOf } from './units';

/** From what is good to know to what is looked at now. */
export const SEVERITIES = ['info', 'warning', 'critical'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** What a rule asks, beside its query, in seconds. */
export interface Limits {
  look_back_s: number;
  look_ahead_s: number;
  quiet_s: number;
  min_duration_s: number;
}

export interface AlertRule extends Limits {
  id: string;
  /** Null for one of everybody's vehicles. */
  organization_id: string | null;
  name: string;
  description: string | null;
  severity: Severity;
  query: string;
  notify: boolean;
  is_enabled: boolean;
  /** The tables that its query reads. */
  reads: string[];
  version: number;
  created_at: string;
  updated_at: string;
  /** When it was asked last; null before. */
  evaluated_at: string | null;
  /** Why it could not be asked then. */
  fault: string | null;
  open_count: number;
}

export const ALERT_STATUSES = ['open', 'ended', 'withdrawn'] as const;
export type AlertStatus = (typeof ALERT_STATUSES)[number];

/** What an alert is of, and what its first moment told. */
export interface Moment {
  /** The id of telemetry. */
  vehicle_id: string;
  /** Of what of it, as a trouble code. */
  key: string | null;
  started_at: string;
  last_at: string;
  value: number | null;
  message: string | null;
  details: Record<string, unknown>;
}

export interface Alert extends Moment {
  id: string;
  rule_id: string;
  /** The rule's name then. */
  rule_name: string;
  severity: Severity;
  organization_id: string | null;
  status: AlertStatus;
  raised_at: string;
  acknowledged_at: string | null;
  acknowledged_by: string | null;
  note: string | null;
  version: number;
}

/** What a rule would have raised. */
export interface Trial {
  reads: string[];
  alert_count: number;
  /** There would have been more than are counted. */
  is_truncated: boolean;
  /** By UTC day; those with none are left out. */
  days: { date: string; alert_count: number }[];
  vehicles: { vehicle_id: string; alert_count: number }[];
  /** The first of them. */
  alerts: Moment[];
}

export interface TrialWish extends Limits {
  query: string;
  from: string;
  to: string;
  organization_id?: string;
}

interface Cut {
  cursor?: string;
  limit?: number;
}

export interface AlertCut extends Cut {
  rule_id?: string;
  vehicle_id?: string;
  status?: string;
  /** `true`, `false`, or nothing for both. */
  is_acknowledged?: string;
  from?: string;
  to?: string;
}

const RULES = '/v1/alert-rules';
const ALERTS = '/v1/alerts';
/** A trial may ask about months: the server ends it before. */
const TRIAL_MS = 90_000;

export const alerts = {
  path: ALERTS,
  pathOf: (id: string) => `${ALERTS}/${segment(id)}`,
  acknowledgePath: (id: string) => `${alerts.pathOf(id)}/acknowledge`,
  list: (filter: AlertCut, signal?: AbortSignal) => call<Page<Alert>>(`${ALERTS}${query({ ...filter })}`, { signal }),
  get: (id: string, signal?: AbortSignal) => call<Alert>(alerts.pathOf(id), { signal }),
};

export const alertRules = {
  path: RULES,
  tryPath: `${RULES}:try`,
  pathOf: (id: string) => `${RULES}/${segment(id)}`,
  list: (filter: Cut, signal?: AbortSignal) => call<Page<AlertRule>>(`${RULES}${query({ ...filter })}`, { signal }),
  get: (id: string, signal?: AbortSignal) => call<AlertRule>(alertRules.pathOf(id), { signal }),
  add: (made: RuleWish) => send<AlertRule>('POST', RULES, made),
  change: ({ id, version }: AlertRule, patch: Partial<RuleWish>) => send<AlertRule>('PATCH', alertRules.pathOf(id), patch, { 'if-match': `"${version}"` }),
  remove: (id: string) => send<undefined>('DELETE', alertRules.pathOf(id)),
  try: (wish: TrialWish, signal?: AbortSignal) =>
    call<Trial>(alertRules.tryPath, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(wish), signal }, TRIAL_MS),
};

export const alertTone = (status: AlertStatus): Tone => (({ open: 'bad', ended: 'parked' }) as Partial<Record<AlertStatus, Tone>>)[status] ?? 'offline';

export type RuleState = 'enabled' | 'failing' | 'disabled';
export const ruleState = ({ is_enabled, fault }: Pick<AlertRule, 'is_enabled' | 'fault'>): RuleState => (!is_enabled ? 'disabled' : fault ? 'failing' : 'enabled');
export const ruleTone = (state: RuleState): Tone => ({ enabled: 'moving', failing: 'bad', disabled: 'offline' })[state] as Tone;

const MISSING = '–';

/** How long it was so, and “so far” while it is. */
export function lasted({ started_at, last_at, status }: Pick<Alert, 'started_at' | 'last_at'> & { status?: AlertStatus }): string {
  const seconds = (Date.parse(last_at) - Date.parse(started_at)) / 1000;
  if (!Number.isFinite(seconds)) return MISSING;
  // Of one moment alone.
  if (status !== 'open' && Math.round(seconds) <= 0) return m.alerts.moment;
  return status === 'open' ? m.alerts.soFar(duration(seconds)) : duration(seconds);
}

export const valueText = (value: number | null): string => number(value, 2);
/** What it told: its message, or its value where it has none. */
export const saidText = ({ message, value }: Pick<Moment, 'message' | 'value'>): string => message ?? valueText(value);

const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/;

/** What else the query told, a line a column. */
export function detailsOf(details: Record<string, unknown>): { name: string; text: string }[] {
  return Object.entries(details).map(([name, value]) => {
    const kind = quantityOf(name);
    const text = value == null ? MISSING : typeof value === 'number' ? (kind ? quantity(value, kind, 2) : number(value, 4)) : typeof value === 'string' && MOMENT.test(value) ? dataTime(value) : cellText(value);
    return { name, text };
  });
}

/** Who took it on, for a reader who is `me` to the server and has a name here. */
export function takenBy(actor: string | null, me: { actor: string; name: string }): string {
  if (actor === null) return MISSING;
  if (actor === 'local') return m.alerts.byLocal;
  if (actor === me.actor) return me.name;
  return actor === 'operator' ? m.common.operator : actor;
}

/** So much before and after it is looked at. */
const AROUND_MS = 10 * 60_000;
/** A moment's vehicle and time, with some of it around. */
export const around = ({ vehicle_id, started_at, last_at }: Moment) => ({ vehicleId: vehicle_id, fromMs: Date.parse(started_at) - AROUND_MS, toMs: Date.parse(last_at) + AROUND_MS });
