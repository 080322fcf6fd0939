import { describe, expect, it } from 'vitest';
import { offers } from '../src/lib/bookings';
import { minutes } from '../src/lib/format';
import { localOf, momentOf, nextQuarter, plusMinutes, span } from '../src/lib/period';
import { componentText } from '../src/lib/tariffs';
import type { FleetItem, Vehicle } from '../src/lib/types';

describe('a period', () => {
  it('is entered in a zone, over a change of its clocks too', () => {
    expect(momentOf('2026-11-28T09:30', 'Europe/Copenhagen')).toBe('2026-11-28T08:30:00.000Z');
    expect(momentOf('2026-03-29T03:30', 'Europe/Copenhagen')).toBe('2026-03-29T01:30:00.000Z');
    expect(momentOf('2026-10-25T04:00', 'Europe/Copenhagen')).toBe('2026-10-25T03:00:00.000Z');
    expect(momentOf('tomorrow', 'UTC')).toBeNull();
  });
  it('is shown as it was entered', () => {
    for (const text of ['2026-11-28T09:30', '2026-07-01T00:00']) expect(localOf(momentOf(text, 'Asia/Tokyo') ?? '', 'Asia/Tokyo')).toBe(text);
    expect(minutes('2026-11-28T08:30:00Z', '2026-11-28T10:00:00Z', 'UTC')).toBe('28 Nov 2026, 08:30 – 10:00');
    expect(minutes('2026-11-28T23:30:00Z', '2026-11-29T01:00:00Z', 'UTC')).toBe('28 Nov 2026, 23:30 – 29 Nov 2026, 01:00');
  });
  it('begins at a quarter and lasts', () => {
    expect(nextQuarter(Date.parse('2026-11-28T08:31:10Z'))).toBe('2026-11-28T08:45:00.000Z');
    expect(nextQuarter(Date.parse('2026-11-28T08:45:00Z'))).toBe('2026-11-28T09:00:00.000Z');
    expect(plusMinutes('2026-11-28T23:30:00.000Z', 60)).toBe('2026-11-29T00:30:00.000Z');
    expect([30, 90, 1440, 4335].map(span)).toEqual(['30 min', '1 h 30 min', '1 d', '3 d 15 min']);
  });
});

describe('a component of a tariff', () => {
  it('has words', () => {
    expect(componentText({ type: 'DISTANCE', price: '0.2900' })).toBe('0.29 a km');
    expect(componentText({ type: 'TIME', tiers: { mode: 'volume', steps: [{ price: '3', up_to: '10' }, { price: '2.5' }] } })).toBe('3.00 / 2.50 an hour, in tiers');
  });
});

describe('free vehicles', () => {
  const car = (vehicle_id: string) => ({ vehicle_id, name: vehicle_id.toUpperCase(), organization_id: null }) as Vehicle;
  const at = (vehicle_id: string, latitude: number | null) => ({ vehicle_id, latitude, longitude: 10 }) as FleetItem;
  it('come with the nearest first, those without a place last', () => {
    const found = offers([car('a'), car('b'), car('c'), car('d')], [at('a', 57), at('b', 56), at('c', null)], { latitude: 55, longitude: 10 });
    expect(found.map(({ vehicle_id }) => vehicle_id)).toEqual(['b', 'a', 'c', 'd']);
    expect(found[0]?.away_m).toBeGreaterThan(111_000);
    expect(found[2]?.away_m).toBeNull();
  });
  it('come by name where nobody said where they are', () => {
    expect(offers([car('v10'), car('v2')], [], null).map(({ name }) => name)).toEqual(['V2', 'V10']);
  });
});
