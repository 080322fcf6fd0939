// The vehicles on the live map: arrows and names, in groups where many stand close, and of the chosen one its trail.

import type { FeatureCollection, Point } from 'geojson';
import type { GeoJSONSource, Map as MapLibre, MapGeoJSONFeature, SymbolLayerSpecification } from 'maplibre-gl';
import type { FleetItem } from '../lib/types';
import { EMPTY, FONT, put, token } from './basemap';
import { addIcons, iconOf } from './icons';

export const VEHICLE_LAYER = 'vehicles';
export const CLUSTER_LAYER = 'clusters';

/** A group takes this many within this far: a handful is shown as it is. */
const CLUSTER_LEAST = 8;
const CLUSTER_RADIUS_PX = 46;
const CLUSTER_ZOOM_MAX = 11;
/** Above this many vehicles only the chosen one has its trail: others would cover the map. */
const TRAILS_MAX = 100;

export function addVehicles(map: MapLibre): void {
  addIcons(map);
  for (const id of ['trails', 'chosen']) map.addSource(id, { type: 'geojson', data: EMPTY });
  map.addSource('vehicles', {
    type: 'geojson', data: EMPTY, cluster: true, clusterRadius: CLUSTER_RADIUS_PX, clusterMaxZoom: CLUSTER_ZOOM_MAX, clusterMinPoints: CLUSTER_LEAST,
    clusterProperties: { moving: ['+', ['case', ['==', ['get', 'state'], 'moving'], 1, 0]] },
  });
  map.addLayer({
    id: 'trails', type: 'line', source: 'trails', layout: { 'line-cap': 'round', 'line-join': 'round' },
    paint: {
      'line-color': token('accent'),
      'line-width': ['case', ['get', 'chosen'], 3, 1.6],
      'line-opacity': ['case', ['get', 'chosen'], 0.85, 0.35],
    },
  });
  map.addLayer({
    id: CLUSTER_LAYER, type: 'circle', source: 'vehicles', filter: ['has', 'point_count'],
    paint: {
      'circle-radius': ['interpolate', ['linear'], ['ln', ['get', 'point_count']], 2, 14, 7, 30],
      // Green where something of it moves, so that a yard at rest is seen to be one.
      'circle-color': ['case', ['>', ['get', 'moving'], 0], token('moving'), token('parked')],
      'circle-opacity': 0.88, 'circle-stroke-color': token('surface'), 'circle-stroke-width': 2,
    },
  });
  map.addLayer({
    id: 'cluster-counts', type: 'symbol', source: 'vehicles', filter: ['has', 'point_count'],
    layout: { 'text-field': ['get', 'point_count_abbreviated'], 'text-font': FONT, 'text-size': 12, 'text-allow-overlap': true, 'text-ignore-placement': true },
    paint: { 'text-color': token('surface') },
  });
  map.addLayer({
    id: VEHICLE_LAYER, type: 'symbol', source: 'vehicles', filter: ['!', ['has', 'point_count']],
    layout: { ...VEHICLE, 'text-optional': true, 'symbol-sort-key': ['get', 'order'] },
    paint: INK(),
  });
  map.addLayer({
    id: 'chosen', type: 'circle', source: 'chosen',
    paint: { 'circle-radius': 19, 'circle-color': token('accent'), 'circle-opacity': 0.16, 'circle-stroke-color': token('accent'), 'circle-stroke-width': 1.5 },
  });
  // Above all groups: the chosen one is seen wherever it is.
  map.addLayer({ id: 'chosen-icon', type: 'symbol', source: 'chosen', layout: { ...VEHICLE, 'text-allow-overlap': true, 'text-ignore-placement': true }, paint: INK() });
}

const VEHICLE: NonNullable<SymbolLayerSpecification['layout']> = {
  'icon-image': ['get', 'icon'], 'icon-rotate': ['get', 'heading'], 'icon-rotation-alignment': 'map', 'icon-allow-overlap': true, 'icon-ignore-placement': true,
  'text-field': ['get', 'name'], 'text-font': FONT, 'text-size': 11, 'text-anchor': 'top', 'text-offset': [0, 1.15],
};
const INK = () => ({ 'text-color': token('ink'), 'text-halo-color': token('surface'), 'text-halo-width': 1.4 });

const order = { moving: 0, idling: 1, parked: 2, offline: 3 };

function features(items: readonly FleetItem[]): FeatureCollection<Point>['features'] {
  const made: FeatureCollection<Point>['features'] = [];
  for (const item of items) {
    if (item.latitude == null || item.longitude == null) continue;
    const turns = item.state === 'moving' || item.state === 'idling';
    made.push({
      type: 'Feature',
      properties: {
        id: item.vehicle_id,
        name: item.name || item.vehicle_id,
        state: item.state,
        icon: iconOf(item.state, item.heading_deg != null),
        heading: turns ? (item.heading_deg ?? 0) : 0,
        order: order[item.state],
      },
      geometry: { type: 'Point', coordinates: [item.longitude, item.latitude] },
    });
  }
  return made;
}

export function showVehicles(map: MapLibre, items: readonly FleetItem[]): void {
  put(map, 'vehicles', { type: 'FeatureCollection', features: features(items) });
}

export function showChosen(map: MapLibre, chosen: FleetItem | undefined, trails: ReadonlyMap<string, readonly [number, number][]>, count: number): void {
  put(map, 'chosen', { type: 'FeatureCollection', features: chosen ? features([chosen]) : [] });
  const drawn = count <= TRAILS_MAX ? [...trails] : [...trails].filter(([id]) => id === chosen?.vehicle_id);
  put(map, 'trails', {
    type: 'FeatureCollection',
    features: drawn.filter(([, points]) => points.length > 1).map(([id, coordinates]) => ({
      type: 'Feature', properties: { chosen: id === chosen?.vehicle_id }, geometry: { type: 'LineString', coordinates: coordinates as [number, number][] },
    })),
  });
}

/** Come as close as a group needs to fall apart. */
export async function openCluster(map: MapLibre, feature: MapGeoJSONFeature | undefined): Promise<void> {
  const id: unknown = feature?.properties.cluster_id;
  const source = map.getSource<GeoJSONSource>('vehicles');
  if (typeof id !== 'number' || !source || feature?.geometry.type !== 'Point') return;
  // The fleet may have moved on: then the group is no more, and coming closer is right all the same.
  const zoom = await source.getClusterExpansionZoom(id).catch(() => map.getZoom() + 2);
  map.easeTo({ center: feature.geometry.coordinates as [number, number], zoom: Math.min(zoom + 0.2, CLUSTER_ZOOM_MAX + 1), duration: 450 });
}
