// The basemap where the server is configured with no other: Natural Earth land and borders from the bundle, and a graticule. No
// network but our own server: a depot without internet sees the same map.

import type { FeatureCollection, Geometry, MultiLineString } from 'geojson';
import type { GeoJSONSource, Map as MapLibre, StyleSpecification } from 'maplibre-gl';
import { feature, mesh } from 'topojson-client';
import coarseUrl from 'world-atlas/countries-110m.json?url';
import middleUrl from 'world-atlas/countries-50m.json?url';
import fineUrl from 'world-atlas/countries-10m.json?url';
import { type Countries, holds, widened, within } from '../lib/atlas';
import { type Bounds, graticule, unwrapLine, unwrapRing } from '../lib/geometry';

const EMPTY: FeatureCollection = { type: 'FeatureCollection', features: [] };
const WORLD: Bounds = [-Infinity, -90, Infinity, 90];
const FONT = ['ui-sans-serif, system-ui, "DejaVu Sans", sans-serif'];

/**
 * Has the texts of our own layers drawn with the browser's fonts, also above a style that has fonts at its server: those know
 * nothing of ours. The library draws with the browser's what it cannot get.
 */
export function ownFonts(url: string, type?: string): { url: string } {
  if (type === 'Glyphs' && FONT.some((stack) => url.includes(stack))) throw new Error('a font of the browser');
  return { url };
}

/** A colour of the design system, as it is now (light or dark). */
export function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export function style(): StyleSpecification {
  const text = { 'text-color': token('map-text'), 'text-halo-color': token('map-halo'), 'text-halo-width': 1.2 };
  return {
    version: 8,
    sources: {
      land: { type: 'geojson', data: EMPTY, attribution: 'Natural Earth' },
      coast: { type: 'geojson', data: EMPTY },
      borders: { type: 'geojson', data: EMPTY },
      names: { type: 'geojson', data: EMPTY },
      grid: { type: 'geojson', data: EMPTY },
      'grid-labels': { type: 'geojson', data: EMPTY },
    },
    layers: [
      { id: 'water', type: 'background', paint: { 'background-color': token('map-water') } },
      { id: 'land', type: 'fill', source: 'land', paint: { 'fill-color': token('map-land') } },
      { id: 'coast', type: 'line', source: 'coast', paint: { 'line-color': token('map-border'), 'line-width': 0.6, 'line-opacity': 0.7 } },
      { id: 'grid', type: 'line', source: 'grid', paint: { 'line-color': token('map-grid'), 'line-width': 0.7 } },
      {
        id: 'borders', type: 'line', source: 'borders',
        paint: { 'line-color': token('map-border'), 'line-width': ['interpolate', ['linear'], ['zoom'], 2, 0.5, 8, 1.4], 'line-dasharray': [3, 2] },
      },
      {
        id: 'names', type: 'symbol', source: 'names', maxzoom: 8,
        layout: {
          'text-field': ['get', 'name'], 'text-font': FONT, 'text-max-width': 7, 'text-letter-spacing': 0.06,
          'text-size': ['interpolate', ['linear'], ['zoom'], 1, 9, 6, 14], 'symbol-sort-key': ['-', 0, ['get', 'area']],
        },
        paint: text,
      },
      {
        id: 'grid-lat', type: 'symbol', source: 'grid-labels', filter: ['==', ['get', 'axis'], 'lat'],
        layout: { 'text-field': ['get', 'text'], 'text-font': FONT, 'text-size': 10, 'text-anchor': 'left', 'text-offset': [0.4, -0.6], 'text-allow-overlap': true },
        paint: { ...text, 'text-opacity': 0.8 },
      },
      {
        id: 'grid-lon', type: 'symbol', source: 'grid-labels', filter: ['==', ['get', 'axis'], 'lon'],
        layout: { 'text-field': ['get', 'text'], 'text-font': FONT, 'text-size': 10, 'text-anchor': 'bottom-left', 'text-offset': [0.4, -0.3], 'text-allow-overlap': true },
        paint: { ...text, 'text-opacity': 0.8 },
      },
    ],
  };
}

interface Atlas {
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

function put(map: MapLibre, id: string, data: FeatureCollection): void {
  map.getSource<GeoJSONSource>(id)?.setData(data);
}

/**
 * Keep land, borders and graticule right for the view: finer data as the reader comes closer, and of the finest what is
 * around the view. `restyled` fills a new style.
 */
export function attachBasemap(map: MapLibre): { restyled: () => void } {
  let shown = '';
  let around: Bounds = WORLD;
  const refresh = async (): Promise<void> => {
    // Another basemap than this.
    if (!map.getSource('land')) return;
    const bounds = map.getBounds();
    const view: Bounds = [bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth()];
    const grid = graticule(view);
    put(map, 'grid', grid.lines);
    put(map, 'grid-labels', grid.labels);
    const zoom = map.getZoom();
    const url = zoom < 2.5 ? coarseUrl : zoom < 5.5 ? middleUrl : fineUrl;
    if (url === shown && holds(around, view)) return;
    const own: Bounds = url === fineUrl ? widened(view) : WORLD;
    [shown, around] = [url, own];
    const whole = await atlas(url);
    if (around !== own || !map.getSource('land')) return;
    const data = read(own === WORLD ? whole : within(whole, own));
    put(map, 'land', data.land);
    put(map, 'coast', data.coast);
    put(map, 'borders', data.borders);
    put(map, 'names', data.names);
  };
  // Without its land a map still shows where things are; the next move asks again.
  const tried = (): void => void refresh().catch(() => (shown = ''));
  map.on('moveend', tried);
  return {
    restyled: () => {
      shown = '';
      tried();
    },
  };
}

export { EMPTY, FONT, put };
