import { afterEach, describe, expect, it, vi } from 'vitest';
import { besideOf, correctionText, coveringOf, inOrder, isBelowAnother, mergeFault, mergeText, splitFault, stopBetween, takeBackText, type TripCorrection } from '../src/lib/corrections';
import { localOf } from '../src/lib/period';
import { prefs } from '../src/lib/prefs.svelte';
import { Rederived } from '../src/lib/rederived.svelte';
import { changes, isPrivate } from '../src/lib/trip';
import type { Trip } from '../src/lib/types';

prefs.set({ zone: 'UTC' });

const at = (time: string): string => (time.includes('T') ? time : `2026-01-01T${time}:00Z`);
const trip = (id: string, from: string, to: string, more: Partial<Trip> = {}): Trip =>
  ({ id, revision: 1, vehicle_id: 'v', status: 'completed', purpose: null, merged_count: 1, start_time: at(from), end_time: at(to), ...more }) as unknown as Trip;

const [a, b, c] = [trip('a', '08:00', '08:30'), trip('b', '09:00', '09:20'), trip('c', '10:00', '10:15')];

describe('trips to be merged', () => {
  it('are two or more of one vehicle, near each other', () => {
    expect(mergeFault([a, b])).toBe('');
    expect(mergeFault([c, a, b])).toBe('');
    expect(mergeFault([a])).toBe('Choose another trip of this vehicle.');
    expect(mergeFault([a, { ...b, vehicle_id: 'w' }])).toBe('They are of different vehicles.');
    expect(mergeFault([a, { ...b, status: 'withdrawn' }])).toBe('One of them is withdrawn.');
    expect(mergeFault(Array.from({ length: 21 }, () => a))).toBe('At most 20 become one.');
  });
  it('are at most twelve hours apart, in whichever order they were chosen', () => {
    const [evening, late] = [trip('d', '20:30', '21:00'), trip('d', '20:31', '21:00')];
    expect(mergeFault([evening, a])).toBe('');
    expect(mergeFault([late, a])).toBe('More than 12 h lie between two of them.');
    expect(mergeFault([late, a, b])).toBe('');
  });
  it('tell what becomes of them', () => {
    expect(mergeText([b, a])).toBe('They become one trip, 1 Jan 2026, 08:00 – 09:20, with the stop of 30 min 00 s between.');
    expect(mergeText([c, b, a])).toContain('08:00 – 10:15, with the stops of 1 h 10 min between');
    expect(inOrder([c, a, b]).map(({ id }) => id)).toEqual(['a', 'b', 'c']);
    expect(stopBetween(b, a)).toBe(0);
  });
});

describe('the trips beside one', () => {
  it('are the last before it and the first after it, whatever the order', () => {
    expect(besideOf([c, b, a], b)).toEqual({ before: a, after: c });
    expect(besideOf([a, c, b, trip('0', '06:00', '07:00')], b)).toEqual({ before: a, after: c });
    expect(besideOf([b], b)).toEqual({ before: null, after: null });
  });
  it('may begin or end at the moment it does, as after a split', () => expect(besideOf([trip('x', '08:30', '09:00'), b], a).after?.id).toBe('x'));
  it('are none that were withdrawn', () => expect(besideOf([{ ...c, status: 'withdrawn' }, b], b).after).toBeNull());
  it('one that was withdrawn has its time in the trip that shares most of it', () => {
    const gone = trip('gone', '09:00', '09:20', { status: 'withdrawn' });
    const whole = trip('a', '08:00', '09:20');
    expect(coveringOf([gone, trip('z', '09:15', '09:40'), whole], gone)?.id).toBe('a');
    expect(coveringOf([gone, trip('z', '09:20', '09:40')], gone)).toBeNull();
  });
});

describe('the moment of a split', () => {
  const ms = (time: string): number => Date.parse(at(time));
  it('is strictly inside the trip', () => {
    expect(splitFault(ms('08:10'), a)).toBe('');
    for (const time of ['08:00', '08:30', '07:00', '12:00']) expect(splitFault(ms(time), a)).toBe('Not inside the trip: it went 1 Jan 2026, 08:00:00 to 1 Jan 2026, 08:30:00.');
  });
  it('is asked for where there is none, as far as there is anything to click', () => {
    expect(splitFault(null, a)).toContain('Click where');
    expect(splitFault(Number.NaN, a)).toContain('Click where');
    expect(splitFault(null, { ...a, purpose: 'private' })).toBe('Give the time.');
  });
  it('is to the second in a field', () => {
    expect(localOf('2026-07-01T08:00:07.250Z', 'Europe/Copenhagen', 'second')).toBe('2026-07-01T10:00:07');
    expect(localOf('2026-07-01T08:00:07Z', 'Europe/Copenhagen')).toBe('2026-07-01T10:00');
  });
});

