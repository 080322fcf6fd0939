import { describe, expect, it } from 'vitest';
import type { Geofence, Geometry, Kind } from '../src/lib/geofences';
import { atOf, placeOf, startsOf } from '../src/lib/starts';

describe('where a booking is from', () => {
  it('is typed as latitude and longitude, and nothing else is a place', () => {
    for (const text of ['56.15,10.2', ' 56.15, 10.2 ', '56.15 10.2', '+56.15;10.2']) expect(placeOf(text)).toEqual({ latitude: 56.15, longitude: 10.2 });
    expect(placeOf('-0.5,-179.9')).toEqual({ latitude: -0.5, longitude: -179.9 });
    for (const text of ['', '56.15', '91,0', '0,181', '56,15,10,2', 'Aarhus', '1e9,0', '56.15,10.2,3']) expect(placeOf(text)).toBeNull();
  });
  it('is in an address to the metre, and read from it as it was', () => {
    expect(atOf({ latitude: 56.150000049, longitude: -10.2 })).toBe('56.15,-10.2');
    expect(placeOf(atOf({ latitude: 1e-7, longitude: 12.345678 }))).toEqual({ latitude: 0, longitude: 12.34568 });
  });
  it('is a place that vehicles are fetched at, in the middle of it, by name', () => {
    const fence = (name: string, kind: Kind, geometry: Geometry) => ({ id: name, name, kind, geometry }) as Geofence;
    const square: Geometry = { type: 'Polygon', coordinates: [[[10, 56], [10.2, 56], [10.2, 56.4], [10, 56.4], [10, 56]]] };
    const two: Geometry = { type: 'MultiPolygon', coordinates: [[[[0, 0], [1, 0], [1, 1], [0, 0]]], [[[2, 2], [3, 2], [3, 3], [2, 2]]]] };
    const circle: Geometry = { type: 'Circle', centre: [10, 56], radius_m: 50 };
    expect(startsOf([fence('Yard 10', 'depot', square), fence('Yard 9', 'parking', circle), fence('Both', 'charging', two), fence('Keep out', 'restricted', circle)])).toEqual([
      { id: 'Both', name: 'Both', at: '1.5,1.5' },
      { id: 'Yard 9', name: 'Yard 9', at: '56,10' },
      { id: 'Yard 10', name: 'Yard 10', at: '56.2,10.1' },
    ]);
  });
});
