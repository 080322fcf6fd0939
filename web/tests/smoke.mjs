// A walk through the console in a real browser, against a real server.
//
//   BASE_URL=http://127.0.0.1:8080 node tests/smoke.mjs OUTPUT_FOLDER
//
// PARTS=webhooks,themes walks those alone, for whoever changes them. At the end it tells how long each step took.
// Asserts what a person must see on each page (tests/walk/, a file a page), and fails on any console
// error, uncaught exception, failed request or breach of WCAG 2.2 AA that axe finds. Screenshots go to
// OUTPUT_FOLDER. CHROMIUM names the browser when it is not /usr/bin/chromium.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { browserPath, Walk } from './walk/browser.mjs';
import { admin } from './walk/admin.mjs';
import { alerts } from './walk/alerts.mjs';
import { billing } from './walk/billing.mjs';
import { booking } from './walk/bookings.mjs';
import { campaigns } from './walk/campaigns.mjs';
import { corrections } from './walk/corrections.mjs';
import { devices } from './walk/devices.mjs';
import { drivers } from './walk/drivers.mjs';
import { manyVehicles } from './walk/fleet.mjs';
import { geofences } from './walk/geofences.mjs';
import { invoices } from './walk/invoices.mjs';
import { live, phone, preferences, reconnect } from './walk/live.mjs';
import { maintenance } from './walk/maintenance.mjs';
import { offline } from './walk/offline.mjs';
import { reports, workbench } from './walk/sql.mjs';
import { themes } from './walk/themes.mjs';
import { trips } from './walk/trips.mjs';
import { webhooks } from './walk/webhooks.mjs';

const base = (process.env.BASE_URL ?? process.argv[3] ?? '').replace(/\/$/, '');
const folder = process.argv[2] ?? process.env.OUTPUT ?? '';

function stop(message, code) {
  console.error(message);
  process.exit(code);
}

if (!base || !folder) stop('usage: BASE_URL=http://HOST:PORT node tests/smoke.mjs OUTPUT_FOLDER', 64);
if (!browserPath()) stop('no Chromium found: install it (apt-get install chromium) or set CHROMIUM to its path', 69);
mkdirSync(folder, { recursive: true });

/** In this order; those of the first kind go on where the one before left the page. */
const ON_ONE_PAGE = { live, geofences, alerts, trips, invoices, billing, workbench, reports, admin, devices, maintenance, drivers, corrections, webhooks, campaigns, preferences };
const BY_THEMSELVES = { reconnect, offline, phone, booking, themes, manyVehicles };
const only = process.env.PARTS?.split(',');
const wanted = (parts) => Object.entries(parts).flatMap(([name, part]) => (only?.includes(name) ?? true ? [part] : []));
const known = Object.keys({ ...ON_ONE_PAGE, ...BY_THEMSELVES });
if (only?.some((name) => !known.includes(name))) stop(`PARTS: of ${known.join(', ')}`, 64);

const startedAt = Date.now();
const walk = await Walk.start(base, folder);
const seen = [];
try {
  const page = await walk.page();
  for (const part of wanted(ON_ONE_PAGE)) seen.push(await part(walk, page));
  await page.context().close();
  for (const part of wanted(BY_THEMSELVES)) seen.push(await part(walk));
} catch (error) {
  walk.faults.push(`${walk.step}: ${error instanceof Error ? error.message : error}`);
  const open = walk.browser.contexts().flatMap((context) => context.pages()).at(-1);
  await open?.screenshot({ path: join(folder, 'failure.png') }).catch(() => undefined);
}
walk.step = 'the end';
await walk.browser.close();
const seconds = (ms) => (ms / 1000).toFixed(1).padStart(6);
for (const [step, ms] of walk.times) console.log(`${seconds(ms)} s  ${step}`);
for (const [what, ms] of Object.entries(walk.spent)) console.log(`${seconds(ms)} s  of it ${what}`);

if (walk.faults.length > 0) {
  for (const fault of walk.faults) console.error(`FAILED ${fault}`);
  stop(`the console failed ${walk.faults.length} check(s) at ${base}; the pictures are in ${folder}`, 1);
}
console.log(`console ok at ${base} in ${Math.round((Date.now() - startedAt) / 1000)} s: ${seen.filter(Boolean).join(', ')}; pictures in ${folder}`);
// What a part may have left open is not waited for.
process.exit(0);
