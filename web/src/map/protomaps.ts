// The style of a PMTiles archive, in the console's own colours: quiet, so that vehicles stand out. Vector tiles are those of
// Protomaps' schema (version 4: https://docs.protomaps.com/basemaps/layers); raster tiles are one layer.

import type { ExpressionSpecification, FilterSpecification, LayerSpecification, StyleSpecification, SymbolLayerSpecification } from 'maplibre-gl';
import { FONT } from './basemap';

/** What is told of an archive by its header and its metadata. */
export interface Archive {
  kind: 'vector' | 'raster';
  /** Where MapLibre gets a tile: with `{z}`, `{x}` and `{y}`. */
  tiles: string;
  minzoom: number;
  maxzoom: number;
  bounds: [number, number, number, number];
  attribution: string;
  /** The layers of its vector tiles, as far as it names them. */
  layers: string[];
}

/** A colour of the design system by its name. */
export type Ink = (name: string) => string;

const SOURCE = 'basemap';
/** Of these some are in every archive of the schema. */
const LAYERS = ['earth', 'landcover', 'landuse', 'water', 'roads', 'buildings', 'boundaries', 'places'];

/** Whether an archive's tiles are of Protomaps' schema; one that names no layers is taken for one. */
export const isProtomaps = ({ layers }: Pick<Archive, 'layers'>): boolean => !layers.length || layers.filter((name) => LAYERS.includes(name)).length > 1;

export function archiveStyle(archive: Archive, ink: Ink, theme: 'light' | 'dark'): StyleSpecification {
  const { tiles, minzoom, maxzoom, bounds, attribution } = archive;
  const source = { tiles: [tiles], minzoom, maxzoom, bounds, attribution };
  const beyond: LayerSpecification = { id: 'basemap-beyond', type: 'background', paint: { 'background-color': ink('map-grid') } };
  if (archive.kind === 'vector') return { version: 8, sources: { [SOURCE]: { type: 'vector', ...source } }, layers: [beyond, ...layersOf(ink)] };
  // A picture has its own colours; in the dark it is dimmed.
  const paint = theme === 'dark' ? { 'raster-brightness-max': 0.6, 'raster-saturation': -0.3 } : {};
  return { version: 8, sources: { [SOURCE]: { type: 'raster', tileSize: 256, ...source } }, layers: [beyond, { id: 'basemap-raster', type: 'raster', source: SOURCE, paint }] };
}

const kind = (...kinds: string[]): ExpressionSpecification => ['in', ['get', 'kind'], ['literal', kinds]];
const IS_AREA: ExpressionSpecification = ['==', ['geometry-type'], 'Polygon'];

/** A width that grows with the zoom, by pairs of both. */
const grows = (...stops: number[]): ExpressionSpecification => ['interpolate', ['exponential', 1.6], ['zoom'], ...stops] as ExpressionSpecification;

interface Road {
  id: string;
  kinds: string[];
  colour: string;
  minzoom: number;
  width: number[];
}

/** From below to above. */
const ROADS: Road[] = [
  { id: 'paths', kinds: ['path', 'other'], colour: 'map-road', minzoom: 13, width: [13, 0.3, 16, 1.2, 20, 6] },
  { id: 'minor', kinds: ['minor_road'], colour: 'map-road', minzoom: 10, width: [10, 0.2, 13, 1, 16, 5, 18, 12] },
  { id: 'major', kinds: ['major_road'], colour: 'map-road-major', minzoom: 5, width: [5, 0.3, 8, 0.8, 12, 2, 16, 8, 18, 16] },
  { id: 'highways', kinds: ['highway'], colour: 'map-highway', minzoom: 3, width: [3, 0.4, 6, 1, 10, 2, 13, 3.5, 16, 9, 18, 18] },
];
const CASING = 0.8;

