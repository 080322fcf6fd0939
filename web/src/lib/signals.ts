// The signals of one vehicle or trip, asked for in steps so that hours come as a hundred points each.

import { messages as m } from '../messages';
import { api } from './api';
import type { Point } from './chart';
import { number, words } from './format';
import { literal, numberOf } from './sql';
import type { QueryResult } from './types';
import { labelOf, type Quantity, quantityNamed, quantityOf, unit } from './units';

/** Columns of `readings` worth a line, in the order shown, each with its word. */
export const READING_COLUMNS: readonly (readonly [column: string, word: string])[] = [
  ['speed_kmh', m.signals.speed], ['engine_speed_rpm', m.signals.engineSpeed], ['engine_load_pct', m.signals.engineLoad], ['coolant_temperature_c', m.signals.coolant],
  ['fuel_level_pct', m.signals.fuelLevel], ['fuel_rate_lph', m.signals.fuelRate], ['soc_pct', m.signals.stateOfCharge], ['traction_power_kw', m.signals.tractionPower],
  ['ambient_temperature_c', m.signals.outside], ['altitude_m', m.signals.altitude], ['accel_x_mps2', m.signals.accelerationForward], ['accel_y_mps2', m.signals.accelerationLeft], ['load_kg', m.signals.load],
];

/** What a column of `readings` is called. */
export const wordOf = (column: string): string => READING_COLUMNS.find(([name]) => name === column)?.[1] ?? words(column);

export const SPEED = 'speed_kmh';
/** The signals that a trip shows before any is asked for, as far as it has them. */
const FIRST: readonly string[] = [SPEED, 'altitude_m'];
const NONE = 'none';

/** Which signals an address asks for: without any, how fast and how high. */
export function signalsAsked(param: string, signals: readonly Pick<Signal, 'id'>[]): string[] {
  return param ? param.split(',') : FIRST.filter((id) => signals.some((signal) => signal.id === id));
}

/** What asks for them: nothing where they are shown anyhow. */
export function signalsParam(asked: readonly string[], signals: readonly Pick<Signal, 'id'>[]): string | null {
  const first = signalsAsked('', signals);
  return asked.length === first.length && first.every((id) => asked.includes(id)) ? null : asked.join(',') || NONE;
}

export interface Signal {
  id: string;
  word: string;
  /** What it is measured in, where this console can turn it into the reader's unit. */
  quantity: Quantity | null;
  /** The unit as the catalogue of signals has it, where it is none of ours; empty where it has none. */
  unit: string;
  /** In the server's unit. */
  points: Point[];
}

const STEPS = 120;

/** Whole seconds, so that a span gives at most so many steps. */
export const stepSeconds = (spanMs: number, steps = STEPS): number => Math.max(1, Math.ceil(spanMs / 1000 / steps));

export interface Span {
  vehicleId: string;
  fromMs: number;
  toMs: number;
  steps?: number;
}

const iso = (ms: number): string => new Date(ms).toISOString();

function where({ vehicleId, fromMs, toMs }: Span): string {
  return (
    `vehicle_id = ${literal(vehicleId)} AND date BETWEEN DATE '${iso(fromMs).slice(0, 10)}' AND DATE '${iso(toMs).slice(0, 10)}'\n` +
    `  AND ts BETWEEN TIMESTAMP '${iso(fromMs)}' AND TIMESTAMP '${iso(toMs)}'`
  );
}

export function readingsQuery(span: Span): string {
  const step = stepSeconds(span.toMs - span.fromMs, span.steps);
  const columns = READING_COLUMNS.map(([name]) => `last_value(${name} ORDER BY ts) FILTER (WHERE ${name} IS NOT NULL) AS ${name}`);
  return `SELECT time_bucket(INTERVAL '${step} seconds', ts) AS step, max(ts) AS last_ts,\n       ${columns.join(',\n       ')}\nFROM readings\nWHERE ${where(span)}\nGROUP BY step\nORDER BY step`;
}

