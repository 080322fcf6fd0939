import { afterEach, describe, expect, it, vi } from 'vitest';
import { ApiError } from '../src/lib/api';
import { boundsOf, circleIn, circleRing, crosses, geoJsonIn, namePlace, numberIn, placed, pointsOf, polygonFault, polygonsOf, position, radiusTo, ringOf } from '../src/lib/drawing';
import { wrongAt, wrongElsewhere, wrongWhole } from '../src/lib/fields';
import { changesOf, geofences, matching, tagsIn, type Geofence, type Position } from '../src/lib/geofences';
import { Geofences, Occupancy, worthAsking } from '../src/lib/geofences.svelte';
import { haversine } from '../src/lib/geometry';
import { Sketch } from '../src/lib/sketch.svelte';

const SQUARE: Position[] = [[12, 55], [13, 55], [13, 56], [12, 56]];
const geofence = (id: string, over: Partial<Geofence> = {}): Geofence => ({
  id, organization_id: null, name: 'Depot North', kind: 'depot', colour: '#2563eb', tags: ['night'], version: 3, created_at: '2026-11-28T12:00:00Z',
  geometry: { type: 'Circle', centre: [12.5, 55.6], radius_m: 250 }, ...over,
});

describe('points', () => {
  it('are kept to a centimetre and within the world, also on a map that goes around it twice', () => {
    expect(position(12.123456789, 55.987654321)).toEqual([12.1234568, 55.9876543]);
    expect(position(190, 91)).toEqual([-170, 90]);
    expect(position(-540.5, 0)).toEqual([179.5, 0]);
    expect(position(180, 0)).toEqual([180, 0]);
  });
  it('at the same place one after the other are one', () => {
    expect(placed([[1, 2]], [1, 2])).toEqual([[1, 2]]);
    expect(placed([[1, 2]], [1, 3])).toEqual([[1, 2], [1, 3]]);
  });
  it('make a ring that ends where it begins, and are read from one', () => {
    expect(ringOf(SQUARE)).toHaveLength(5);
    expect(pointsOf(ringOf(SQUARE))).toEqual(SQUARE);
    expect(pointsOf(SQUARE)).toEqual(SQUARE);
    expect(ringOf([])).toEqual([]);
  });
});

describe('a polygon', () => {
  it('that encloses a place has no fault, whichever way around', () => {
    expect(polygonFault(SQUARE)).toBe('');
    expect(polygonFault([...SQUARE].reverse())).toBe('');
    // Hollow on one side.
    expect(polygonFault([[0, 0], [4, 0], [4, 4], [2, 1], [0, 4]])).toBe('');
  });
  it('that makes no sense is told why', () => {
    expect(polygonFault([[0, 0], [1, 1]])).toContain('three points');
    expect(polygonFault([[0, 0], [1, 1], [0, 0]])).toContain('three points');
    expect(polygonFault([[0, 0], [1, 0], [1, 1], [1, 0]])).toContain('same point twice');
    expect(polygonFault([[0, 0], [1, 1], [1, 0], [0, 1]])).toContain('cross itself');
    expect(polygonFault([[179, 0], [-179, 0], [-179, 1]])).toContain('180th meridian');
    expect(polygonFault(Array.from({ length: 1_000 }, (_, index): Position => [index / 1_000, (index * index) / 1e6]))).toContain('at most 999');
  });
  it('on one line, or with a border that runs back on itself, is none', () => {
    expect(polygonFault([[0, 0], [1, 1], [2, 2]])).not.toBe('');
    expect(crosses([[0, 0], [4, 0], [2, 0], [2, 3]])).toBe(true);
    expect(crosses([[0, 0], [4, 0], [4, 4], [0, 4], [0, -1]])).toBe(true);
    // A corner on another side.
    expect(crosses([[0, 0], [4, 0], [4, 4], [2, 0], [0, 4]])).toBe(true);
  });
});