function layersOf(ink: Ink): LayerSpecification[] {
  const base = (id: string, layer: string) => ({ id: `basemap-${id}`, source: SOURCE, 'source-layer': layer });
  const area = (id: string, layer: string, colour: string, filter: ExpressionSpecification, minzoom = 0): LayerSpecification => ({
    ...base(id, layer), type: 'fill', filter: ['all', IS_AREA, filter], minzoom, paint: { 'fill-color': ink(colour) },
  });
  // A slip road is as narrow as the streets it leads to, and what is below the ground is faint.
  const isDrawn: Record<string, FilterSpecification> = Object.fromEntries(ROADS.map(({ id, kinds }) => [id, kind(...kinds)]));
  const widthOf = ({ width }: Road, more = 0) => grows(...width.map((value, index) => (index % 2 ? value + more : value)));
  const opacity: ExpressionSpecification = ['case', ['has', 'is_tunnel'], 0.45, 1];
  return [
    area('earth', 'earth', 'map-land', ['literal', true]),
    {
      ...base('landcover', 'landcover'), type: 'fill', filter: kind('grassland', 'forest', 'scrub', 'urban_area'), maxzoom: 8,
      paint: { 'fill-color': ['match', ['get', 'kind'], 'urban_area', ink('map-built'), ink('map-green')], 'fill-opacity': ['interpolate', ['linear'], ['zoom'], 4, 0.6, 8, 0] },
    },
    area('built', 'landuse', 'map-built', kind('residential', 'industrial', 'commercial', 'retail', 'hospital', 'school', 'university', 'college', 'aerodrome', 'railway', 'pedestrian', 'military', 'naval_base', 'airfield')),
    area('green', 'landuse', 'map-green', kind('park', 'national_park', 'nature_reserve', 'protected_area', 'forest', 'wood', 'scrub', 'grass', 'grassland', 'meadow', 'golf_course', 'cemetery', 'allotments', 'village_green', 'playground', 'zoo'), 5),
    area('runways', 'landuse', 'map-road', kind('runway', 'taxiway')),
    area('water', 'water', 'map-water', ['literal', true]),
    {
      ...base('rivers', 'water'), type: 'line', filter: kind('river', 'canal', 'stream'), minzoom: 8,
      paint: { 'line-color': ink('map-water'), 'line-width': grows(8, 0.5, 12, 1.4, 18, 10) },
    },
    area('piers', 'landuse', 'map-built', kind('pier', 'dam')),
    { ...base('buildings', 'buildings'), type: 'fill', filter: kind('building', 'building_part'), minzoom: 14, paint: { 'fill-color': ink('map-building'), 'fill-opacity': ['interpolate', ['linear'], ['zoom'], 14, 0, 15, 1] } },
    { ...base('rails', 'roads'), type: 'line', filter: kind('rail'), minzoom: 10, paint: { 'line-color': ink('map-border'), 'line-width': grows(10, 0.4, 16, 1.4), 'line-dasharray': [4, 2], 'line-opacity': opacity } },
    { ...base('ferries', 'roads'), type: 'line', filter: kind('ferry'), minzoom: 7, paint: { 'line-color': ink('map-water-text'), 'line-width': 0.8, 'line-dasharray': [4, 3], 'line-opacity': 0.7 } },
    ...ROADS.filter(({ id }) => id !== 'paths').map((road): LayerSpecification => ({
      ...base(`${road.id}-casing`, 'roads'), type: 'line', filter: isDrawn[road.id], minzoom: Math.max(road.minzoom, 9), layout: { 'line-cap': 'round', 'line-join': 'round' },
      paint: { 'line-color': ink('map-casing'), 'line-width': widthOf(road, 2 * CASING), 'line-opacity': opacity },
    })),
    ...ROADS.map((road): LayerSpecification => ({
      ...base(road.id, 'roads'), type: 'line', filter: isDrawn[road.id], minzoom: road.minzoom, layout: { 'line-cap': 'round', 'line-join': 'round', 'line-sort-key': ['to-number', ['get', 'sort_rank'], 0] },
      paint: { 'line-color': ink(road.colour), 'line-width': widthOf(road) },
    })),
    {
      ...base('borders', 'boundaries'), type: 'line', filter: ['any', kind('country', 'region'), ['<=', ['to-number', ['get', 'kind_detail'], 9], 4]],
      paint: {
        'line-color': ink('map-border'), 'line-dasharray': [3, 2],
        'line-width': ['interpolate', ['linear'], ['zoom'], 2, ['case', kind('country'), 0.7, 0.2], 8, ['case', kind('country'), 1.6, 0.8]],
      },
    },
    ...names(ink, base),
  ];
}

