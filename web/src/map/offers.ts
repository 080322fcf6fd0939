// Free vehicles on the map of a booking, and where the reader starts from.

import type { FeatureCollection } from 'geojson';
import type { Map as MapLibre } from 'maplibre-gl';
import type { Offer, Place } from '../lib/bookings';
import { bounds } from '../lib/geometry';
import { EMPTY, FONT, put, token } from './basemap';

export const OFFER_LAYER = 'offers';

export function addOffers(map: MapLibre): void {
  for (const id of ['offers', 'here']) map.addSource(id, { type: 'geojson', data: EMPTY });
  map.addLayer({
    id: OFFER_LAYER, type: 'circle', source: 'offers',
    paint: { 'circle-radius': ['case', ['get', 'chosen'], 11, 8], 'circle-color': ['case', ['get', 'chosen'], token('accent'), token('moving')], 'circle-stroke-color': token('surface'), 'circle-stroke-width': 2.5 },
  });
  map.addLayer({
    id: 'offer-names', type: 'symbol', source: 'offers', minzoom: 9,
    layout: { 'text-field': ['get', 'name'], 'text-font': FONT, 'text-size': 11, 'text-anchor': 'top', 'text-offset': [0, 1], 'text-optional': true },
    paint: { 'text-color': token('ink'), 'text-halo-color': token('surface'), 'text-halo-width': 1.4 },
  });
  map.addLayer({
    id: 'here', type: 'circle', source: 'here',
    paint: { 'circle-radius': 7, 'circle-color': token('ink'), 'circle-stroke-color': token('surface'), 'circle-stroke-width': 3 },
  });
}

export function showOffers(map: MapLibre, offers: readonly Offer[], chosen: string, here: Place | null): void {
  const features: FeatureCollection['features'] = [];
  for (const { vehicle_id, name, at } of offers) {
    if (at?.latitude == null || at.longitude == null) continue;
    features.push({ type: 'Feature', properties: { id: vehicle_id, name, chosen: vehicle_id === chosen }, geometry: { type: 'Point', coordinates: [at.longitude, at.latitude] } });
  }
  put(map, 'offers', { type: 'FeatureCollection', features });
  put(map, 'here', { type: 'FeatureCollection', features: here ? [{ type: 'Feature', properties: {}, geometry: { type: 'Point', coordinates: [here.longitude, here.latitude] } }] : [] });
}

export function fitOffers(map: MapLibre, offers: readonly Offer[], here: Place | null): void {
  const box = bounds([...offers.flatMap(({ at }) => (at ? [at] : [])), ...(here ? [here] : [])]);
  if (box) map.fitBounds(box, { padding: 40, maxZoom: 13, animate: false });
}
