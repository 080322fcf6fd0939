// A period as a person enters it: a day and time of their zone, and how long.

import { messages as m } from '../messages';
import { offsetOf } from './chart';

const LOCAL = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/;

/** What a field of date and time holds, in a zone, as a moment; null where it holds none. */
export function momentOf(local: string, timeZone?: string): string | null {
  const at = LOCAL.test(local) ? Date.parse(`${local}Z`) : NaN;
  if (Number.isNaN(at)) return null;
  // The offset at the moment itself, not at the same figures in UTC: near a change of clocks they differ.
  const guess = at - offsetOf(at, timeZone);
  return new Date(at - offsetOf(guess, timeZone)).toISOString();
}

/** A moment as a field of date and time takes it, to the minute or the second. */
export function localOf(iso: string, timeZone?: string, to: 'minute' | 'second' = 'minute'): string {
  const at = Date.parse(iso);
  return Number.isNaN(at) ? '' : new Date(at + offsetOf(at, timeZone)).toISOString().slice(0, to === 'minute' ? 16 : 19);
}

/** The next quarter of an hour after a moment. */
export const nextQuarter = (nowMs: number): string => new Date(Math.ceil((nowMs + 1) / 900_000) * 900_000).toISOString();

export const plusMinutes = (iso: string, minutes: number): string => new Date(Date.parse(iso) + minutes * 60_000).toISOString();

/** `30 min`, `2 h`, `1 h 30 min`, `3 d`. */
export function span(minutes: number): string {
  const [days, hours, rest] = [Math.floor(minutes / 1440), Math.floor((minutes % 1440) / 60), minutes % 60];
  return [days && m.time.spanDays(days), hours && m.time.spanHours(hours), rest && m.time.spanMinutes(rest)].filter(Boolean).join(' ') || m.time.spanMinutes(0);
}

/** The month before the one of a moment, in UTC, as a field of months has it: `2026-10`. */
export function monthBefore(ms: number): string {
  const at = new Date(ms);
  return new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() - 1)).toISOString().slice(0, 7);
}
