// A walk over maps with a basemap of their own, in a real browser, against real servers that it starts on a folder with a fleet:
// one with a PMTiles archive that it makes, one with a style of a server that it is itself.
//
//   ROADLAKE=target/debug/roadlake DATA=FOLDER node tests/basemap.mjs OUTPUT_FOLDER
//
// As tests/smoke.mjs, it fails on what a person would call broken, and leaves pictures in OUTPUT_FOLDER.

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { browserPath, Walk } from './walk/browser.mjs';
import { anywhere, byArchive, byStyle, styleServer, writeArchive } from './walk/basemaps.mjs';

const START_MS = 60_000;
const STOP_MS = 60_000;
const folder = process.argv[2] ?? '';
const [program, data] = [process.env.ROADLAKE ?? '', process.env.DATA ?? ''];

function stop(message, code) {
  console.error(message);
  process.exit(code);
}

if (!program || !data || !folder) stop('usage: ROADLAKE=PROGRAM DATA=FOLDER node tests/basemap.mjs OUTPUT_FOLDER', 64);
if (!browserPath()) stop('no Chromium found: install it (apt-get install chromium) or set CHROMIUM to its path', 69);
mkdirSync(folder, { recursive: true });

/** Starts a server; its address, and how it ends. */
async function serve(settings) {
  const env = { ...process.env };
  for (const [key, value] of Object.entries(settings)) env[`ROADLAKE_SERVE__API__CONSOLE__${key.toUpperCase()}`] = value;
  const child = spawn(program, ['serve', '--data', data, '--listen', '127.0.0.1:0', '--mqtt-listen', '127.0.0.1:0'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
  let told = '';
  const address = new Promise((resolve) => {
    const read = (chunk) => {
      told += chunk;
      const found = /^console *(http:\S+)$/m.exec(told);
      if (found) resolve(found[1].replace(/\/$/, ''));
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
  });
  const late = (ms) => new Promise((resolve) => setTimeout(resolve, ms, 'late').unref());
  const base = await Promise.race([address, ended.then(() => 'late'), late(START_MS)]);
  const close = async () => {
    child.kill('SIGINT');
    if ((await Promise.race([ended, late(STOP_MS)])) === 'late') child.kill('SIGKILL');
    await ended;
  };
  if (base === 'late') {
    await close();
    throw new Error(`the server does not serve:\n${told}`);
  }
  return { base, close };
}

const work = mkdtempSync(join(tmpdir(), 'roadlake-basemap-'));
const seen = [];
let walk;
let server;
const houses = [];
try {
  const plain = await serve({});
  server = plain;
  const { path, place } = await anywhere(plain.base);
  await plain.close();
  const file = join(work, 'town.pmtiles');
  writeArchive(file, place);
  server = await serve({ basemap_file: file, basemap_attribution: 'Walk county' });
  walk = await Walk.start(server.base, folder);
  seen.push(await byArchive(walk, file, path));
  await server.close();
  houses.push(await styleServer(), await styleServer());
  server = await serve({ basemap_style_url: `${houses[0].origin}/styles/day.json` });
  walk.base = server.base;
  seen.push(await byStyle(walk, houses, path));
} catch (error) {
  walk?.faults.push(`${walk.step}: ${error instanceof Error ? error.message : error}`);
  const open = walk?.browser.contexts().flatMap((context) => context.pages()).at(-1);
  await open?.screenshot({ path: join(folder, 'failure.png') }).catch(() => undefined);
  if (!walk) console.error(error);
}
await walk?.browser.close();
await server?.close();
await Promise.all(houses.map((house) => house.close()));
rmSync(work, { recursive: true, force: true });
for (const fault of walk?.faults ?? []) console.error(`FAILED ${fault}`);
if (!walk || walk.faults.length > 0) stop(`the basemaps failed ${walk?.faults.length ?? 1} check(s); the pictures are in ${folder}`, 1);
console.log(`basemaps ok: ${seen.join('; ')}; pictures in ${folder}`);
process.exit(0);
