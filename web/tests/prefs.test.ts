import { afterEach, describe, expect, it } from 'vitest';
import * as format from '../src/lib/format';
import { isZone, prefs, readPrefs } from '../src/lib/prefs.svelte';
import { quantityOf, unit } from '../src/lib/units';

afterEach(() => prefs.set({ units: 'metric', zone: '' }));

describe('preferences', () => {
  it('take what they know and leave the rest', () => {
    expect(readPrefs('{"theme":"dark","units":"imperial","zone":"Europe/Copenhagen"}')).toEqual({ theme: 'dark', units: 'imperial', zone: 'Europe/Copenhagen' });
    for (const text of [null, '', 'nonsense', '[]', 'null', '{"theme":"pink","units":3,"zone":"Mars/Olympus"}']) expect(readPrefs(text)).toEqual({});
    expect(isZone('Mars/Olympus')).toBe(false);
  });
  it('imperial units reach every number with one', () => {
    prefs.set({ units: 'imperial' });
    expect(format.speed(100)).toBe('62 mph');
    expect(format.distance(100)).toBe('328 ft');
    expect(format.distance(16_093)).toBe('10.0 mi');
    expect(format.kilometres(160.9344)).toBe('100.0 mi');
    expect(format.consumption(3.785411784, 2)).toBe('1.00 gal + 2.00 kWh');
    expect(format.quantity(90, 'celsius')).toBe('194 °F');
    expect(format.quantity(10, 'l_100km', 1)).toBe('23.5 mpg');
    expect(format.quantity(0, 'l_100km', 1)).toBe('–');
    expect(format.rpm(2000)).toBe('2,000 rpm');
  });
  it('the zone reaches every time that names none', () => {
    prefs.set({ zone: 'Asia/Tokyo' });
    expect(format.minute('2024-03-30T18:00:05Z')).toBe('31 Mar 2024, 03:00');
    expect(format.minute('2024-03-30T18:00:05Z', 'UTC')).toBe('30 Mar 2024, 18:00');
    prefs.set({ zone: 'Mars/Olympus' });
    expect(prefs.zone).toBe('Asia/Tokyo');
  });
});

describe('units', () => {
  it('stand in the name of a column', () => {
    expect(quantityOf('speed_max_kmh')).toBe('kmh');
    expect(quantityOf('fuel_l_per_100km')).toBe('l_100km');
    expect(quantityOf('coolant_temperature_c')).toBe('celsius');
    expect(quantityOf('odometer_km')).toBe('km');
    expect(quantityOf('vehicle_id')).toBeNull();
    expect(unit('km').label).toBe('km');
  });
});
