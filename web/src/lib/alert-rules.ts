// What people write of a rule of alerts, the times that they try it on, and rules to begin with.

import { messages as m } from '../messages';
import type { AlertRule, Limits, Severity, Trial, TrialWish } from './alerts';
import { utcDay } from './format';
import { numberIn } from './maintenance-forms';
import type { Bar } from './sql';
import { dayAfter, dayStart } from './trip';

export const UNITS = ['s', 'min', 'h', 'd'] as const;
export type Unit = (typeof UNITS)[number];
const SECONDS: Record<Unit, number> = { s: 1, min: 60, h: 3600, d: 86_400 };

/** How long, as a person writes it. */
export interface Long {
  amount: string;
  unit: Unit;
}

export const LIMITS = ['look_back_s', 'look_ahead_s', 'quiet_s', 'min_duration_s'] as const;
export type Limit = (typeof LIMITS)[number];
/** As the server takes them, and has them where nothing is told. */
const ALLOWED: Record<Limit, readonly [least: number, most: number]> = { look_back_s: [0, 604_800], look_ahead_s: [0, 86_400], quiet_s: [1, 86_400], min_duration_s: [0, 86_400] };
const USUAL: Limits = { look_back_s: 3600, look_ahead_s: 0, quiet_s: 600, min_duration_s: 0 };

export interface RuleDraft extends Record<Limit, Long> {
  name: string;
  description: string;
  severity: Severity;
  query: string;
  notify: boolean;
  is_enabled: boolean;
}

/** What is sent of a rule. */
export interface RuleWish extends Limits {
  name: string;
  description: string | null;
  severity: Severity;
  query: string;
  notify: boolean;
  is_enabled: boolean;
  organization_id?: string;
}

/** Seconds in the largest unit in which they are whole; none at all in minutes. */
export function longOf(seconds: number): Long {
  const unit = seconds === 0 ? 'min' : ([...UNITS].reverse().find((one) => seconds % SECONDS[one] === 0) ?? 's');
  return { amount: String(seconds / SECONDS[unit]), unit };
}

/** The seconds that were written; NaN for none. */
export const secondsOf = ({ amount, unit }: Long): number => Math.round(numberIn(amount) * SECONDS[unit]);

/** `10 min`, `1 h`, `0 s`. */
export function longText(seconds: number): string {
  const { amount, unit } = longOf(seconds);
  return m.alerts.amountOf(amount, unit);
}

const longsOf = (limits: Limits): Record<Limit, Long> => ({
  look_back_s: longOf(limits.look_back_s), look_ahead_s: longOf(limits.look_ahead_s), quiet_s: longOf(limits.quiet_s), min_duration_s: longOf(limits.min_duration_s),
});

/** A rule of which nothing is told yet, or what an example tells of it. */
export const newDraft = (of: Partial<Example> = {}): RuleDraft => ({
  name: of.name ?? '', description: '', severity: of.severity ?? 'warning', query: of.query ?? '', notify: true, is_enabled: true, ...longsOf({ ...USUAL, ...of.limits }),
});

/** As it is now, for a form. */
export const draftOf = (it: AlertRule): RuleDraft => ({
  name: it.name, description: it.description ?? '', severity: it.severity, query: it.query, notify: it.notify, is_enabled: it.is_enabled, ...longsOf(it),
});

export type RuleFaults = Partial<Record<'name' | 'query' | Limit, string>>;

/** What is wrong with what is asked, each at its field. */
export function askFaultsOf(draft: RuleDraft): RuleFaults {
  const found: RuleFaults = {};
  if (!draft.query.trim()) found.query = m.alerts.giveQuery;
  for (const limit of LIMITS) {
    const [least, most] = ALLOWED[limit];
    const seconds = secondsOf(draft[limit]);
    if (!(seconds >= least && seconds <= most)) found[limit] = m.alerts.between(longText(least), longText(most));
  }
  return found;
}

/** The same of all of a rule. */
export const ruleFaultsOf = (draft: RuleDraft): RuleFaults => ({ ...(draft.name.trim() ? {} : { name: m.common.giveName }), ...askFaultsOf(draft) });

const limitsOf = (draft: RuleDraft): Limits => ({
  look_back_s: secondsOf(draft.look_back_s), look_ahead_s: secondsOf(draft.look_ahead_s), quiet_s: secondsOf(draft.quiet_s), min_duration_s: secondsOf(draft.min_duration_s),
});

/** What a draft without faults asks for. */
export const ruleOf = (draft: RuleDraft, organization = ''): RuleWish => ({
  name: draft.name.trim(), description: draft.description.trim() || null, severity: draft.severity, query: draft.query.trim(), ...limitsOf(draft),
  notify: draft.notify, is_enabled: draft.is_enabled, ...(organization ? { organization_id: organization } : {}),
});

/** What of a rule is to be another. */
export function ruleChangesOf(was: AlertRule, draft: RuleDraft): Partial<RuleWish> {
  const changed = Object.entries(ruleOf(draft)).filter(([field, value]) => value !== was[field as keyof AlertRule]);
  return Object.fromEntries(changed) as Partial<RuleWish>;
}

