// A walk to the way in, in a real browser, against a real server that asks for keys.
//
//   BASE_URL=http://127.0.0.1:8080 API_KEY_FILE=secrets/api.key node tests/sign-in.mjs OUTPUT_FOLDER
//
// API_KEY_FILE is the server's own `api_key_file`. It makes keys, and revokes some. As tests/smoke.mjs,
// it fails on what a person would call broken, and leaves pictures in OUTPUT_FOLDER.

import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { browserPath, Walk } from './walk/browser.mjs';
import { wayIn } from './walk/sign-in.mjs';

const base = (process.env.BASE_URL ?? '').replace(/\/$/, '');
const [folder, file] = [process.argv[2] ?? '', process.env.API_KEY_FILE ?? ''];

function stop(message, code) {
  console.error(message);
  process.exit(code);
}

if (!base || !folder || !file) stop('usage: BASE_URL=http://HOST:PORT API_KEY_FILE=FILE node tests/sign-in.mjs OUTPUT_FOLDER', 64);
if (!browserPath()) stop('no Chromium found: install it (apt-get install chromium) or set CHROMIUM to its path', 69);
mkdirSync(folder, { recursive: true });

const walk = await Walk.start(base, folder);
let seen = '';
try {
  seen = await wayIn(walk, readFileSync(file, 'utf8').split('\n')[0].trim());
} catch (error) {
  walk.faults.push(`${walk.step}: ${error instanceof Error ? error.message : error}`);
  const open = walk.browser.contexts().flatMap((context) => context.pages()).at(-1);
  await open?.screenshot({ path: join(folder, 'failure.png') }).catch(() => undefined);
}
await walk.browser.close();
for (const fault of walk.faults) console.error(`FAILED ${fault}`);
if (walk.faults.length > 0) stop(`signing in failed ${walk.faults.length} check(s) at ${base}; the pictures are in ${folder}`, 1);
console.log(`sign-in ok at ${base}: ${seen}; pictures in ${folder}`);
