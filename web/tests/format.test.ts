import { describe, expect, it } from 'vitest';
import * as format from '../src/lib/format';

describe('units', () => {
  it('distance changes from metres to kilometres at one kilometre', () => {
    expect(format.distance(0)).toBe('0 m');
    expect(format.distance(999)).toBe('999 m');
    expect(format.distance(1000)).toBe('1.0 km');
    expect(format.distance(12_345)).toBe('12.3 km');
    expect(format.distance(1_204_000)).toBe('1,204 km');
  });
  it('duration names its two largest units', () => {
    expect(format.duration(0)).toBe('0 s');
    expect(format.duration(65)).toBe('1 min 05 s');
    expect(format.duration(3840)).toBe('1 h 04 min');
    expect(format.duration(183_600)).toBe('2 d 3 h');
  });
  it('what is unknown is a dash, never a zero', () => {
    for (const make of [format.distance, format.duration, format.speed, format.percent, format.rpm, format.kilometres]) {
      expect(make(null)).toBe('–');
      expect(make(undefined)).toBe('–');
      expect(make(NaN)).toBe('–');
    }
    expect(format.consumption(null, null)).toBe('–');
    expect(format.moment('not a time')).toBe('–');
    expect(format.period('not a time', '')).toBe('– – –');
    expect(format.ago('2024-01-01T00:00:00Z', NaN)).toBe('–');
    expect(format.axis(NaN)).toBe('–');
    expect([format.axis(150_000), format.axis(2e6)]).toEqual(['150k', '2M']);
    expect(format.utcDay('')).toBe('–');
    expect(format.utcDay('2024-12-31', true)).toBe('31 Dec 2024');
  });
  it('a plug-in hybrid shows fuel and energy', () => {
    expect(format.consumption(1.234, null)).toBe('1.23 l');
    expect(format.consumption(1.234, 2)).toBe('1.23 l + 2.00 kWh');
  });
});

describe('money', () => {
  it('has the digits of its currency', () => {
    expect(format.money(47_005, 'EUR')).toBe('€470.05');
    expect(format.money(-120, 'EUR')).toBe('-€1.20');
    expect(format.money(500, 'JPY')).toContain('500');
    expect(format.money(500, 'JPY')).not.toContain('.');
  });
  it('a decimal string keeps every digit a float would lose', () => {
    expect(format.decimalString('12.340000')).toBe('12.34');
    expect(format.decimalString('0.1', 2)).toBe('0.10');
    expect(format.decimalString('12345678901234567890.5')).toBe('12,345,678,901,234,567,890.5');
    expect(format.decimalString('-3')).toBe('-3');
    expect(format.decimalString('1e5')).toBe('1e5');
  });
});

describe('time', () => {
  it('shows the zone asked for, and UTC beside it', () => {
    expect(format.moment('2024-03-30T18:00:05Z', 'Europe/Copenhagen')).toBe('30 Mar 2024, 19:00:05');
    expect(format.utc('2024-03-30T18:00:05Z')).toBe('2024-03-30 18:00:05 UTC');
  });
  it('a half-open month ends on its last day', () => {
    expect(format.period('2024-02-29T23:00:00Z', '2024-03-31T22:00:00Z', 'Europe/Copenhagen')).toBe('1 Mar 2024 – 31 Mar 2024');
  });
  it('ago never counts into the future', () => {
    const now = Date.parse('2024-01-01T00:10:00Z');
    expect(format.ago('2024-01-01T00:10:30Z', now)).toBe('now');
    expect(format.ago('2024-01-01T00:09:18Z', now)).toBe('42 s ago');
    expect(format.ago('2023-12-31T21:00:00Z', now)).toBe('3 h ago');
  });
});

describe('words', () => {
  it('snake case becomes a sentence', () => {
    expect(format.words('ignition_off')).toBe('Ignition off');
    expect(format.words('FLAT')).toBe('Flat');
    expect(format.words(null)).toBe('–');
  });
  it('a short id keeps both ends', () => {
    expect(format.shortId('inv_0198f3c2-7d1a-7c3e-9b11-000000000007')).toBe('inv_0198…0007');
    expect(format.shortId('short')).toBe('short');
  });
});
