// A small town as vector tiles of Protomaps' schema, and a PMTiles archive (version 3) of them: what the walk lays below the
// fleet. Every tile of a zoom is the same town, so an archive of a few kilobytes covers any place.

import { gzipSync } from 'node:zlib';
import { zxyToTileId } from 'pmtiles';

const EXTENT = 4096;
const HEADER_LEN = 127;
/** A reader gets so much at once, and browsers keep it: tiles come after that, so that each is asked for. */
const READ_FIRST = 16_384;
const [POINT, LINE, POLYGON] = [1, 2, 3];

function varint(value) {
  const bytes = [];
  let rest = BigInt(value);
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}
const field = (number, type, ...parts) => Buffer.concat([varint((number << 3) | type), ...parts]);
const bytes = (number, content) => field(number, 2, varint(content.length), content);
const text = (number, content) => bytes(number, Buffer.from(content));
const zigzag = (value) => (value < 0 ? -2 * value - 1 : 2 * value);

/** The commands of a path, or of each ring of an area. */
function commands(type, paths) {
  const out = [];
  let [x, y] = [0, 0];
  const to = ([toX, toY]) => {
    out.push(zigzag(toX - x), zigzag(toY - y));
    [x, y] = [toX, toY];
  };
  for (const [first, ...others] of paths) {
    out.push((1 << 3) | 1);
    to(first);
    if (others.length) out.push((others.length << 3) | 2);
    others.forEach(to);
    if (type === POLYGON) out.push((1 << 3) | 7);
  }
  return Buffer.concat(out.map(varint));
}

function layer(name, features) {
  const [keys, values] = [[], []];
  const index = (list, value) => (list.includes(value) ? list.indexOf(value) : list.push(value) - 1);
  const made = features.map(([type, paths, properties]) => {
    const tags = Object.entries(properties).flatMap(([key, value]) => [index(keys, key), index(values, value)]);
    return bytes(2, Buffer.concat([bytes(2, Buffer.concat(tags.map(varint))), field(3, 0, varint(type)), bytes(4, commands(type, paths))]));
  });
  const kept = values.map((value) => bytes(4, typeof value === 'number' ? field(5, 0, varint(value)) : text(1, value)));
  return bytes(3, Buffer.concat([text(1, name), ...made, ...keys.map((key) => text(3, key)), ...kept, field(5, 0, varint(EXTENT)), field(15, 0, varint(2))]));
}

const box = (left, top, right, bottom) => [[left, top], [right, top], [right, bottom], [left, bottom]];
const area = (kind, ...corners) => [POLYGON, [box(...corners)], { kind }];
const road = (kind, points, more = {}) => [LINE, [points], { kind, ...more }];

/** The town at a zoom, as one tile. */
export function town(zoom) {
  const streets = [700, 1100, 1500, 2300, 2700].flatMap((at) => [
    road('minor_road', [[1000, at], [2900, at]], { name: 'Short Street' }),
    road('minor_road', [[at + 300, 500], [at + 300, 2900]], { name: 'Long Street' }),
  ]);
  const houses = [800, 1200, 1600, 2400].flatMap((x) => [800, 1200, 1600, 2400].map((y) => area('building', x + 250, y, x + 330, y + 120)));
  return Buffer.concat([
    layer('earth', [area('earth', 0, 0, EXTENT, EXTENT)]),
    layer('landuse', [area('residential', 900, 400, 3000, 3000), area('park', 1850, 1150, 2250, 2250), area('wood', 3100, 2600, 4000, 4000), area('industrial', 3100, 400, 3900, 1400)]),
    layer('water', [
      area('ocean', 0, 0, 600, EXTENT),
      [LINE, [[[600, 3300], [2000, 3400], [EXTENT, 3100]]], { kind: 'river', name: 'Walk Brook' }],
      [POINT, [[[300, 2000]]], { kind: 'bay', name: 'Walk Bay', 'name:en': 'Walk Bay' }],
    ]),
    layer('roads', [
      ...streets,
      road('path', [[1850, 1150], [2250, 2250]]),
      road('rail', [[0, 3650], [EXTENT, 3600]]),
      road('major_road', [[600, 1900], [EXTENT, 1900]], { name: 'Main Street', ref: '210', shield_text: '210' }),
      road('highway', [[3050, 0], [3050, EXTENT]], { name: 'Ring Road', ref: 'E 20', shield_text: 'E20' }),
    ]),
    layer('buildings', houses),
    layer('boundaries', [[LINE, [[[0, 3950], [EXTENT, 3950]]], { kind: 'country', kind_detail: 2 }]]),
    layer('places', [
      [POINT, [[[2000, 1750]]], { kind: 'locality', kind_detail: 'town', name: `Walkby ${zoom}`, population_rank: 9 }],
      [POINT, [[[3500, 900]]], { kind: 'neighbourhood', name: 'Works' }],
      [POINT, [[[1300, 3700]]], { kind: 'country', name: 'Land', 'name:en': 'Walkland', population_rank: 12 }],
    ]),
  ]);
}

