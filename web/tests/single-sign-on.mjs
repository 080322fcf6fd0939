// A walk to the way in by an identity provider, in a real browser, against a real server and a real provider.
//
//   BASE_URL=http://127.0.0.1:8080 PROVIDER_URL=http://127.0.0.1:9000 API_KEY_FILE=secrets/api.key node tests/single-sign-on.mjs OUTPUT_FOLDER
//
// BASE_URL is the server's `[oidc] public_url`, PROVIDER_URL its `issuer`: api/tests/provider with its accounts,
// and API_KEY_FILE its `api_key_file`. It makes people. As tests/smoke.mjs, it fails on what a person would call
// broken, and leaves pictures in OUTPUT_FOLDER.

import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { browserPath, Walk } from './walk/browser.mjs';
import { singleSignOn } from './walk/single-sign-on.mjs';

const [base, provider] = [process.env.BASE_URL ?? '', process.env.PROVIDER_URL ?? ''].map((url) => url.replace(/\/$/, ''));
const [folder, file] = [process.argv[2] ?? '', process.env.API_KEY_FILE ?? ''];

function stop(message, code) {
  console.error(message);
  process.exit(code);
}

if (!base || !provider || !folder || !file) stop('usage: BASE_URL=http://HOST:PORT PROVIDER_URL=http://HOST:PORT API_KEY_FILE=FILE node tests/single-sign-on.mjs OUTPUT_FOLDER', 64);
if (!browserPath()) stop('no Chromium found: install it (apt-get install chromium) or set CHROMIUM to its path', 69);
mkdirSync(folder, { recursive: true });

const walk = await Walk.start(base, folder);
let seen = '';
try {
  seen = await singleSignOn(walk, provider, readFileSync(file, 'utf8').split('\n')[0].trim());
} catch (error) {
  walk.faults.push(`${walk.step}: ${error instanceof Error ? error.message : error}`);
  const open = walk.browser.contexts().flatMap((context) => context.pages()).at(-1);
  await open?.screenshot({ path: join(folder, 'failure.png') }).catch(() => undefined);
}
await walk.browser.close();
for (const fault of walk.faults) console.error(`FAILED ${fault}`);
if (walk.faults.length > 0) stop(`single sign-on failed ${walk.faults.length} check(s) at ${base}; the pictures are in ${folder}`, 1);
console.log(`single sign-on ok at ${base}: ${seen}; pictures in ${folder}`);