describe('a circle', () => {
  it('is drawn as far from its centre as its radius, everywhere', () => {
    for (const centre of [[12.5, 55.6], [0, 0], [-71, -33]] as Position[]) {
      for (const [longitude, latitude] of circleRing(centre, 5_000)) expect(haversine({ longitude: centre[0], latitude: centre[1] }, { longitude, latitude })).toBeCloseTo(5_000, 0);
    }
  });
  it('across the 180th meridian goes on beyond it, in one piece', () => {
    const ring = circleRing([179.99, 10], 10_000);
    expect(Math.max(...ring.map(([longitude]) => longitude))).toBeGreaterThan(180);
    for (const [index, [longitude]] of ring.entries()) expect(Math.abs(longitude - (ring[index + 1]?.[0] ?? longitude))).toBeLessThan(1);
    expect(ring[0]).toEqual(ring.at(-1));
  });
  it('has whole metres of radius, at least one', () => {
    expect(radiusTo([0, 0], [0, 0.001])).toBe(111);
    expect(radiusTo([0, 0], [0, 0])).toBe(1);
    expect(radiusTo([0, 0], [90, 0])).toBe(1_000_000);
  });
  it('is read from its fields, each with its own fault', () => {
    expect(circleIn({ latitude: '55.6', longitude: ' -12,5 ', radius: '250' })).toEqual({ geometry: { type: 'Circle', centre: [-12.5, 55.6], radius_m: 250 } });
    const wrong = circleIn({ latitude: '91', longitude: '', radius: '0.5' });
    expect('faults' in wrong && Object.keys(wrong.faults)).toEqual(['latitude', 'longitude', 'radius']);
    for (const text of ['', '1e3', '12.5N', '1.2.3', '-']) expect(numberIn(text)).toBeNull();
    expect(numberIn('\u221212.5')).toBe(-12.5);
  });
});

describe('a geometry on the map', () => {
  it('has a box and a place for its name', () => {
    const polygon = { type: 'Polygon', coordinates: [ringOf(SQUARE)] } as const;
    expect(boundsOf({ ...polygon, coordinates: [ringOf(SQUARE)] })).toEqual([12, 55, 13, 56]);
    expect(namePlace({ ...polygon, coordinates: [ringOf(SQUARE)] })).toEqual([12.5, 55.5]);
    const small: Position[] = [[0, 0], [0.1, 0], [0.1, 0.1]];
    expect(namePlace({ type: 'MultiPolygon', coordinates: [[ringOf(small)], [ringOf(SQUARE)]] })).toEqual([12.5, 55.5]);
    expect(namePlace(geofence('a').geometry)).toEqual([12.5, 55.6]);
    expect(polygonsOf(geofence('a').geometry)[0]?.[0]?.length).toBeGreaterThan(60);
  });
});

describe('pasted GeoJSON', () => {
  const polygon = { type: 'Polygon', coordinates: [ringOf(SQUARE)] };
  it('is a geometry, a feature, or a collection of one', () => {
    for (const value of [polygon, { type: 'Feature', properties: {}, geometry: polygon }, { type: 'FeatureCollection', features: [{ type: 'Feature', geometry: polygon }] }])
      expect(geoJsonIn(JSON.stringify(value))).toEqual({ geometry: polygon });
    expect(geoJsonIn('{"type":"Circle","centre":[1,2],"radius_m":3}')).toEqual({ geometry: { type: 'Circle', centre: [1, 2], radius_m: 3 } });
  });
  it('that is none is told why', () => {
    const fault = (text: string): string => {
      const read = geoJsonIn(text);
      return 'fault' in read ? read.fault : '';
    };
    expect(fault('')).toContain('Paste');
    expect(fault('{"type":')).toContain('not JSON');
    expect(fault('{}')).toContain('no "type"');
    expect(fault('null')).toContain('no "type"');
    expect(fault('{"type":"Point","coordinates":[1,2]}')).toContain('Point is no area');
    expect(fault('{"type":"Polygon","coordinates":[[1,2]]}')).toContain('rings of');
    expect(fault('{"type":"MultiPolygon","coordinates":[]}')).toContain('polygons of');
    expect(fault('{"type":"FeatureCollection","features":[]}')).toContain('0 features');
  });
});

