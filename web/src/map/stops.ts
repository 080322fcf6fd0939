// Where the vehicle stood before a trip and after it: a ring around each end, with how long.

import type { Map as MapLibre } from 'maplibre-gl';
import type { StopMark } from '../lib/around';
import { EMPTY, FONT, put, token } from './basemap';

export function addStops(map: MapLibre): void {
  map.addSource('stops', { type: 'geojson', data: EMPTY });
  map.addLayer({
    id: 'stops', type: 'circle', source: 'stops',
    paint: { 'circle-radius': 12, 'circle-color': token('parked'), 'circle-opacity': 0.18, 'circle-stroke-color': token('parked'), 'circle-stroke-width': 1.5 },
  });
}

/** Above the track, which would go through them. */
export function addStopWords(map: MapLibre): void {
  map.addLayer({
    id: 'stop-words', type: 'symbol', source: 'stops',
    // Where a trip ends where it began, one is above and the other below.
    layout: { 'text-field': ['get', 'text'], 'text-font': FONT, 'text-size': 12, 'text-max-width': 24, 'text-anchor': ['match', ['get', 'when'], 'before', 'bottom', 'top'], 'text-offset': ['match', ['get', 'when'], 'before', ['literal', [0, -1.3]], ['literal', [0, 1.3]]], 'text-allow-overlap': true },
    paint: { 'text-color': token('ink'), 'text-halo-color': token('surface'), 'text-halo-width': 1.6 },
  });
}

export function showStops(map: MapLibre, stops: readonly StopMark[]): void {
  put(map, 'stops', {
    type: 'FeatureCollection',
    features: stops.map(({ when, text, latitude, longitude }) => ({ type: 'Feature', properties: { when, text }, geometry: { type: 'Point', coordinates: [longitude, latitude] } })),
  });
}
