// Geofences on the live map: each filled and outlined in its colour, with its name once one is close enough to read it.

import type { FeatureCollection } from 'geojson';
import type { Map as MapLibre } from 'maplibre-gl';
import { boundsOf, namePlace, polygonsOf } from '../lib/drawing';
import type { Geofence, Geometry } from '../lib/geofences';
import { EMPTY, FONT, put, token } from './basemap';

export const GEOFENCE_LAYER = 'geofences';

const NAMES_ZOOM_MIN = 9;
const LATITUDE_MAX = 85;

/** Below the vehicles: to be called before they are added. */
export function addGeofences(map: MapLibre): void {
  for (const id of ['geofences', 'geofence-names']) map.addSource(id, { type: 'geojson', data: EMPTY });
  map.addLayer({
    id: GEOFENCE_LAYER, type: 'fill', source: 'geofences',
    paint: { 'fill-color': ['get', 'colour'], 'fill-opacity': ['case', ['get', 'chosen'], 0.28, 0.14] },
  });
  map.addLayer({
    id: 'geofence-lines', type: 'line', source: 'geofences', layout: { 'line-join': 'round' },
    paint: { 'line-color': ['get', 'colour'], 'line-width': ['case', ['get', 'chosen'], 3, 1.6] },
  });
  map.addLayer({
    id: 'geofence-names', type: 'symbol', source: 'geofence-names', minzoom: NAMES_ZOOM_MIN,
    layout: { 'text-field': ['get', 'name'], 'text-font': FONT, 'text-size': 12, 'text-max-width': 9, 'symbol-sort-key': ['case', ['get', 'chosen'], 0, 1] },
    paint: { 'text-color': token('ink-2'), 'text-halo-color': token('surface'), 'text-halo-width': 1.4 },
  });
}

/** One that is being changed is not among them: the map shows it as it is drawn. */
export function showGeofences(map: MapLibre, items: readonly Geofence[], chosen: string): void {
  const properties = ({ id, name, colour }: Geofence) => ({ id, name, colour, chosen: id === chosen });
  const areas: FeatureCollection['features'] = items.map((item) => ({
    type: 'Feature', properties: properties(item), geometry: { type: 'MultiPolygon', coordinates: polygonsOf(item.geometry) },
  }));
  const names: FeatureCollection['features'] = items.map((item) => ({
    type: 'Feature', properties: properties(item), geometry: { type: 'Point', coordinates: namePlace(item.geometry) },
  }));
  put(map, 'geofences', { type: 'FeatureCollection', features: areas });
  put(map, 'geofence-names', { type: 'FeatureCollection', features: names });
}

export function fitGeometry(map: MapLibre, geometry: Geometry): void {
  const [west, south, east, north] = boundsOf(geometry);
  // A map has no poles.
  if (Number.isFinite(west)) map.fitBounds([west, Math.max(south, -LATITUDE_MAX), east, Math.min(north, LATITUDE_MAX)], { padding: 80, maxZoom: 16, duration: 450 });
}
