// Land, coast, borders and names out of an atlas of the world's countries, for the map: read and cut in a worker
// (atlas.worker.ts), as the finest is megabytes.

import type { FeatureCollection, Geometry, MultiLineString } from 'geojson';
import { feature, mesh } from 'topojson-client';
import { type Countries, within } from '../lib/atlas';
import { type Bounds, unwrapLine, unwrapRing } from '../lib/geometry';

export interface Atlas {
  land: FeatureCollection;
  coast: FeatureCollection;
  borders: FeatureCollection;
  names: FeatureCollection;
}

const atlases = new Map<string, Promise<Countries>>();

function atlas(url: string): Promise<Countries> {
  const known = atlases.get(url);
  if (known) return known;
  const loading = fetch(url).then((response) => {
    if (!response.ok) throw new Error(`basemap ${url} answered ${response.status}`);
    return response.json() as Promise<Countries>;
  });
  atlases.set(url, loading);
  loading.catch(() => atlases.delete(url));
  return loading;
}

/** What the map shows of an atlas. */
function read(topology: Countries): Atlas {
  const { countries } = topology.objects;
  const borders = mesh(topology, countries, (a, b) => a !== b);
  const coast = mesh(topology, countries, (a, b) => a === b);
  // Land is the sum of its countries, each cut where it crosses the date line.
  const land = feature(topology, countries);
  const names = land.features.flatMap(({ properties, geometry }) => {
    const rings = geometry.type === 'Polygon' ? [geometry.coordinates] : geometry.type === 'MultiPolygon' ? geometry.coordinates : [];
    const largest = rings.map((polygon) => ringCentre(unwrapRing(polygon[0] ?? []))).sort((a, b) => b.area - a.area)[0];
    if (!largest || !properties) return [];
    return [{
      type: 'Feature' as const,
      properties: { name: properties.name, area: largest.area },
      geometry: { type: 'Point' as const, coordinates: largest.centre },
    }];
  });
  return {
    land: { type: 'FeatureCollection', features: land.features.map((item) => ({ ...item, geometry: unwrapped(item.geometry) })) },
    coast: lines(coast),
    borders: lines(borders),
    names: { type: 'FeatureCollection', features: names },
  };
}

function unwrapped(geometry: Geometry): Geometry {
  if (geometry.type === 'Polygon') return { ...geometry, coordinates: geometry.coordinates.map(unwrapRing) };
  if (geometry.type === 'MultiPolygon') return { ...geometry, coordinates: geometry.coordinates.map((polygon) => polygon.map(unwrapRing)) };
  return geometry;
}

const lines = (geometry: MultiLineString): FeatureCollection => ({
  type: 'FeatureCollection',
  features: [{ type: 'Feature', properties: {}, geometry: { ...geometry, coordinates: geometry.coordinates.map(unwrapLine) } }],
});

function ringCentre(ring: number[][]): { centre: [number, number]; area: number } {
  let area = 0;
  let x = 0;
  let y = 0;
  for (let index = 0; index + 1 < ring.length; index += 1) {
    const [x0 = 0, y0 = 0] = ring[index] ?? [];
    const [x1 = 0, y1 = 0] = ring[index + 1] ?? [];
    const cross = x0 * y1 - x1 * y0;
    area += cross;
    x += (x0 + x1) * cross;
    y += (y0 + y1) * cross;
  }
  return { centre: area ? [x / (3 * area), y / (3 * area)] : [0, 0], area: Math.abs(area / 2) };
}

/** What the map shows of an atlas: all of it, or what is in a view. */
export async function atlasIn(url: string, view: Bounds | null): Promise<Atlas> {
  const whole = await atlas(url);
  return read(view ? within(whole, view) : whole);
}
