// Of the countries of the world, those in a box: the whole of them in fine detail is half a million points, and a
// map that is close shows a few thousand.

import type { GeometryCollection, MultiPolygon, Topology } from 'topojson-specification';
import type { Bounds } from './geometry';

export type Countries = Topology<{ countries: GeometryCollection<{ name: string }> }>;

type Country = Countries['objects']['countries']['geometries'][number];
type Rings = number[][];

const boxes = new WeakMap<Countries, Bounds[]>();

/** The box of each arc, found once. */
function boxesOf(topology: Countries): Bounds[] {
  const known = boxes.get(topology);
  if (known) return known;
  const { scale: [kx, ky], translate: [dx, dy] } = topology.transform ?? { scale: [1, 1], translate: [0, 0] };
  const isDelta = topology.transform !== undefined;
  const made = topology.arcs.map((arc): Bounds => {
    let [x, y] = [0, 0];
    let [west, south, east, north] = [Infinity, Infinity, -Infinity, -Infinity];
    for (const [px = 0, py = 0] of arc) {
      [x, y] = isDelta ? [x + px, y + py] : [px, py];
      west = Math.min(west, x);
      east = Math.max(east, x);
      south = Math.min(south, y);
      north = Math.max(north, y);
    }
    return [west * kx + dx, south * ky + dy, east * kx + dx, north * ky + dy];
  });
  boxes.set(topology, made);
  return made;
}

/** The box of a polygon: that of its outer ring. */
function boxOf([outer = []]: Rings, arcs: readonly Bounds[]): Bounds {
  return outer.reduce<Bounds>(
    (box, index) => {
      const arc = arcs[index < 0 ? ~index : index];
      return arc ? [Math.min(box[0], arc[0]), Math.min(box[1], arc[1]), Math.max(box[2], arc[2]), Math.max(box[3], arc[3])] : box;
    },
    [Infinity, Infinity, -Infinity, -Infinity],
  );
}

/** Whether two boxes meet, on a map that goes round the world. */
function meet(land: Bounds, view: Bounds): boolean {
  if (land[3] < view[1] || land[1] > view[3]) return false;
  return [-360, 0, 360].some((turn) => land[2] + turn >= view[0] && land[0] + turn <= view[2]);
}

const area = ([west, south, east, north]: Bounds): number => (east - west) * (north - south);

/** The polygons that meet the box, each whole; with them the largest of their country, which has its name. */
export function within(topology: Countries, view: Bounds): Countries {
  const arcs = boxesOf(topology);
  const geometries = topology.objects.countries.geometries.flatMap((country): Country[] => {
    if (country.type === 'Polygon') return meet(boxOf(country.arcs, arcs), view) ? [country] : [];
    if (country.type !== 'MultiPolygon') return [];
    const all = country.arcs.map((rings) => ({ rings, box: boxOf(rings, arcs) }));
    const largest = all.reduce((most, item) => (area(item.box) > area(most.box) ? item : most), all[0] ?? { rings: [], box: [0, 0, 0, 0] });
    const near = all.filter(({ box }) => meet(box, view));
    if (near.length === 0) return [];
    const kept = near.includes(largest) ? near : [largest, ...near];
    return [{ ...country, arcs: kept.map(({ rings }) => rings) } as MultiPolygon<{ name: string }>];
  });
  return { ...topology, objects: { countries: { ...topology.objects.countries, geometries } } };
}

/** A view with half as much again on each side, and some degrees at least: what is moved a little needs nothing new. */
export function widened([west, south, east, north]: Bounds, leastDeg = 2): Bounds {
  const [x, y] = [Math.max((east - west) / 2, leastDeg), Math.max((north - south) / 2, leastDeg)];
  return [west - x, south - y, east + x, north + y];
}

export const holds = (outer: Bounds, inner: Bounds): boolean => outer[0] <= inner[0] && outer[1] <= inner[1] && outer[2] >= inner[2] && outer[3] >= inner[3];
