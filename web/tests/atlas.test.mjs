import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { feature, mesh } from 'topojson-client';
import { describe, expect, it } from 'vitest';
import { holds, widened, within } from '../src/lib/atlas.ts';

const read = (detail) => JSON.parse(readFileSync(createRequire(import.meta.url).resolve(`world-atlas/countries-${detail}.json`), 'utf8'));
const world = read('50m');
const small = read('110m');
/** Points of the arcs that are used. */
const points = ({ objects, arcs }) => [...new Set(JSON.stringify(objects.countries.geometries.map((item) => ('arcs' in item ? item.arcs : []))).match(/-?\d+/g)?.map(Number).map((at) => (at < 0 ? ~at : at)))].reduce((sum, at) => sum + (arcs[at]?.length ?? 0), 0);
const names = (topology) => topology.objects.countries.geometries.map(({ properties }) => properties?.name ?? '');
const DENMARK = [8, 54.5, 13, 57.8];

/** Parts of lines within a box, as text. */
function inBox(topology, box, which) {
  const lines = mesh(topology, topology.objects.countries, (a, b) => (which === 'borders' ? a !== b : a === b)).coordinates;
  const isIn = ([x = 0, y = 0]) => x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3];
  return lines.flatMap((line) => line.filter(isIn).map((place) => place.join())).sort();
}

describe('the atlas around a view', () => {
  it('has what is in the view, to the point, and little else', () => {
    const near = within(world, DENMARK);
    expect(names(near)).toEqual(expect.arrayContaining(['Denmark', 'Germany', 'Sweden']));
    expect(names(near)).not.toContain('Australia');
    const box = [0, 45, 20, 60];
    for (const which of ['borders', 'coast']) {
      const [whole, part] = [inBox(small, box, which), inBox(within(small, box), box, which)];
      expect(whole.length).toBeGreaterThan(0);
      expect([...new Set(part)]).toEqual([...new Set(whole)]);
    }
    expect(points(near)).toBeLessThan(points(world) / 10);
  });
  it('keeps the largest part of a country, which has its name', () => {
    const corsica = within(world, [8.5, 41.3, 9.6, 43.1]);
    const france = corsica.objects.countries.geometries.find(({ properties }) => properties?.name === 'France');
    const { geometry } = feature(corsica, france);
    expect(geometry.coordinates).toHaveLength(2);
    expect(geometry.coordinates.some(([ring]) => ring?.some(([x = 0, y = 0]) => x > 2 && x < 3 && y > 50))).toBe(true);
  });
  it('goes round the world', () => {
    const names180 = (view) => names(within(world, view));
    expect(names180([176, -20, 182, -14])).toContain('Fiji');
    expect(names180([536, -20, 542, -14])).toContain('Fiji');
    expect(names180([-184, -20, -178, -14])).toContain('Fiji');
    expect(names180([-30, 30, -25, 35])).toEqual([]);
  });
  it('is asked for anew when the view leaves what is around it', () => {
    const around = widened([10, 50, 14, 52]);
    expect(around).toEqual([8, 48, 16, 54]);
    expect(holds(around, [9, 49, 13, 51])).toBe(true);
    expect(holds(around, [7, 49, 11, 51])).toBe(false);
    expect(holds([-Infinity, -90, Infinity, 90], [-200, -85, 300, 85])).toBe(true);
  });
});