describe('a sketch', () => {
  const closed = (): Sketch => {
    const sketch = new Sketch();
    sketch.tool = 'polygon';
    for (const point of SQUARE) sketch.clicked(point);
    return sketch;
  };
  it('of a polygon is closed by Enter, and is taken back point by point', () => {
    const sketch = closed();
    expect(sketch.read).toEqual({ fault: 'Its border is not closed yet.' });
    expect(sketch.key('Backspace')).toBe(true);
    expect(sketch.points).toHaveLength(3);
    expect(sketch.key('Enter')).toBe(true);
    expect(sketch.shape).toEqual({ type: 'Polygon', coordinates: [ringOf(SQUARE.slice(0, 3))] });
    // What is closed is out of the reach of keys; a click sets no point.
    expect(sketch.key('Backspace')).toBe(false);
    sketch.clicked([0, 0]);
    expect(sketch.points).toHaveLength(3);
    sketch.takeBack();
    expect([sketch.isClosed, sketch.points.length]).toEqual([false, 3]);
  });
  it('of a polygon is given up by Escape, and refuses to close what is none', () => {
    const sketch = new Sketch();
    sketch.tool = 'polygon';
    expect(sketch.key('Escape')).toBe(false);
    sketch.clicked([1, 1]);
    sketch.key('Enter');
    expect([sketch.isClosed, sketch.refused]).toEqual([false, 'A polygon has at least three points.']);
    sketch.pointed([2, 2]);
    expect(sketch.line).toEqual([[1, 1], [2, 2]]);
    expect(sketch.key('Escape')).toBe(true);
    expect([sketch.points, sketch.line, sketch.refused]).toEqual([[], [], '']);
  });
  it('of a circle is its centre, then its edge; numbers do the same', () => {
    const sketch = new Sketch();
    sketch.clicked([12.5, 55.6]);
    expect([sketch.isSizing, sketch.latitude, sketch.longitude]).toEqual([true, '55.6', '12.5']);
    sketch.pointed([12.5, 55.601]);
    expect(sketch.shape).toEqual({ type: 'Circle', centre: [12.5, 55.6], radius_m: 111 });
    sketch.clicked([12.5, 55.602]);
    expect([sketch.isDrawing, sketch.radius]).toEqual([false, '222']);
    sketch.dragged(0, [0.0000001, -7]);
    expect(sketch.read).toEqual({ geometry: { type: 'Circle', centre: [0.0000001, -7], radius_m: 222 } });
    const written = new Sketch();
    [written.latitude, written.longitude, written.radius] = ['55.6', '12.5', '250'];
    expect(written.shape).toEqual({ type: 'Circle', centre: [12.5, 55.6], radius_m: 250 });
  });
  it('of one that is changed begins as it is, and is that again when given up', () => {
    const polygon = geofence('a', { geometry: { type: 'Polygon', coordinates: [ringOf(SQUARE)] }, colour: '#ff0000' });
    const sketch = new Sketch(polygon);
    expect([sketch.tool, sketch.colour, sketch.of, sketch.read]).toEqual(['polygon', '#ff0000', 'a', { geometry: polygon.geometry }]);
    sketch.dragged(1, [13.5, 55]);
    expect(sketch.points[1]).toEqual([13.5, 55]);
    sketch.anew();
    sketch.clicked([1, 1]);
    sketch.key('Escape');
    expect(sketch.read).toEqual({ geometry: polygon.geometry });
    const hollow = geofence('b', { geometry: { type: 'Polygon', coordinates: [ringOf(SQUARE), ringOf([[12.2, 55.2], [12.3, 55.2], [12.3, 55.3]])] } });
    expect(new Sketch(hollow).tool).toBe('geojson');
    expect(new Sketch(hollow).read).toEqual({ geometry: hollow.geometry });
  });
});

describe('geofences', () => {
  it('are found by part of their name or tag, and by kind', () => {
    const items = [geofence('a'), geofence('b', { name: 'Customer', kind: 'customer', tags: [] })];
    expect(matching(items, { text: ' NIGHT', kind: '' }).map(({ id }) => id)).toEqual(['a']);
    expect(matching(items, { text: 'custom', kind: 'depot' })).toEqual([]);
    expect(matching(items, { text: '', kind: 'customer' }).map(({ id }) => id)).toEqual(['b']);
  });
  it('are changed by what is other than it was alone', () => {
    const was = geofence('a');
    expect(changesOf(was, { ...was, tags: tagsIn(' Night, ,night'), name: 'Depot' })).toEqual({ name: 'Depot' });
    expect(changesOf(was, was)).toEqual({});
  });
  it('are put in place of themselves, or at the end, and dropped', () => {
    const store = new Geofences();
    store.put(geofence('a'));
    store.put(geofence('b'));
    store.put(geofence('a', { version: 4 }));
    expect(store.items.map(({ id, version }) => [id, version])).toEqual([['a', 4], ['b', 3]]);
    store.drop('a');
    expect(store.items.map(({ id }) => id)).toEqual(['b']);
  });
});