/** The tile at a place, and those around it. */
function around([longitude, latitude], zoom) {
  const count = 2 ** zoom;
  const y = ((1 - Math.asinh(Math.tan((latitude * Math.PI) / 180)) / Math.PI) / 2) * count;
  const near = (at) => [-3, -2, -1, 0, 1, 2, 3].map((by) => Math.floor(at) + by).filter((tile) => tile >= 0 && tile < count);
  return near(((longitude + 180) / 360) * count).flatMap((column) => near(y).map((row) => [zoom, column, row]));
}

/** An archive of the town around a place, at the zooms from 0 to `zoomMax`. */
export function archive(place, zoomMax, metadata) {
  const tiles = [];
  const entries = [];
  let offset = 0;
  for (let zoom = 0; zoom <= zoomMax; zoom += 1) {
    const tile = gzipSync(town(zoom));
    for (const [z, x, y] of around(place, zoom)) entries.push({ id: zxyToTileId(z, x, y), offset, length: tile.length });
    tiles.push(tile);
    offset += tile.length;
  }
  entries.sort((a, b) => a.id - b.id);
  const directory = gzipSync(Buffer.concat([
    varint(entries.length),
    ...entries.map(({ id }, index) => varint(id - (entries[index - 1]?.id ?? 0))),
    ...entries.map(() => varint(1)),
    ...entries.map(({ length }) => varint(length)),
    ...entries.map((entry) => varint(entry.offset + 1)),
  ]));
  const about = gzipSync(JSON.stringify({ vector_layers: ['earth', 'landuse', 'water', 'roads', 'buildings', 'boundaries', 'places'].map((id) => ({ id, fields: {} })), ...metadata }));
  const header = Buffer.alloc(HEADER_LEN);
  header.write('PMTiles');
  header[7] = 3;
  const [rootAt, aboutAt, tilesAt] = [HEADER_LEN, HEADER_LEN + directory.length, READ_FIRST];
  const gap = Buffer.alloc(tilesAt - aboutAt - about.length);
  [rootAt, directory.length, aboutAt, about.length, tilesAt, 0, tilesAt, offset, entries.length, entries.length, tiles.length].forEach((value, index) => header.writeBigUInt64LE(BigInt(value), 8 + 8 * index));
  // Not in the order of their ids; gzip within and for tiles; vector tiles.
  [0, 2, 2, 1, 0, zoomMax].forEach((value, index) => (header[96 + index] = value));
  [-180, -85, 180, 85].forEach((value, index) => header.writeInt32LE(value * 1e7, 102 + 4 * index));
  [place[0], place[1]].forEach((value, index) => header.writeInt32LE(Math.round(value * 1e7), 119 + 4 * index));
  return Buffer.concat([header, directory, about, gap, ...tiles]);
}
