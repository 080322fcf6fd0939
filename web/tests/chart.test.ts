import { describe, expect, it } from 'vitest';
import { everyDay, nearest, niceTicks, offsetOf, path, stacked, sumKnown, thinned, timeTicks } from '../src/lib/chart';

describe('ticks', () => {
  it('are round and cover the range', () => {
    expect(niceTicks(0, 137, 4)).toEqual([0, 50, 100, 150]);
    expect(niceTicks(0, 1, 4)).toEqual([0, 0.25, 0.5, 0.75, 1]);
    expect(niceTicks(5, 5)[0]).toBeLessThan(5);
    expect(niceTicks(Infinity, -Infinity)).toEqual([0, 1]);
  });
  it('of time fall on whole hours of the zone', () => {
    const from = Date.parse('2026-01-01T00:20:00Z');
    const offset = offsetOf(from, 'Asia/Kolkata');
    expect(offset).toBe(5.5 * 3_600_000);
    const { ticks, stepMs } = timeTicks(from, from + 4 * 3_600_000, 5, offset);
    expect(stepMs).toBe(3_600_000);
    expect(new Date(ticks[0] ?? 0).toISOString()).toBe('2026-01-01T00:30:00.000Z');
  });
});

describe('lines', () => {
  const points = Array.from({ length: 1000 }, (_, x) => ({ x, y: x === 537 ? 99 : Math.sin(x) }));
  it('keep their peaks when thinned', () => {
    const kept = thinned(points, 50);
    expect(kept.length).toBeLessThanOrEqual(100);
    expect(kept.some(({ y }) => y === 99)).toBe(true);
    expect(kept.every((point, index) => index === 0 || point.x >= (kept[index - 1]?.x ?? 0))).toBe(true);
  });
  it('lift the pen where nothing is known', () => {
    expect(path([{ x: 0, y: 1 }, { x: 1, y: null }, { x: 2, y: 3 }, { x: 3, y: 3 }], (x) => x, (y) => y)).toBe('M0.0 1.0M2.0 3.0L3.0 3.0');
  });
  it('find their nearest point', () => {
    expect(nearest(points, 500.4)).toBe(500);
    expect(nearest(points, 500.6)).toBe(501);
    expect(nearest(points, -5)).toBe(0);
    expect(nearest(points, 5000)).toBe(999);
    expect(nearest([], 1)).toBe(-1);
  });
});

describe('bars', () => {
  it('stack what is known, below zero downwards', () => {
    expect(stacked([2, null, -1, 0, 3, NaN])).toEqual([{ part: 0, low: 0, high: 2 }, { part: 2, low: -1, high: 0 }, { part: 4, low: 2, high: 5 }]);
    expect(sumKnown([null, 2, -3])).toBe(-1);
    expect(sumKnown([null, NaN])).toBeNull();
  });
  it('have a place for each day, and no value for a day that had none', () => {
    const day = (label: string, values: (number | null)[]) => ({ label, values });
    const all = everyDay([day('2026-02-27', [1]), day('2026-03-02', [2])], (label) => day(label, [null]));
    expect(all.map(({ label, values }) => [label, values[0]])).toEqual([['2026-02-27', 1], ['2026-02-28', null], ['2026-03-01', null], ['2026-03-02', 2]]);
    expect(everyDay([day('', [1])], (label) => day(label, [null]))).toHaveLength(1);
    expect(everyDay([], (label: string) => day(label, []))).toEqual([]);
  });
});