describe('calls', () => {
  afterEach(() => vi.unstubAllGlobals());
  const answering = (answer: (path: string) => [number, unknown]) => {
    const asked: { path: string; init: RequestInit }[] = [];
    vi.stubGlobal('fetch', (path: string, init: RequestInit) => {
      asked.push({ path, init });
      const [status, body] = answer(path);
      return Promise.resolve(new Response(body === undefined ? null : JSON.stringify(body), { status }));
    });
    return asked;
  };
  it('read every page', async () => {
    const asked = answering((path) => [200, path.includes('cursor') ? { data: [geofence('b')], next_cursor: null } : { data: [geofence('a')], next_cursor: 'c' }]);
    const { items, isCut } = await geofences.all();
    expect([items.map(({ id }) => id), isCut, asked.length]).toEqual([['a', 'b'], false, 2]);
  });
  it('change the version that was read, and tell of another', async () => {
    const asked = answering(() => [412, { type: 'urn:roadlake:problem:stale', title: 'Precondition Failed', detail: 'x' }]);
    await expect(geofences.change(geofence('a'), { name: 'B' })).rejects.toMatchObject({ kind: 'stale' });
    expect([asked[0]?.init.method, (asked[0]?.init.headers as Record<string, string>)['if-match'], asked[0]?.init.body]).toEqual(['PATCH', '"3"', '{"name":"B"}']);
  });
  it('who is inside is asked of those that somebody may be in alone', async () => {
    const far = geofence('far', { geometry: { type: 'Circle', centre: [100, 0], radius_m: 10 } });
    const line = geofence('line', { geometry: { type: 'Circle', centre: [179.9999, 0], radius_m: 100 } });
    const place = (vehicle_id: string, longitude: number | null, latitude: number | null) => ({ vehicle_id, longitude, latitude });
    const places = [place('v', 12.5, 55.6), place('w', -179.9999, 0), place('x', null, null)];
    const items = [geofence('near'), far, line];
    expect(worthAsking(items, places).map(({ id }) => id)).toEqual(['near', 'line']);
    const asked = answering((path) => (path.includes('/line/') ? [404, { title: 'Not Found' }] : [200, { data: [{ vehicle_id: 'v' }], next_cursor: null }]));
    const occupancy = new Occupancy();
    await occupancy.look(items, places);
    expect(asked.map(({ path }) => path)).toEqual(['/v1/geofences/near/vehicles?limit=200', '/v1/geofences/line/vehicles?limit=200']);
    expect([occupancy.count('near'), occupancy.has('near', 'v'), occupancy.count('line'), occupancy.count('far'), occupancy.found.value?.isWhole]).toEqual([1, true, 0, 0, true]);
  });
});

describe('faults', () => {
  const error = new ApiError('Unprocessable', 'x', 422, 'invalid', [
    { field: 'name', message: 'must be 1 to 120 characters' },
    { field: 'geometry.coordinates[0][3]', message: 'has the latitude 91' },
    { field: 'steps', message: 'must be at most 20' },
    { field: 'steps[0].actions', message: 'must be at least one' },
    { field: 'body', message: 'is odd' },
  ]);
  it('are told at their fields, with the place in it', () => {
    expect(wrongAt(error.faults, 'name')).toBe('Must be 1 to 120 characters.');
    expect(wrongAt(error.faults, 'geometry')).toBe('Coordinates[0][3] has the latitude 91.');
    expect(wrongAt(error.faults, 'nam')).toBe('');
    expect(wrongAt(error.faults, 'steps[0].actions')).toBe('Must be at least one.');
    expect(wrongWhole(error.faults, 'steps')).toBe('Must be at most 20.');
  });
  it('of no field are told beside them', () => {
    expect(wrongElsewhere(error, ['name', 'geometry', 'steps'])).toBe('Body is odd.');
    expect(wrongElsewhere(new ApiError('t', 'too many', 409), ['name'])).toBe('Too many.');
    expect(wrongElsewhere(null, [])).toBe('');
  });
});