/** Whether it would ask something else: its open alerts end then, and it begins anew. */
export const asksElse = (was: AlertRule, draft: RuleDraft): boolean => Object.keys(ruleChangesOf(was, draft)).some((field) => field === 'query' || (LIMITS as readonly string[]).includes(field));

/** The times that a rule is tried on, in days up to now, or of one's own. */
export const SPANS = ['7', '30', 'own'] as const;
export interface TrialSpan {
  span: (typeof SPANS)[number];
  /** Days of the reader's zone, where they are of one's own. */
  from: string;
  to: string;
}

const DAY_MS = 86_400_000;
const DAYS_MAX = 92;

/** What a draft is tried on, or why that is no time. */
export function periodOf({ span, from, to }: TrialSpan, nowMs: number, timeZone?: string): { from: string; to: string } | { fault: string } {
  if (span !== 'own') return { from: new Date(nowMs - Number(span) * DAY_MS).toISOString(), to: new Date(nowMs).toISOString() };
  const [first, end] = [dayStart(from, timeZone), dayStart(dayAfter(to), timeZone)];
  if (first === null || end === null) return { fault: m.alerts.giveDays };
  if (Date.parse(end) <= Date.parse(first)) return { fault: m.alerts.firstDayFirst };
  return Date.parse(end) - Date.parse(first) > DAYS_MAX * DAY_MS ? { fault: m.alerts.daysMost(DAYS_MAX) } : { from: first, to: end };
}

export const trialOf = (draft: RuleDraft, period: { from: string; to: string }, organization = ''): TrialWish => ({
  query: draft.query.trim(), ...period, ...limitsOf(draft), ...(organization ? { organization_id: organization } : {}),
});

/** A bar for each UTC day of the time that was tried, those without an alert too. */
export function dayBars({ days }: Pick<Trial, 'days'>, { from, to }: { from: string; to: string }): Bar[] {
  const counts = new Map(days.map(({ date, alert_count }) => [date, alert_count]));
  const [first, last] = [Date.parse(`${from.slice(0, 10)}T00:00:00Z`), Date.parse(to) - 1];
  const bars: Bar[] = [];
  for (let at = first; at <= last; at += DAY_MS) {
    const date = new Date(at).toISOString().slice(0, 10);
    bars.push({ label: utcDay(date), values: [counts.get(date) ?? 0] });
  }
  return bars;
}

export interface Example {
  name: string;
  severity: Severity;
  query: string;
  limits: Partial<Limits>;
}

const AREA = '{"type": "Feature", "properties": {"name": "harbour"}, "geometry": {"type": "Polygon",\n    "coordinates": [[[12.59, 55.68], [12.63, 55.68], [12.63, 55.71], [12.59, 55.71], [12.59, 55.68]]]}}';

/** Those of docs/alert-rules.md. */
export const RULE_EXAMPLES: readonly Example[] = [
  { name: m.alerts.examples.speeding, severity: 'warning', limits: {}, query: 'SELECT vehicle_id, ts, speed_kmh AS value\nFROM readings\nWHERE speed_kmh > 130' },
  {
    name: m.alerts.examples.battery, severity: 'warning', limits: {},
    query: "SELECT b.vehicle_id, b.ts, b.value, 'battery at ' || round(b.value, 1) || ' V' AS message\nFROM signal('Vehicle.LowVoltageBattery.CurrentVoltage') b\nJOIN readings r ON r.vehicle_id = b.vehicle_id AND r.ts = b.ts\nWHERE b.value < 11.8 AND NOT r.ignition_on",
  },
  {
    name: m.alerts.examples.coolant, severity: 'critical', limits: { look_ahead_s: 300 },
    query: "SELECT vehicle_id, ts, avg(coolant_temperature_c) AS value FROM (\n  SELECT vehicle_id, time_bucket(INTERVAL '5 minutes', ts) AS ts, coolant_temperature_c FROM readings)\nGROUP BY vehicle_id, ts HAVING avg(coolant_temperature_c) > 105",
  },
  { name: m.alerts.examples.fault, severity: 'warning', limits: { quiet_s: 86_400 }, query: "SELECT vehicle_id, ts, code AS key, ecu, occurrences\nFROM diagnostics\nWHERE event IN ('seen', 'change')" },
  { name: m.alerts.examples.fuel, severity: 'critical', limits: {}, query: "SELECT vehicle_id, start_time AS ts, fuel_l AS value\nFROM latest_driving_events\nWHERE kind = 'fuel_theft'" },
  { name: m.alerts.examples.night, severity: 'info', limits: {}, query: 'SELECT vehicle_id, start_time AS ts, distance_m / 1000.0 AS value\nFROM latest_trips\nWHERE extract(hour FROM start_time) < 4 AND distance_m > 1000' },
  { name: m.alerts.examples.area, severity: 'warning', limits: {}, query: `SELECT vehicle_id, ts, geofence AS key FROM geofence_events(\n  '${AREA}')\nWHERE event = 'enter'` },
  {
    name: m.alerts.examples.braking, severity: 'info', limits: {},
    query: 'SELECT vehicle_id, ts, speed_kmh - before AS value FROM (\n  SELECT vehicle_id, ts, speed_kmh, lag(speed_kmh) OVER (PARTITION BY vehicle_id ORDER BY ts) AS before FROM readings)\nWHERE speed_kmh - before < -25',
  },
];