/** Countries and their parts in the console's language; all else as it is on the signs. */
const NAME: ExpressionSpecification = ['coalesce', ['get', 'name'], ['get', 'name:en'], ''];
const NAME_ABROAD: ExpressionSpecification = ['coalesce', ['get', 'name:en'], ['get', 'name'], ''];

function names(ink: Ink, base: (id: string, layer: string) => { id: string; source: string; 'source-layer': string }): LayerSpecification[] {
  const paint = { 'text-color': ink('map-text'), 'text-halo-color': ink('map-halo'), 'text-halo-width': 1.3 };
  const water = { ...paint, 'text-color': ink('map-water-text'), 'text-halo-color': ink('map-water') };
  const strong = { ...paint, 'text-color': ink('ink-2') };
  const text = (field: ExpressionSpecification, size: ExpressionSpecification | number): NonNullable<SymbolLayerSpecification['layout']> => ({ 'text-field': field, 'text-font': FONT, 'text-size': size, 'text-max-width': 8 });
  const along = (field: ExpressionSpecification, size: number): NonNullable<SymbolLayerSpecification['layout']> => ({ ...text(field, size), 'symbol-placement': 'line', 'symbol-spacing': 400 });
  // The most important first: they take the room.
  const rank: ExpressionSpecification = ['to-number', ['get', 'population_rank'], 0];
  const first: ExpressionSpecification = ['-', 0, rank];
  return [
    { ...base('river-names', 'water'), type: 'symbol', filter: kind('river', 'canal'), minzoom: 12, layout: { ...along(NAME, 11), 'text-letter-spacing': 0.1 }, paint: water },
    { ...base('sea-names', 'water'), type: 'symbol', filter: ['all', ['==', ['geometry-type'], 'Point'], kind('ocean', 'sea', 'bay', 'strait', 'fjord', 'lake', 'water')], layout: { ...text(NAME_ABROAD, ['interpolate', ['linear'], ['zoom'], 3, 10, 10, 13]), 'text-letter-spacing': 0.1 }, paint: water },
    { ...base('road-names-minor', 'roads'), type: 'symbol', filter: kind('minor_road', 'path'), minzoom: 15, layout: along(NAME, 10), paint },
    { ...base('road-names', 'roads'), type: 'symbol', filter: kind('major_road', 'highway'), minzoom: 12, layout: along(NAME, 11), paint },
    {
      ...base('road-numbers', 'roads'), type: 'symbol', filter: ['all', kind('highway', 'major_road'), ['any', ['has', 'ref'], ['has', 'shield_text']]], minzoom: 8, maxzoom: 15,
      layout: { ...along(['coalesce', ['get', 'ref'], ['get', 'shield_text'], ''], 10), 'text-rotation-alignment': 'viewport' },
      paint: { ...strong, 'text-halo-color': ink('map-highway'), 'text-halo-width': 2 },
    },
    { ...base('quarters', 'places'), type: 'symbol', filter: kind('neighbourhood', 'macrohood'), minzoom: 11, layout: { ...text(NAME, 10.5), 'text-letter-spacing': 0.06 }, paint },
    {
      ...base('towns', 'places'), type: 'symbol', filter: kind('locality'), minzoom: 3,
      layout: { ...text(NAME, ['interpolate', ['linear'], ['zoom'], 4, ['case', ['>=', rank, 11], 11, 9.5], 10, ['case', ['>=', rank, 11], 17, ['>=', rank, 8], 13.5, 11.5], 15, ['case', ['>=', rank, 11], 21, 15]]), 'symbol-sort-key': first },
      paint: strong,
    },
    { ...base('regions', 'places'), type: 'symbol', filter: kind('region'), minzoom: 4, maxzoom: 8, layout: { ...text(NAME_ABROAD, 11), 'text-letter-spacing': 0.08 }, paint: { ...paint, 'text-opacity': 0.8 } },
    { ...base('countries', 'places'), type: 'symbol', filter: kind('country'), maxzoom: 8, layout: { ...text(NAME_ABROAD, ['interpolate', ['linear'], ['zoom'], 1, 9, 6, 14]), 'text-letter-spacing': 0.06, 'symbol-sort-key': first }, paint },
  ];
}
