// Maps above a basemap of the server's configuration: an archive by day and by night, a style of another server, and Natural
// Earth where either cannot be had.

import { rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { archive, town } from './archive.mjs';
import { check } from './browser.mjs';

const ZOOM_MAX = 15;
const CREDIT = '<a href="https://walk.example">© Walk Mapping</a>';
const LINE = 'The basemap cannot be had; this is Natural Earth.';

/** The share of a map's picture that is of each colour, given as `#rrggbb` or by the name of a token. */
async function shares(page, names) {
  const png = await page.locator('[data-map="ready"]').screenshot();
  return page.evaluate(async ([source, wanted]) => {
    const image = new Image();
    image.src = source;
    await image.decode();
    const context = Object.assign(document.createElement('canvas'), { width: image.width, height: image.height }).getContext('2d');
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, image.width, image.height);
    const root = getComputedStyle(document.documentElement);
    const parsed = wanted.map((name) => (name.startsWith('#') ? name : root.getPropertyValue(`--${name}`).trim())).map((text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)));
    const counts = parsed.map(() => 0);
    for (let at = 0; at < data.length; at += 4) parsed.forEach(([r, g, b], index) => (counts[index] += Math.max(Math.abs(data[at] - r), Math.abs(data[at + 1] - g), Math.abs(data[at + 2] - b)) < 4 ? 1 : 0));
    return Object.fromEntries(wanted.map((name, index) => [name, counts[index] / (data.length / 4)]));
  }, [`data:image/png;base64,${png.toString('base64')}`, names]);
}

/** What is drawn in a moment: every colour of `least` covers as much of the map. */
async function drawn(page, least, what) {
  let seen = {};
  for (let turn = 0; turn < 40; turn += 1) {
    seen = await shares(page, Object.keys(least));
    if (Object.entries(least).every(([name, share]) => seen[name] >= share)) return;
    await page.waitForTimeout(500);
  }
  check(false, `${what}: of the map's picture ${JSON.stringify(seen)}, wanted ${JSON.stringify(least)}`);
}

const credits = (page) => page.locator('.maplibregl-ctrl-attrib-inner').innerText();
/** The ring around the vehicle that is chosen: our own layer. */
const RING = { accent: 0.00006 };
const TOWN = { 'map-water': 0.05, 'map-highway': 0.002, 'map-green': 0.01, 'map-building': 0.0005 };

