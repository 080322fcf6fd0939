// The places of a query's rows: dots, and a line in the order of time where there is one, a line each vehicle.

import type { FeatureCollection } from 'geojson';
import type { Map as MapLibre } from 'maplibre-gl';
import { bounds } from '../lib/geometry';
import { cellText, numberOf, type Places } from '../lib/sql';
import type { QueryResult } from '../lib/types';
import { EMPTY, put, token } from './basemap';

export const PLACE_LAYER = 'places';

export function addPlaces(map: MapLibre): void {
  for (const id of ['place-lines', 'places']) map.addSource(id, { type: 'geojson', data: EMPTY });
  map.addLayer({
    id: 'place-lines', type: 'line', source: 'place-lines', layout: { 'line-cap': 'round', 'line-join': 'round' },
    paint: { 'line-color': token('series-1'), 'line-width': 2, 'line-opacity': 0.55 },
  });
  map.addLayer({
    id: PLACE_LAYER, type: 'circle', source: 'places',
    paint: {
      'circle-radius': ['interpolate', ['linear'], ['zoom'], 4, 3, 12, 5], 'circle-color': token('series-1'),
      'circle-stroke-color': token('surface'), 'circle-stroke-width': ['get', 'edge'],
    },
  });
}

export interface Shown {
  dots: FeatureCollection;
  lines: FeatureCollection;
  skipped: number;
}

/** Rows as features; rows without a place, or with one outside the world, are counted. */
export function placesOf(result: QueryResult, at: Places): Shown {
  const dots: FeatureCollection['features'] = [];
  const paths = new Map<string, { time: number; place: [number, number] }[]>();
  let skipped = 0;
  for (const [index, row] of result.rows.entries()) {
    const latitude = numberOf(row[at.latitude]);
    const longitude = numberOf(row[at.longitude]);
    if (latitude == null || longitude == null || Math.abs(latitude) > 90 || Math.abs(longitude) > 180) {
      skipped += 1;
      continue;
    }
    const place: [number, number] = [longitude, latitude];
    dots.push({ type: 'Feature', properties: { row: index }, geometry: { type: 'Point', coordinates: place } });
    const time = at.time < 0 ? NaN : Date.parse(cellText(row[at.time]));
    if (!Number.isFinite(time)) continue;
    const key = at.label < 0 ? '' : cellText(row[at.label]);
    const path = paths.get(key) ?? [];
    path.push({ time, place });
    paths.set(key, path);
  }
  const lines = [...paths.values()].filter((path) => path.length > 1).map((path) => ({
    type: 'Feature' as const, properties: {},
    geometry: { type: 'LineString' as const, coordinates: path.sort((a, b) => a.time - b.time).map(({ place }) => place) },
  }));
  // Dots that lie close would hide each other behind their edges.
  const edge = dots.length > 300 ? 0 : 1.2;
  for (const dot of dots) dot.properties = { ...dot.properties, edge };
  return { dots: { type: 'FeatureCollection', features: dots }, lines: { type: 'FeatureCollection', features: lines }, skipped };
}

export function showPlaces(map: MapLibre, { dots, lines }: Shown): void {
  put(map, 'places', dots);
  put(map, 'place-lines', lines);
}

export function fitPlaces(map: MapLibre, { dots }: Shown): void {
  const box = bounds(dots.features.map(({ geometry }) => (geometry.type === 'Point' ? { longitude: geometry.coordinates[0], latitude: geometry.coordinates[1] } : {})));
  if (box) map.fitBounds(box, { padding: 40, maxZoom: 14, animate: false });
}
