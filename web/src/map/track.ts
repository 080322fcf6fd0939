// One trip on the map: its track by speed, its ends, and the point under the reader's pointer.

import type { FeatureCollection } from 'geojson';
import type { Map as MapLibre } from 'maplibre-gl';
import { bounds, trackSegments } from '../lib/geometry';
import type { Position } from '../lib/types';
import { EMPTY, put, token } from './basemap';
import { speedColour } from './speed';

export const EVENT_LAYER = 'events';
/** Where the pointer meets the track: its case is wider than the line. */
export const TRACK_LAYER = 'track-case';

export function addTrack(map: MapLibre): void {
  for (const id of ['track', 'events', 'ends', 'cursor']) map.addSource(id, { type: 'geojson', data: EMPTY });
  const layout = { 'line-cap': 'round', 'line-join': 'round' } as const;
  map.addLayer({ id: 'track-case', type: 'line', source: 'track', filter: ['!', ['get', 'gap']], layout, paint: { 'line-color': token('surface'), 'line-width': 7.5 } });
  map.addLayer({ id: 'track-gap', type: 'line', source: 'track', filter: ['get', 'gap'], paint: { 'line-color': token('ink-3'), 'line-width': 1.5, 'line-dasharray': [2, 2] } });
  map.addLayer({ id: 'track', type: 'line', source: 'track', filter: ['!', ['get', 'gap']], layout, paint: { 'line-color': speedColour(), 'line-width': 4.5 } });
  map.addLayer({
    id: EVENT_LAYER, type: 'circle', source: 'events',
    paint: { 'circle-radius': 5.5, 'circle-color': ['match', ['get', 'tone'], 'bad', token('bad'), 'idling', token('idling'), token('parked')], 'circle-stroke-color': token('surface'), 'circle-stroke-width': 2 },
  });
  map.addLayer({
    id: 'ends', type: 'circle', source: 'ends',
    paint: { 'circle-radius': 6, 'circle-color': ['match', ['get', 'end'], 'start', token('surface'), token('ink')], 'circle-stroke-color': ['match', ['get', 'end'], 'start', token('ink'), token('surface')], 'circle-stroke-width': 2.5 },
  });
  map.addLayer({
    id: 'cursor', type: 'circle', source: 'cursor',
    paint: { 'circle-radius': 7, 'circle-color': token('accent'), 'circle-stroke-color': token('surface'), 'circle-stroke-width': 2.5 },
  });
}

const point = (position: Position | undefined, properties = {}): FeatureCollection => ({
  type: 'FeatureCollection',
  features: position ? [{ type: 'Feature', properties, geometry: { type: 'Point', coordinates: [position.longitude, position.latitude] } }] : [],
});

export function showTrack(map: MapLibre, positions: readonly Position[]): void {
  put(map, 'track', trackSegments(positions));
  const ends = [point(positions[0], { end: 'start' }), point(positions.at(-1), { end: 'end' })];
  put(map, 'ends', { type: 'FeatureCollection', features: ends.flatMap(({ features }) => features) });
}

export function fitTrack(map: MapLibre, positions: readonly Position[]): void {
  const box = bounds(positions);
  if (box) map.fitBounds(box, { padding: 48, maxZoom: 16, animate: false });
}

export function showCursor(map: MapLibre, position: Position | undefined): void {
  put(map, 'cursor', point(position));
}

export interface EventDot {
  id: string;
  latitude: number;
  longitude: number;
  tone: 'bad' | 'idling' | 'parked';
}

export function showEvents(map: MapLibre, events: readonly EventDot[]): void {
  put(map, 'events', {
    type: 'FeatureCollection',
    features: events.map(({ id, tone, latitude, longitude }) => ({ type: 'Feature', properties: { id, tone }, geometry: { type: 'Point', coordinates: [longitude, latitude] } })),
  });
}