/** What a campaign takes of a signal is in its unit, under a name of its own: the catalogue has the name before the `#`. */
export function signalsQuery(span: Span): string {
  const step = stepSeconds(span.toMs - span.fromMs, span.steps);
  return `SELECT s.signal, s.step, s.value, c.unit\nFROM (SELECT signal, time_bucket(INTERVAL '${step} seconds', ts) AS step, last_value(value ORDER BY ts) AS value\n      FROM signals\n      WHERE ${where(span).replaceAll('\n', '\n      ')}\n        AND value IS NOT NULL\n      GROUP BY signal, step) AS s\nLEFT JOIN signal_catalogue AS c ON c.signal = split_part(s.signal, '#', 1)\nORDER BY s.signal, s.step`;
}

/** The columns that hold anything, as signals. */
export function fromReadings(result: QueryResult): Signal[] {
  const at = (name: string): number => result.columns.findIndex((column) => column.name === name);
  const step = at('step');
  return READING_COLUMNS.flatMap(([column, word]) => {
    const index = at(column);
    const points = result.rows.map((row) => ({ x: Date.parse(String(row[step])), y: numberOf(row[index]) })).filter(({ y }) => y != null);
    return index >= 0 && points.length ? [{ id: column, word, quantity: quantityOf(column), unit: '', points }] : [];
  });
}

const AGGREGATES: Record<string, string> = m.signals.aggregates;

/**
 * What a signal is called: `Vehicle.Powertrain.Transmission.CurrentGear` is `Transmission current gear`. What campaign
 * `fast` took has it beside: `Vehicle.Speed#fast.mean` is `Speed, mean · fast`, and `Vehicle#fast` its trigger.
 */
export function signalWord(signal: string): string {
  const [path = '', taken] = signal.split('#');
  if (taken === undefined) return pathWord(path);
  // A campaign's name has no point in it: what follows one is how an interval became a number.
  const [campaign = '', aggregate] = taken.split('.');
  const what = path === 'Vehicle' ? m.signals.trigger : pathWord(path);
  return `${what}${aggregate ? `, ${AGGREGATES[aggregate] ?? aggregate}` : ''} · ${campaign}`;
}

/** A VSS path by its last two parts below the vehicle. */
function pathWord(path: string): string {
  const parts = path.replace(/^Vehicle\./, '').split('.').slice(-2).join(' ').replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase();
  return parts.charAt(0).toUpperCase() + parts.slice(1);
}

/** The catalogue's word for a unit as what is shown. */
function measure(named: unknown): Pick<Signal, 'quantity' | 'unit'> {
  const quantity = typeof named === 'string' ? quantityNamed(named) : null;
  return { quantity, unit: quantity || typeof named !== 'string' ? '' : labelOf(named) };
}

export interface Signals {
  signals: Signal[];
  /** There are more than were given. */
  isCut: boolean;
}

/** By path. Of an answer that was cut the last signal is left out, as its latest values are what is missing. */
export function fromSignals(result: QueryResult): Signals {
  const found = new Map<string, Signal>();
  for (const [path, step, value, named] of result.rows) {
    const id = String(path);
    const signal = found.get(id) ?? { id, word: signalWord(id), ...measure(named), points: [] };
    signal.points.push({ x: Date.parse(String(step)), y: numberOf(value) });
    found.set(id, signal);
  }
  const signals = [...found.values()];
  return { signals: result.is_truncated ? signals.slice(0, -1) : signals, isCut: result.is_truncated };
}

/** All of a vehicle's signals in a span of time. */
export async function readSignals(span: Span, signal: AbortSignal): Promise<Signals> {
  const [readings, others] = await Promise.all([api.sql(readingsQuery(span), { signal }), api.sql(signalsQuery(span), { signal })]);
  const { signals, isCut } = fromSignals(others);
  return { signals: [...fromReadings(readings), ...signals], isCut: isCut || readings.is_truncated };
}

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);

/** In the reader's unit. */
export function shown(signal: Signal): { points: Point[]; label: string; last: string } {
  const { of, label } = signal.quantity ? unit(signal.quantity) : { of: (value: number) => value, label: signal.unit };
  const points = signal.points.map(({ x, y }) => ({ x, y: y == null ? null : finite(of(y)) }));
  const last = points.at(-1)?.y ?? null;
  return { points, label, last: last == null ? '–' : `${number(last, Math.abs(last) < 20 ? 1 : 0)}${label ? ` ${label}` : ''}` };
}
