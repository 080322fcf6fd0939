// Words and numbers as people read them: the reader's units and time zone, exact money.
// Nothing here reads a clock or the network; units and zone are the reader's (prefs.svelte.ts).

import { messages as m } from '../messages';
import { prefs, zone } from './prefs.svelte';
import { type Quantity, unit } from './units';

const LOCALE = m.locale;
const MISSING = '–';

const decimal = (digits: number) =>
  new Intl.NumberFormat(LOCALE, { minimumFractionDigits: digits, maximumFractionDigits: digits });
const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const oneDigit = decimal(1);
const twoDigits = decimal(2);

type Maybe = number | null | undefined;
const absent = (value: Maybe): value is null | undefined => value == null || !Number.isFinite(value);

/** Metres as `840 m`, `12.4 km` or `1,204 km`; in imperial units as feet below a fifth of a mile, then miles. */
export function distance(metres: Maybe): string {
  if (absent(metres)) return MISSING;
  const short = prefs.units === 'imperial' ? 320 : 1000;
  if (Math.abs(metres) < short) return `${whole.format(unit('m').of(metres))} ${unit('m').label}`;
  const far = unit('km').of(metres / 1000);
  return `${(Math.abs(far) < 100 ? oneDigit : whole).format(far)} ${unit('km').label}`;
}

/** A number of the server's unit in the reader's: `63 km/h`, `17.5 l`. */
export function quantity(value: Maybe, kind: Quantity, digits = 0): string {
  if (absent(value)) return MISSING;
  const { label, of } = unit(kind);
  const shown = of(value);
  return Number.isFinite(shown) ? `${number(shown, digits)} ${label}` : MISSING;
}

/** A bare number, grouped; `digits` at most behind the point, and `least` at least. */
export function number(value: Maybe, digits = 0, least = 0): string {
  return absent(value) ? MISSING : new Intl.NumberFormat(LOCALE, { minimumFractionDigits: least, maximumFractionDigits: digits }).format(value);
}

/** A number beside an axis: `40`, `0.25`, `150k`, `2M`. */
export function axis(value: number): string {
  if (!Number.isFinite(value)) return MISSING;
  return Math.abs(value) < 10_000 ? number(value, 4) : new Intl.NumberFormat(LOCALE, { notation: 'compact', maximumFractionDigits: 1 }).format(value).replace('K', 'k').replace(/m$/, 'M');
}

/** Seconds as `42 s`, `7 min 05 s`, `1 h 04 min` or `2 d 3 h`. */
export function duration(seconds: Maybe): string {
  if (absent(seconds)) return MISSING;
  const total = Math.max(0, Math.round(seconds));
  const pad = (value: number) => String(value).padStart(2, '0');
  if (total < 60) return m.time.seconds(total);
  if (total < 3600) return m.time.minutes(Math.floor(total / 60), pad(total % 60));
  if (total < 86_400) return m.time.hours(Math.floor(total / 3600), pad(Math.floor((total % 3600) / 60)));
  return m.time.days(Math.floor(total / 86_400), Math.floor((total % 86_400) / 3600));
}

export const speed = (kmh: Maybe): string => quantity(kmh, 'kmh');
export const percent = (value: Maybe): string => quantity(value, 'pct');
export const share = (value: Maybe): string => (absent(value) ? MISSING : percent(value * 100));
export const rpm = (value: Maybe): string => quantity(value, 'rpm');
export const kilometres = (km: Maybe): string => (absent(km) ? MISSING : `${oneDigit.format(unit('km').of(km))} ${unit('km').label}`);
export const count = (value: Maybe): string => (absent(value) ? MISSING : whole.format(value));

/** What a trip used: fuel, energy, or both for a plug-in hybrid. */
export function consumption(fuelLitres: Maybe, energyKwh: Maybe): string {
  const parts: string[] = [];
  if (!absent(fuelLitres)) parts.push(`${twoDigits.format(unit('l').of(fuelLitres))} ${unit('l').label}`);
  if (!absent(energyKwh)) parts.push(`${twoDigits.format(energyKwh)} ${unit('kwh').label}`);
  return parts.length ? parts.join(' + ') : MISSING;
}

/** Minor units as money, with as many digits as the currency has. */
export function money(amountMinor: Maybe, currency: string): string {
  if (absent(amountMinor)) return MISSING;
  const format = new Intl.NumberFormat(LOCALE, { style: 'currency', currency });
  const digits = format.resolvedOptions().maximumFractionDigits ?? 2;
  return format.format(amountMinor / 10 ** digits);
}

/** A decimal string from the server, without trailing zeros beyond `keep` digits; never a float. */
export function decimalString(text: string | null | undefined, keep = 0): string {
  if (text == null || text === '') return MISSING;
  const match = /^([+-]?)(\d+)(?:\.(\d+))?$/.exec(text.trim());
  if (!match) return text;
  const [, sign = '', integer = '0', fraction = ''] = match;
  const kept = fraction.replace(/0+$/, '').padEnd(keep, '0');
  const grouped = integer.replace(/\B(?=(\d{3})+$)/g, ',');
  return sign + grouped + (kept ? `.${kept}` : '');
}