/** Where a vehicle is, and the address of the map that shows it. */
export async function anywhere(base) {
  // A server that has just started reads the lake first.
  for (let turn = 0; turn < 120; turn += 1) {
    const { data } = await (await fetch(`${base}/v1/fleet/status`)).json();
    const item = data.find(({ latitude }) => latitude != null);
    if (item) return { path: `/?vehicle=${item.vehicle_id}`, place: [item.longitude, item.latitude] };
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  throw new Error('there is no vehicle with a place');
}

export const writeArchive = (file, place, metadata = { attribution: CREDIT }) => writeFileSync(file, archive(place, ZOOM_MAX, metadata));

async function opened(walk, path, kind, options = {}) {
  const page = await walk.page(options);
  await page.goto(`${walk.base}${path}`);
  await page.waitForSelector(`[data-map="ready"][data-basemap="${kind}"]`);
  await page.waitForSelector('[data-drawn]');
  return page;
}

/** An archive: by day, by night without a new page, and gone while the page is open. */
export async function byArchive(walk, file, path) {
  walk.step = 'an archive by day';
  const page = await opened(walk, path, 'pmtiles');
  const ranges = new Set();
  page.on('response', (response) => response.url().endsWith('/basemap.pmtiles') && ranges.add(response.status()));
  await drawn(page, { ...TOWN, ...RING }, 'the town and the vehicle above it');
  check((await credits(page)).includes('© Walk Mapping'), 'the archive’s source is shown');
  check((await credits(page)).includes('Walk county'), 'what the configuration adds is shown');
  await walk.shot(page, 'basemap-archive');
  await walk.accessible(page);

  walk.step = 'an archive by night';
  const byDay = await shares(page, ['#f6e6c3']);
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.waitForSelector('html[data-theme="dark"]');
  await drawn(page, { ...TOWN, ...RING }, 'the town by night and the vehicle above it');
  check(byDay['#f6e6c3'] > 0 && (await shares(page, ['#f6e6c3']))['#f6e6c3'] === 0, 'nothing by day is left');
  await walk.shot(page, 'basemap-archive-dark');
  await walk.accessible(page);

  walk.step = 'an archive from above';
  await page.emulateMedia({ colorScheme: 'light' });
  await page.getByRole('button', { name: 'Show all' }).click();
  await page.waitForTimeout(1500);
  await walk.shot(page, 'basemap-archive-far');
  check(ranges.size === 1 && ranges.has(206), `tiles come by ranges alone (${[...ranges]})`);

  walk.step = 'an archive that is gone';
  walk.expected = /\/basemap\.pmtiles$/;
  await page.goto(`${walk.base}${path}`);
  await drawn(page, { ...TOWN, ...RING }, 'the town once more');
  rmSync(file);
  // Closer, where no tile has been asked for yet.
  for (let turn = 0; turn < 3; turn += 1) await page.locator('.maplibregl-ctrl-zoom-in').click({ delay: 400 });
  await page.waitForSelector('[data-basemap="natural_earth"]');
  await page.getByText(LINE).waitFor();
  await drawn(page, { 'map-land': 0.2, ...RING }, 'Natural Earth in place of it');
  await page.context().close();
  const without = await opened(walk, path, 'natural_earth');
  await without.getByText(LINE).waitFor();
  await drawn(without, { 'map-land': 0.2, ...RING }, 'Natural Earth and the vehicle above it');
  check((await credits(without)).includes('Natural Earth'), 'Natural Earth is named');
  await walk.shot(without, 'basemap-gone');
  await walk.accessible(without);
  await without.context().close();
  walk.expected = null;
  return 'an archive by day, by night and gone';
}

/** A server with a style, its tiles, its fonts and its icons. */
export async function styleServer() {
  const asked = [];
  const style = {
    version: 8,
    sources: { vehicles: { type: 'vector', tiles: ['tiles/{z}/{x}/{y}.mvt'], maxzoom: 14, attribution: '© Style House' } },
    sprite: '',
    glyphs: 'fonts/{fontstack}/{range}.pbf',
    layers: [
      { id: 'vehicles', type: 'background', paint: { 'background-color': '#c8e0f4' } },
      { id: 'sea', type: 'fill', source: 'vehicles', 'source-layer': 'water', filter: ['==', ['geometry-type'], 'Polygon'], paint: { 'fill-color': '#7a33cc' } },
      { id: 'roads', type: 'line', source: 'vehicles', 'source-layer': 'roads', paint: { 'line-color': '#cc3377', 'line-width': 4 } },
      { id: 'towns', type: 'symbol', source: 'vehicles', 'source-layer': 'places', layout: { 'text-field': ['get', 'name'], 'text-font': ['Walk Sans'] } },
    ],
  };
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url, 'http://walk').pathname);
    asked.push(path);
    const answer = (kind, body) => response.writeHead(200, { 'access-control-allow-origin': '*', 'content-type': kind, 'cache-control': 'no-store' }).end(body);
    if (path === '/styles/day.json') return answer('application/json', JSON.stringify({ ...style, sprite: `http://${request.headers.host}/sprites/day` }));
    if (path.endsWith('.json')) return answer('application/json', '{}');
    if (path.endsWith('.mvt')) return answer('application/x-protobuf', town(0));
    // A font without letters.
    if (path.endsWith('.pbf')) return answer('application/x-protobuf', Buffer.alloc(0));
    if (path.endsWith('.png')) return answer('image/png', Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==', 'base64'));
    return response.writeHead(404, { 'access-control-allow-origin': '*' }).end();
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    asked,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A style of another server, that server and no other let through, and that server gone. */
export async function byStyle(walk, houses, path) {
  const [house, other] = houses;
  walk.step = 'a style of another server';
  walk.also = house.origin;
  const page = await opened(walk, path, 'style');
  await drawn(page, { '#7a33cc': 0.05, '#cc3377': 0.005, ...RING }, 'the style and the vehicle above it');
  check((await credits(page)).includes('© Style House'), 'the style’s source is shown');
  check(house.asked.includes('/sprites/day.json') && house.asked.some((at) => at.endsWith('.mvt')), `icons and tiles were asked for (${house.asked.slice(0, 9)})`);
  const fonts = new Set(house.asked.filter((at) => at.startsWith('/styles/fonts/')).map((at) => at.split('/')[3]));
  check(fonts.size === 1 && fonts.has('Walk Sans'), `the server is asked for the style's fonts and not for ours (${[...fonts]})`);
  await walk.shot(page, 'basemap-style');
  await walk.accessible(page);
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.waitForSelector('html[data-theme="dark"]');
  await drawn(page, { '#7a33cc': 0.05, ...RING }, 'the style stays in the dark, the vehicle above it');
  await walk.shot(page, 'basemap-style-dark');

  walk.step = 'what a page may ask';
  const context = await walk.browser.newContext();
  const bare = await context.newPage();
  await bare.goto(`${walk.base}/invoices`);
  const gets = (origin) => bare.evaluate((url) => fetch(url).then(({ status }) => status, () => 0), `${origin}/styles/day.json`);
  check((await gets(house.origin)) === 200, 'the style’s server may be asked');
  check((await gets(other.origin)) === 0 && other.asked.length === 0, 'no other server may be asked');
  await context.close();

  walk.step = 'a style whose server is gone';
  walk.expected = new RegExp(`^${house.origin}/`);
  await page.context().close();
  await house.close();
  const without = await opened(walk, path, 'natural_earth', { colorScheme: 'dark' });
  await without.getByText(LINE).waitFor();
  await drawn(without, { 'map-land': 0.2, ...RING }, 'Natural Earth and the vehicle above it');
  await walk.shot(without, 'basemap-style-gone');
  await without.context().close();
  walk.expected = null;
  return 'a style of another server, and it alone let through';
}
