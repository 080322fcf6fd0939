// A place that is being drawn, on the map: its area, its border to the pointer, and its points, which can be taken elsewhere.

import type { FeatureCollection } from 'geojson';
import type { LngLat, Map as MapLibre, MapMouseEvent, MapTouchEvent } from 'maplibre-gl';
import { polygonsOf, position } from '../lib/drawing';
import type { Position } from '../lib/geofences';
import type { Sketch } from '../lib/sketch.svelte';
import { EMPTY, put, token } from './basemap';

const POINT_LAYER = 'drawing-points';
/** A click so near to a point is of that point, and sets no other. */
const NEAR_PX = 7;
const POINTS_TO_CLOSE = 3;

/** Above all else. */
export function addDrawing(map: MapLibre): void {
  for (const id of ['drawing', 'drawing-line', 'drawing-points']) map.addSource(id, { type: 'geojson', data: EMPTY });
  map.addLayer({ id: 'drawing', type: 'fill', source: 'drawing', paint: { 'fill-color': ['get', 'colour'], 'fill-opacity': 0.22 } });
  map.addLayer({ id: 'drawing-edge', type: 'line', source: 'drawing', paint: { 'line-color': ['get', 'colour'], 'line-width': 2 } });
  map.addLayer({ id: 'drawing-line', type: 'line', source: 'drawing-line', layout: { 'line-join': 'round' }, paint: { 'line-color': ['get', 'colour'], 'line-width': 2, 'line-dasharray': [2, 1.5] } });
  map.addLayer({
    id: POINT_LAYER, type: 'circle', source: 'drawing-points',
    paint: { 'circle-radius': 6, 'circle-color': token('surface'), 'circle-stroke-color': ['get', 'colour'], 'circle-stroke-width': 2.5 },
  });
}

export function showDrawing(map: MapLibre, sketch: Sketch | null): void {
  const colour = sketch?.colour;
  const features = (geometries: FeatureCollection['features'][number]['geometry'][]): FeatureCollection => ({
    type: 'FeatureCollection',
    features: geometries.map((geometry, index) => ({ type: 'Feature', properties: { colour, index }, geometry })),
  });
  const [shape, line] = [sketch?.shape, sketch?.line ?? []];
  put(map, 'drawing', features(shape ? [{ type: 'MultiPolygon', coordinates: polygonsOf(shape) }] : []));
  put(map, 'drawing-line', features(line.length > 1 ? [{ type: 'LineString', coordinates: line }] : []));
  put(map, 'drawing-points', features((sketch?.handles ?? []).map((coordinates) => ({ type: 'Point', coordinates }))));
}

const placeOf = ({ lng, lat }: LngLat): Position => position(lng, lat);

/** Lets the pointer draw what `sketchOf` tells is being drawn; once a map, as a new style keeps what listens. */
export function attachDrawing(map: MapLibre, sketchOf: () => Sketch | null): void {
  /** The point that is held, by its index. */
  let held: number | null = null;

  map.on('click', (event) => {
    const sketch = sketchOf();
    // The second click of a double one is no point of its own.
    if (!sketch?.isDrawing || event.originalEvent.detail > 1) return;
    // Keys draw from here on.
    map.getCanvas().focus();
    const at = sketch.handles.findIndex((handle) => map.project(handle).dist(event.point) < NEAR_PX);
    if (at < 0) sketch.clicked(placeOf(event.lngLat));
    else if (at === 0 && sketch.points.length >= POINTS_TO_CLOSE) sketch.close();
  });
  map.on('dblclick', () => sketchOf()?.close());

  const take = (event: MapMouseEvent | MapTouchEvent): void => {
    const sketch = sketchOf();
    if (!sketch || !map.getLayer(POINT_LAYER)) return;
    const index: unknown = map.queryRenderedFeatures(event.point, { layers: [POINT_LAYER] })[0]?.properties.index;
    if (typeof index !== 'number') return;
    // The map stays where it is while one of its points is taken elsewhere.
    event.preventDefault();
    held = index;
  };
  const move = (event: MapMouseEvent | MapTouchEvent): void => {
    const sketch = sketchOf();
    if (!sketch) held = null;
    else if (held !== null) sketch.dragged(held, placeOf(event.lngLat));
    else sketch.pointed(placeOf(event.lngLat));
  };
  const drop = (): void => void (held = null);
  map.on('mousedown', take);
  map.on('touchstart', take);
  map.on('mousemove', move);
  map.on('touchmove', move);
  // Also where the pointer left the map with the point.
  for (const end of ['mouseup', 'touchend', 'touchcancel'] as const) window.addEventListener(end, drop);
  map.on('remove', () => {
    for (const end of ['mouseup', 'touchend', 'touchcancel'] as const) window.removeEventListener(end, drop);
  });
}
