// A PMTiles archive that the server has, opened: loaded only where there is one.

import type * as MapLibreGl from 'maplibre-gl';
import { FetchSource, type Header, PMTiles, Protocol, TileType } from 'pmtiles';
import { messages as m } from '../messages';
import type { Archive } from './protomaps';

const RASTERS: TileType[] = [TileType.Png, TileType.Jpeg, TileType.Webp, TileType.Avif];

let protocol: Protocol | undefined;

/** Reads what an archive is, and has MapLibre ask it for tiles from then on. */
export async function openArchive(gl: typeof MapLibreGl, href: string): Promise<Archive> {
  if (!protocol) {
    protocol = new Protocol();
    gl.addProtocol('pmtiles', protocol.tile);
  }
  const archive = new PMTiles(new FetchSource(href));
  const header = await archive.getHeader();
  const about = archiveOf(header, await archive.getMetadata(), href);
  protocol.add(archive);
  return about;
}

const number = (value: number, least: number, most: number, instead: number): number => (Number.isFinite(value) && value >= least && value <= most ? value : instead);

/** What header and metadata say, as far as they can be believed. */
export function archiveOf(header: Header, metadata: unknown, href: string): Archive {
  const { attribution, vector_layers: layers } = (typeof metadata === 'object' && metadata !== null ? metadata : {}) as { attribution?: unknown; vector_layers?: unknown };
  const isRaster = RASTERS.includes(header.tileType);
  if (!isRaster && header.tileType !== TileType.Mvt) throw new Error(m.map.tileType(header.tileType));
  const { minLon, minLat, maxLon, maxLat } = header;
  const isWorld = !(minLon < maxLon && minLat < maxLat && minLon >= -180 && maxLon <= 180 && minLat >= -90 && maxLat <= 90);
  return {
    kind: isRaster ? 'raster' : 'vector',
    tiles: `pmtiles://${href}/{z}/{x}/{y}`,
    minzoom: number(header.minZoom, 0, 24, 0),
    maxzoom: number(header.maxZoom, header.minZoom, 24, 14),
    bounds: isWorld ? [-180, -85.0511, 180, 85.0511] : [minLon, minLat, maxLon, maxLat],
    attribution: typeof attribution === 'string' ? attribution : '',
    layers: Array.isArray(layers) ? layers.flatMap((layer: { id?: unknown } | null) => (typeof layer?.id === 'string' ? [layer.id] : [])) : [],
  };
}
