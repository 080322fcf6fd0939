import { validateStyleMin, type StyleSpecification } from '@maplibre/maplibre-gl-style-spec';
import type { Header } from 'pmtiles';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { archiveOf } from '../src/map/archive';
import { FONT, ownFonts } from '../src/map/basemap';
import { Configured, type Own, toldOf, type Watched } from '../src/map/configured.svelte';
import { asStyle, standing } from '../src/map/foreign';
import { type Archive, archiveStyle, isProtomaps } from '../src/map/protomaps';

vi.mock('../src/map/basemap', async (original) => ({ ...(await original<object>()), style: () => ({ version: 8, name: 'Natural Earth', sources: {}, layers: [] }) }));

const HREF = 'https://fleet.example/basemap.pmtiles';
const ARCHIVE: Archive = { kind: 'vector', tiles: `pmtiles://${HREF}/{z}/{x}/{y}`, minzoom: 0, maxzoom: 15, bounds: [8, 54, 13, 58], attribution: '© OpenStreetMap', layers: [] };
const header = (change: Partial<Header> = {}) => ({ tileType: 1, minZoom: 0, maxZoom: 15, minLon: 8, minLat: 54, maxLon: 13, maxLat: 58, ...change }) as Header;
/** Each name another colour, and those of the dark others again. */
const inks = (theme: string) => {
  const asked = new Map<string, string>();
  const ink = (name: string) => asked.get(name) ?? (asked.set(name, `#${theme === 'dark' ? 'd' : '1'}${String(asked.size + 10).padStart(5, '0')}`), asked.get(name) as string);
  return { ink, asked };
};

describe('what the server says of the basemap', () => {
  it('is understood', () => {
    expect(toldOf({ kind: 'pmtiles', url: '/basemap.pmtiles' })).toEqual({ kind: 'pmtiles', url: '/basemap.pmtiles', attribution: '' });
    expect(toldOf({ kind: 'style', url: 'https://a.example/s.json', origins: ['https://a.example', 3], attribution: '© us' })).toEqual({ kind: 'style', url: 'https://a.example/s.json', origins: ['https://a.example'], attribution: '© us' });
  });
  it('is Natural Earth where it is not', () => {
    for (const answer of [null, {}, { kind: 'globe' }, { kind: 'pmtiles' }, { kind: 'style', url: 7 }, 'pmtiles']) expect(toldOf(answer)).toEqual({ kind: 'natural_earth' });
  });
});

describe('an archive', () => {
  it('is read from its header and metadata', () => {
    const metadata = { attribution: '<a href="https://osm.org">© OpenStreetMap</a>', vector_layers: [{ id: 'earth' }, { id: 'roads' }, null, {}] };
    expect(archiveOf(header(), metadata, HREF)).toEqual({ ...ARCHIVE, attribution: metadata.attribution, layers: ['earth', 'roads'] });
    expect(archiveOf(header({ tileType: 4 }), null, HREF).kind).toBe('raster');
  });
  it('covers the world where its bounds are none', () => {
    expect(archiveOf(header({ minLon: 0, maxLon: 0 }), {}, HREF).bounds).toEqual([-180, -85.0511, 180, 85.0511]);
  });
  it('of other tiles is refused', () => {
    expect(() => archiveOf(header({ tileType: 6 }), {}, HREF)).toThrow('type 6');
    expect(isProtomaps({ layers: ['transportation', 'water', 'waterway'] })).toBe(false);
    expect(isProtomaps({ layers: ['earth', 'water', 'roads'] })).toBe(true);
    expect(isProtomaps({ layers: [] })).toBe(true);
  });
});

