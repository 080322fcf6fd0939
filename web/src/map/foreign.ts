// A MapLibre style of another server, made fit to have our own layers above it.

import type { StyleSpecification } from 'maplibre-gl';
import { messages as m } from '../messages';

const PREFIX = 'basemap-';
const ATTRIBUTION = `${PREFIX}attribution`;

/** What an answer is a style by; throws with what is lacking. */
export function asStyle(answer: unknown): StyleSpecification {
  const { version, sources, layers } = (typeof answer === 'object' && answer !== null ? answer : {}) as Partial<StyleSpecification>;
  if (version !== 8 || typeof sources !== 'object' || sources === null || !Array.isArray(layers)) throw new Error(m.map.notStyle);
  return answer as StyleSpecification;
}

/** The address that one in a style at `base` means; braces stay, as they are filled in later. */
const absolute = (address: string, base: string): string => new URL(address, base).href.replaceAll('%7B', '{').replaceAll('%7D', '}');

/**
 * A style at an address as one that stands by itself: with whole addresses, with names of sources and layers that are none of
 * ours, and without a view of its own. `attribution` is shown beside what its sources say.
 */
export function standing(style: StyleSpecification, base: string, attribution: string): StyleSpecification {
  const { center: _center, zoom: _zoom, bearing: _bearing, pitch: _pitch, roll: _roll, terrain: _terrain, ...rest } = style;
  const sources: StyleSpecification['sources'] = {};
  for (const [id, source] of Object.entries(style.sources)) {
    const made: Record<string, unknown> = { ...source };
    if (typeof made.url === 'string') made.url = absolute(made.url, base);
    if (Array.isArray(made.tiles)) made.tiles = made.tiles.map((tile) => absolute(String(tile), base));
    if (source.type === 'geojson' && typeof made.data === 'string') made.data = absolute(made.data, base);
    sources[PREFIX + id] = made as unknown as StyleSpecification['sources'][string];
  }
  const layers = style.layers.map((layer) => ({ ...layer, id: PREFIX + layer.id, ...('source' in layer && typeof layer.source === 'string' ? { source: PREFIX + layer.source } : {}) }) as typeof layer);
  if (attribution) {
    // Of a source that a layer uses alone.
    sources[ATTRIBUTION] = { type: 'geojson', data: { type: 'FeatureCollection', features: [] }, attribution };
    layers.push({ id: ATTRIBUTION, type: 'circle', source: ATTRIBUTION });
  }
  const sprite = typeof style.sprite === 'string' ? absolute(style.sprite, base) : style.sprite?.map(({ id, url }) => ({ id, url: absolute(url, base) }));
  return { ...rest, sources, layers, ...(sprite ? { sprite } : {}), ...(style.glyphs ? { glyphs: absolute(style.glyphs, base) } : {}) };
}
