import { describe, expect, it } from 'vitest';
import { bounds, graticule, graticuleStep, haversine, thin, trackSegments, unwrapLine, unwrapRing } from '../src/lib/geometry';

const at = (seconds: number, latitude: number, longitude: number, speed_kmh: number | null = null) => ({
  ts: new Date(seconds * 1000).toISOString(),
  latitude,
  longitude,
  speed_kmh,
});

describe('bounds', () => {
  it('leaves out what has no position', () => {
    expect(bounds([{ latitude: 1, longitude: 2 }, { latitude: null, longitude: null }, { latitude: -3, longitude: 5 }])).toEqual([2, -3, 5, 1]);
    expect(bounds([])).toBeNull();
    expect(bounds([{ latitude: 1, longitude: null }])).toBeNull();
  });
});

describe('haversine', () => {
  it('a degree of the equator is 111.2 km', () => {
    expect(haversine(at(0, 0, 0), at(0, 0, 1))).toBeCloseTo(111_195, -1);
  });
});

describe('track segments', () => {
  it('has one step less than points, coloured by the speed at its end', () => {
    const { features } = trackSegments([at(0, 45, 13, 10), at(1, 45.0001, 13, 20), at(2, 45.0002, 13, 30)]);
    expect(features.map(({ properties }) => properties.speed)).toEqual([20, 30]);
    expect(features.every(({ properties }) => !properties.gap)).toBe(true);
  });
  it('a hole in time is a gap, so no road is invented', () => {
    const { features } = trackSegments([at(0, 45, 13, 50), at(121, 45.01, 13, 50)]);
    expect(features[0]?.properties.gap).toBe(true);
  });
  it('an implausible jump is a gap', () => {
    const { features } = trackSegments([at(0, 45, 13, 50), at(1, 46, 13, 50)]);
    expect(features[0]?.properties.gap).toBe(true);
  });
  it('without a speed, distance over time colours the step', () => {
    const { features } = trackSegments([at(0, 0, 0), at(10, 0, 0.001)]);
    expect(features[0]?.properties.speed).toBeCloseTo(40, 0);
  });
  it('one point or none makes no step', () => {
    expect(trackSegments([]).features).toEqual([]);
    expect(trackSegments([at(0, 1, 1)]).features).toEqual([]);
  });
});

describe('graticule', () => {
  it('gives at least four lines a view at every zoom', () => {
    for (const span of [360, 90, 30, 7, 1, 0.3, 0.05, 0.006]) expect(span / graticuleStep(span)).toBeGreaterThanOrEqual(4);
  });
  it('labels name hemisphere and stay inside the view', () => {
    const { labels } = graticule([-5, -5, 5, 5]);
    const texts = labels.features.map(({ properties }) => properties.text);
    expect(texts).toContain('2°W');
    expect(texts).toContain('4°N');
    expect(texts).toContain('0°');
    for (const { geometry } of labels.features) expect(Math.abs(geometry.coordinates[0] ?? 99)).toBeLessThanOrEqual(5);
  });
  it('wraps the longitudes of a view across the date line', () => {
    const texts = graticule([170, -5, 190, 5]).labels.features.map(({ properties }) => properties.text);
    expect(texts).toContain('175°W');
  });
});

describe('thin', () => {
  it('keeps the first and the last value and at most so many', () => {
    const values = Array.from({ length: 1000 }, (_, index) => index);
    const kept = thin(values, 10);
    expect(kept).toHaveLength(10);
    expect(kept[0]).toBe(0);
    expect(kept.at(-1)).toBe(999);
    expect(thin([1, 2], 10)).toEqual([1, 2]);
  });
});

describe('the date line', () => {
  it('a line across it goes on instead of jumping back', () => {
    expect(unwrapLine([[179, 1], [-179, 2], [-178, 3], [179, 4]])).toEqual([[179, 1], [181, 2], [182, 3], [179, 4]]);
    expect(unwrapLine([[-179, 1], [179, 2]])).toEqual([[-179, 1], [-181, 2]]);
  });
  it('a ring around a pole is closed along the pole', () => {
    const ring = unwrapRing([[0, -70], [120, -70], [-120, -70], [0, -70]]);
    expect(ring).toEqual([[0, -70], [120, -70], [240, -70], [360, -70], [360, -90], [0, -90], [0, -70]]);
  });
  it('an ordinary ring stays as it is', () => {
    const ring = [[0, 0], [1, 0], [1, 1], [0, 0]];
    expect(unwrapRing(ring)).toEqual(ring);
  });
});
