// The vehicles on the live map: trails, arrows and names.

import type { FeatureCollection, Point } from 'geojson';
import type { Map as MapLibre } from 'maplibre-gl';
import type { FleetItem } from '../lib/types';
import { EMPTY, FONT, put, token } from './basemap';
import { addIcons, iconOf } from './icons';

export const VEHICLE_LAYER = 'vehicles';

export function addVehicles(map: MapLibre): void {
  addIcons(map);
  for (const id of ['trails', 'chosen', 'vehicles']) map.addSource(id, { type: 'geojson', data: EMPTY });
  map.addLayer({
    id: 'trails', type: 'line', source: 'trails', layout: { 'line-cap': 'round', 'line-join': 'round' },
    paint: {
      'line-color': token('accent'),
      'line-width': ['case', ['get', 'chosen'], 3, 1.6],
      'line-opacity': ['case', ['get', 'chosen'], 0.85, 0.35],
    },
  });
  map.addLayer({
    id: 'chosen', type: 'circle', source: 'chosen',
    paint: { 'circle-radius': 19, 'circle-color': token('accent'), 'circle-opacity': 0.16, 'circle-stroke-color': token('accent'), 'circle-stroke-width': 1.5 },
  });
  map.addLayer({
    id: VEHICLE_LAYER, type: 'symbol', source: 'vehicles',
    layout: {
      'icon-image': ['get', 'icon'],
      'icon-rotate': ['get', 'heading'],
      'icon-rotation-alignment': 'map',
      'icon-allow-overlap': true,
      'icon-ignore-placement': true,
      'text-field': ['get', 'name'],
      'text-font': FONT,
      'text-size': 11,
      'text-anchor': 'top',
      'text-offset': [0, 1.15],
      'text-optional': true,
      'symbol-sort-key': ['get', 'order'],
    },
    paint: { 'text-color': token('ink'), 'text-halo-color': token('surface'), 'text-halo-width': 1.4 },
  });
}

const order = { moving: 0, idling: 1, parked: 2, offline: 3 };

export function showVehicles(map: MapLibre, items: readonly FleetItem[], trails: ReadonlyMap<string, [number, number][]>, chosen: string): void {
  const features: FeatureCollection<Point>['features'] = [];
  for (const item of items) {
    if (item.latitude == null || item.longitude == null) continue;
    const turns = item.state === 'moving' || item.state === 'idling';
    features.push({
      type: 'Feature',
      properties: {
        id: item.vehicle_id,
        name: item.name || item.vehicle_id,
        icon: iconOf(item.state, item.heading_deg != null),
        heading: turns ? (item.heading_deg ?? 0) : 0,
        order: item.vehicle_id === chosen ? -1 : order[item.state],
      },
      geometry: { type: 'Point', coordinates: [item.longitude, item.latitude] },
    });
  }
  put(map, 'vehicles', { type: 'FeatureCollection', features });
  put(map, 'chosen', { type: 'FeatureCollection', features: features.filter(({ properties }) => properties?.id === chosen) });
  put(map, 'trails', {
    type: 'FeatureCollection',
    features: [...trails].filter(([, points]) => points.length > 1).map(([id, coordinates]) => ({
      type: 'Feature', properties: { chosen: id === chosen }, geometry: { type: 'LineString', coordinates },
    })),
  });
}