describe('the style of an archive', () => {
  it('is a valid one, with nothing from other servers, in our colours', () => {
    for (const theme of ['light', 'dark'] as const) {
      const { ink, asked } = inks(theme);
      const style = archiveStyle(ARCHIVE, ink, theme);
      expect(validateStyleMin(style).map(({ message }) => message)).toEqual([]);
      expect(style.glyphs ?? style.sprite).toBeUndefined();
      expect(style.sources.basemap).toMatchObject({ type: 'vector', tiles: [ARCHIVE.tiles], maxzoom: 15, attribution: '© OpenStreetMap' });
      for (const name of ['map-land', 'map-water', 'map-green', 'map-highway', 'map-text', 'map-halo']) expect(asked.has(name), name).toBe(true);
      // Every colour in it was asked for.
      const used = new Set(JSON.stringify(style).match(/#[0-9a-f]{6}/g));
      expect(used).toEqual(new Set(asked.values()));
    }
  });
  it('draws roads above land and water, and names above roads', () => {
    const ids = archiveStyle(ARCHIVE, (name) => `#${name}`, 'light').layers.map(({ id }) => id);
    const order = ['basemap-beyond', 'basemap-earth', 'basemap-water', 'basemap-buildings', 'basemap-minor', 'basemap-highways', 'basemap-borders', 'basemap-road-names', 'basemap-towns'];
    expect(ids.filter((id) => order.includes(id))).toEqual(order);
    expect(new Set(ids).size).toBe(ids.length);
  });
  it('of pictures is one layer, dimmed in the dark', () => {
    const raster: Archive = { ...ARCHIVE, kind: 'raster' };
    const [light, dark] = (['light', 'dark'] as const).map((theme) => archiveStyle(raster, inks(theme).ink, theme));
    for (const style of [light, dark]) {
      expect(validateStyleMin(style as StyleSpecification)).toEqual([]);
      expect(style?.layers.map(({ type }) => type)).toEqual(['background', 'raster']);
    }
    expect(light?.layers[1]?.paint).toEqual({});
    expect(dark?.layers[1]?.paint).toMatchObject({ 'raster-brightness-max': 0.6 });
  });
});

describe('a style of another server', () => {
  const STYLE = asStyle({
    version: 8,
    center: [10, 50],
    zoom: 4,
    pitch: 60,
    terrain: { source: 'hills' },
    sprite: 'sprites/day',
    glyphs: '../fonts/{fontstack}/{range}.pbf',
    sources: { vehicles: { type: 'vector', tiles: ['tiles/{z}/{x}/{y}.mvt'] }, hills: { type: 'raster-dem', url: '/hills.json' }, spots: { type: 'geojson', data: 'spots.json' } },
    layers: [
      { id: 'sea', type: 'background', paint: { 'background-color': '#123456' } },
      { id: 'vehicles', type: 'line', source: 'vehicles', 'source-layer': 'roads' },
    ],
  });
  it('stands by itself: whole addresses, names that are none of ours, no view of its own', () => {
    const style = standing(STYLE, 'https://tiles.example/styles/day.json?key=1', '© us');
    expect(validateStyleMin(style).map(({ message }) => message)).toEqual([]);
    expect(style.sources['basemap-vehicles']).toMatchObject({ tiles: ['https://tiles.example/styles/tiles/{z}/{x}/{y}.mvt'] });
    expect(style.sources['basemap-hills']).toMatchObject({ url: 'https://tiles.example/hills.json' });
    expect(style.sources['basemap-spots']).toMatchObject({ data: 'https://tiles.example/styles/spots.json' });
    expect([style.sprite, style.glyphs]).toEqual(['https://tiles.example/styles/sprites/day', 'https://tiles.example/fonts/{fontstack}/{range}.pbf']);
    expect(style.layers.map((layer) => [layer.id, 'source' in layer ? layer.source : ''])).toEqual([['basemap-sea', ''], ['basemap-vehicles', 'basemap-vehicles'], ['basemap-attribution', 'basemap-attribution']]);
    expect(style.sources['basemap-attribution']).toMatchObject({ attribution: '© us' });
    for (const key of ['center', 'zoom', 'pitch', 'terrain']) expect(style).not.toHaveProperty(key);
    expect(standing(STYLE, 'https://tiles.example/', '').sources).not.toHaveProperty('basemap-attribution');
  });
  it('is asked for its own fonts, and not for ours', () => {
    expect(ownFonts('https://tiles.example/fonts/Noto Sans Regular/0-255.pbf', 'Glyphs')).toEqual({ url: 'https://tiles.example/fonts/Noto Sans Regular/0-255.pbf' });
    expect(() => ownFonts(`https://tiles.example/fonts/${FONT.join(',')}/0-255.pbf`, 'Glyphs')).toThrow();
  });
  it('that is none is refused', () => {
    for (const answer of [null, 'x', {}, { version: 7, sources: {}, layers: [] }, { version: 8, sources: null, layers: [] }, { version: 8, sources: {} }]) expect(() => asStyle(answer)).toThrow('no MapLibre style');
  });
});

describe('a basemap that cannot be had', () => {
  const OWN: Own = { kind: 'pmtiles', style: () => ({ version: 8, name: 'own', sources: {}, layers: [] }) };
  type Heard = (event: { error: Error; sourceId?: string; tile?: unknown }) => void;
  const fake = () => {
    const heard: Record<string, Heard> = {};
    const map: Watched = { on: (event: string, listener: unknown) => (heard[event] = listener as Heard) };
    return { map, tile: (sourceId = 'basemap') => heard.data?.({ error: new Error(), sourceId, tile: {} }), fails: (what: object) => heard.error?.({ error: new Error('gone'), ...what }) };
  };
  const started = async (loading: () => Promise<Own | null>) => {
    const configured = new Configured(loading);
    await configured.begin();
    const restyle = vi.fn(() => void configured.style());
    const map = fake();
    configured.watch(map.map, restyle);
    configured.style();
    configured.stood();
    return { configured, restyle, ...map };
  };
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  it('is Natural Earth from the start, and is tried again', async () => {
    const loading = vi.fn(() => Promise.resolve(OWN as Own | null)).mockRejectedValueOnce(new Error('it is away')).mockRejectedValueOnce(new Error('still'));
    const { configured, restyle } = await started(loading);
    expect([configured.kind, configured.trouble, configured.style().name]).toEqual(['natural_earth', 'it is away', 'Natural Earth']);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(configured.trouble).toBe('still');
    await vi.advanceTimersByTimeAsync(119_000);
    expect(restyle).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1_000);
    expect([configured.kind, configured.trouble, configured.style().name]).toEqual(['pmtiles', '', 'own']);
    expect(restyle).toHaveBeenCalledTimes(1);
  });
  it('is given up when tiles fail one after another, not for one', async () => {
    const { configured, restyle, tile, fails } = await started(() => Promise.resolve(OWN));
    for (let turn = 0; turn < 5; turn += 1) {
      fails({ sourceId: 'basemap', tile: {} });
      fails({ sourceId: 'basemap', tile: {} });
      tile();
    }
    expect(configured.trouble).toBe('');
    for (let turn = 0; turn < 3; turn += 1) fails({ sourceId: 'basemap', tile: {} });
    expect([configured.kind, configured.trouble, configured.style().name]).toEqual(['natural_earth', 'gone', 'Natural Earth']);
    expect(restyle).toHaveBeenCalledTimes(1);
  });
  it('is given up at once when a source of it or its style is wrong', async () => {
    const first = await started(() => Promise.resolve(OWN));
    first.fails({ sourceId: 'basemap-roads' });
    expect(first.configured.trouble).toBe('gone');
    const second = await started(() => Promise.resolve(OWN));
    second.configured.style();
    second.fails({});
    expect(second.configured.trouble).toBe('gone');
  });
  it('is not blamed for what fails of our own', async () => {
    const told = vi.spyOn(console, 'error').mockReturnValue();
    const { configured, fails } = await started(() => Promise.resolve(OWN));
    for (let turn = 0; turn < 4; turn += 1) fails({ sourceId: 'vehicles', tile: {} });
    fails({});
    expect(configured.trouble).toBe('');
    expect(told).toHaveBeenCalledTimes(5);
  });
  it('is left alone once the map is gone', async () => {
    const loading = vi.fn(() => Promise.reject<Own | null>(new Error('away')));
    const { configured } = await started(loading);
    configured.stop();
    await vi.advanceTimersByTimeAsync(10_000_000);
    expect(loading).toHaveBeenCalledTimes(1);
  });
});
