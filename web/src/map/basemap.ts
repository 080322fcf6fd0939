// The basemap where the server is configured with no other: Natural Earth land and borders from the bundle, and a graticule. No
// network but our own server: a depot without internet sees the same map.

import type { FeatureCollection } from 'geojson';
import type { GeoJSONSource, Map as MapLibre, StyleSpecification } from 'maplibre-gl';
import coarseUrl from 'world-atlas/countries-110m.json?url';
import middleUrl from 'world-atlas/countries-50m.json?url';
import fineUrl from 'world-atlas/countries-10m.json?url';
import { holds, widened } from '../lib/atlas';
import { type Bounds, graticule } from '../lib/geometry';
import { countriesIn } from './countries';

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
    const data = await countriesIn(new URL(url, location.href).href, own === WORLD ? null : own);
    if (around !== own || !map.getSource('land')) return;
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
      // Once whoever has the map has shown what it is about: the world is not read for a view of a town.
      setTimeout(tried);
    },
  };
}

export { EMPTY, FONT, put };