/** A moment in the reader's zone: `12 Mar 2024, 14:05:09`. */
export function moment(iso: string | null | undefined, timeZone?: string): string {
  return stamp(iso, { day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit' }, timeZone);
}

/** The same to the minute, for tables. */
export function minute(iso: string | null | undefined, timeZone?: string): string {
  return stamp(iso, { day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit' }, timeZone);
}

/** From one minute to another, the day once where it is the same: `12 Mar 2024, 14:05 – 16:00`. */
export function minutes(from: string, to: string, timeZone?: string): string {
  const last = day(from, timeZone) === day(to, timeZone) ? stamp(to, { hour: '2-digit', minute: '2-digit' }, timeZone) : minute(to, timeZone);
  return `${minute(from, timeZone)} – ${last}`;
}

/** The time of day alone, where the day is known. */
export function clockTime(iso: string | null | undefined, timeZone?: string): string {
  return stamp(iso, { hour: '2-digit', minute: '2-digit', second: '2-digit' }, timeZone);
}

/** A calendar day in a zone that matters, such as an invoice's. */
export function day(iso: string | null | undefined, timeZone?: string): string {
  return stamp(iso, { day: 'numeric', month: 'short', year: 'numeric' }, timeZone);
}

function stamp(iso: string | null | undefined, options: Intl.DateTimeFormatOptions, timeZone?: string): string {
  const at = iso ? Date.parse(iso) : NaN;
  if (Number.isNaN(at)) return MISSING;
  return new Intl.DateTimeFormat(LOCALE, { ...options, hourCycle: 'h23', timeZone: timeZone ?? zone() }).format(at);
}

const zoned = new Map<string, Intl.DateTimeFormat>();

/** A moment for a table of data, in the reader's zone and with every digit it came with: `2024-03-12 14:05:09.25`. */
export function dataTime(iso: string, timeZone = zone()): string {
  const at = Date.parse(iso);
  if (Number.isNaN(at)) return iso;
  const key = timeZone ?? '';
  const format =
    zoned.get(key) ??
    new Intl.DateTimeFormat('en', { timeZone, hourCycle: 'h23', year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit' });
  zoned.set(key, format);
  const part = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, value]));
  const fraction = /\.\d+/.exec(iso)?.[0] ?? '';
  return `${part.year}-${part.month}-${part.day} ${part.hour}:${part.minute}:${part.second}${fraction}`;
}

/** Times of a row of labels without what all of them have: midnight, or a whole minute. */
export function briefTimes(labels: readonly string[]): string[] {
  for (const ending of [/ 00:00:00$/, /:00$/]) if (labels.every((label) => /^\d{4}-/.test(label) && ending.test(label))) return labels.map((label) => label.replace(ending, ''));
  return [...labels];
}

/** A calendar day of the data, which is of UTC: `12 Mar`, and its year where that is asked for. */
export function utcDay(iso: string, withYear = false): string {
  const at = Date.parse(iso);
  if (Number.isNaN(at)) return iso || MISSING;
  return new Intl.DateTimeFormat(LOCALE, { day: 'numeric', month: 'short', ...(withYear ? { year: 'numeric' } : {}), timeZone: 'UTC' }).format(at);
}

/** The half-open period `[start, end)` as its first and last day. */
export function period(start: string, end: string, timeZone?: string): string {
  const last = Date.parse(end) - 1;
  return `${day(start, timeZone)} – ${Number.isNaN(last) ? MISSING : day(new Date(last).toISOString(), timeZone)}`;
}

/** How long ago, for a list: `now`, `12 s ago`, `3 min ago`. */
export function ago(iso: string | null | undefined, nowMs: number): string {
  const at = iso ? Date.parse(iso) : NaN;
  if (Number.isNaN(at) || Number.isNaN(nowMs)) return MISSING;
  const seconds = Math.max(0, Math.round((nowMs - at) / 1000));
  if (seconds < 5) return m.time.now;
  if (seconds < 60) return m.time.secondsAgo(seconds);
  if (seconds < 3600) return m.time.minutesAgo(Math.floor(seconds / 60));
  if (seconds < 86_400) return m.time.hoursAgo(Math.floor(seconds / 3600));
  return m.time.daysAgo(Math.floor(seconds / 86_400));
}

/** UTC, as it stands in the data: shown on hover beside the local time. */
export function utc(iso: string | null | undefined): string {
  const at = iso ? Date.parse(iso) : NaN;
  return Number.isNaN(at) ? '' : `${new Date(at).toISOString().replace('T', ' ').replace(/\.000Z$/, 'Z').replace('Z', '')} UTC`;
}

const VALUES: Partial<Record<string, string>> = m.values;

/** `ignition_off` as `Ignition off`, or as the messages have it. */
export function words(snake: string | null | undefined): string {
  if (!snake) return MISSING;
  if (Object.hasOwn(VALUES, snake)) return VALUES[snake] ?? MISSING;
  const text = snake.toLowerCase().replaceAll('_', ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The middle cut out of a long id, so that both ends can be compared. */
export function shortId(id: string, head = 8, tail = 4): string {
  return id.length <= head + tail + 1 ? id : `${id.slice(0, head)}…${id.slice(-tail)}`;
}