describe('a correction in words', () => {
  const of = (kind: TripCorrection['kind'], more: Partial<TripCorrection> = {}) => ({ kind, from: at('08:00'), to: at('09:20'), purpose: null, ...more });
  it('tells what was done and to when', () => {
    expect(correctionText(of('merge'))).toEqual({ what: 'Merged', when: '1 Jan 2026, 08:00 – 09:20' });
    expect(correctionText(of('split', { to: at('08:00') }))).toEqual({ what: 'Split', when: 'at 1 Jan 2026, 08:00:00' });
    expect(correctionText(of('mark', { purpose: 'private' })).what).toBe('Marked as private');
    expect(correctionText(of('mark')).what).toBe('Marked as neither');
  });
  it('of a mark that a later one goes over changes nothing when it is taken back', () => {
    const mark = (made_at: string, more: Partial<TripCorrection> = {}): TripCorrection => ({ ...of('mark'), id: made_at, vehicle_id: 'v', status: 'active', made_at, made_by: 'Ada', version: 1, ...more });
    const [old, late] = [mark(at('10:00')), mark(at('11:00'))];
    expect(isBelowAnother(old, [late, old])).toBe(true);
    expect(isBelowAnother(late, [late, old])).toBe(false);
    expect(isBelowAnother(old, [{ ...late, status: 'revoked' }, old])).toBe(false);
    expect(isBelowAnother({ ...old, kind: 'merge' }, [late])).toBe(false);
  });
  it('tells what taking it back does', () => expect(new Set((['merge', 'split', 'mark'] as const).map((kind) => takeBackText({ kind }))).size).toBe(3));
});

describe('revisions by corrections', () => {
  it('tell purpose and count in words', () => {
    expect(changes(a, { ...a, revision: 2, purpose: 'business', merged_count: 3 })).toEqual([
      { field: 'Purpose', before: '–', after: 'Business' },
      { field: 'Made of', before: '1 trip', after: '3 trips' },
    ]);
    expect(changes(a, { ...a, end_reason: 'split' })).toEqual([{ field: 'End reason', before: '–', after: 'Split' }]);
  });
  it('do not tell where a private trip was', () => {
    const placed = { ...a, start_latitude: 56.1, end_longitude: 10.2 };
    const marked = { ...a, start_latitude: null, end_longitude: null, purpose: 'private' as const };
    expect(isPrivate(marked)).toBe(true);
    for (const [before, after] of [[placed, marked], [marked, placed]] as [Trip, Trip][]) expect(changes(before, after).map(({ field }) => field)).toEqual(['Purpose']);
  });
});

describe('what is worked out', () => {
  afterEach(() => void vi.useRealTimers());
  it('is there once its revision is above the one seen; a look that fails is no end', async () => {
    vi.useFakeTimers();
    const rederived = new Rederived();
    const looks = [() => Promise.resolve(a), () => Promise.reject(new Error('away')), () => Promise.resolve({ ...a, revision: 2 })];
    const read = vi.fn(() => looks.shift()?.() ?? Promise.reject(new Error('no more')));
    const waited = rederived.wait(read, 1);
    expect(rederived.state).toBe('working');
    await vi.advanceTimersByTimeAsync(5_000);
    expect((await waited)?.revision).toBe(2);
    expect(read).toHaveBeenCalledTimes(3);
    expect(rederived.state).toBe('');
  });
  it('is late after half a minute, and asks no more', async () => {
    vi.useFakeTimers();
    const rederived = new Rederived();
    const read = vi.fn(() => Promise.resolve(a));
    const waited = rederived.wait(read, 1);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(await waited).toBeNull();
    expect(rederived.state).toBe('late');
    expect(read.mock.calls.length).toBeLessThanOrEqual(30);
  });
  it('is waited for no more when the page is left', async () => {
    vi.useFakeTimers();
    const rederived = new Rederived();
    const read = vi.fn(() => Promise.resolve({ ...a, revision: 2 }));
    const waited = rederived.wait(read, 1);
    rederived.stop();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await waited).toBeNull();
    expect(read).not.toHaveBeenCalled();
    expect(rederived.state).toBe('');
  });
});
