// A walk through the console in a real browser, against a real server.
//
//   BASE_URL=http://127.0.0.1:8080 node tests/smoke.mjs OUTPUT_FOLDER
//
// Asserts what a person must see on each page, and fails on any console error, uncaught exception
// or failed request. Screenshots go to OUTPUT_FOLDER. CHROMIUM names the browser when it is not
// /usr/bin/chromium.

import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const base = (process.env.BASE_URL ?? process.argv[3] ?? '').replace(/\/$/, '');
const folder = process.argv[2] ?? process.env.OUTPUT ?? '';
const BROWSERS = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const WAIT_MS = 90_000;

const faults = [];
let step = 'start';

function stop(message, code) {
  console.error(message);
  process.exit(code);
}

if (!base || !folder) stop('usage: BASE_URL=http://HOST:PORT node tests/smoke.mjs OUTPUT_FOLDER', 64);
const executablePath = BROWSERS.find((path) => path && existsSync(path));
if (!executablePath) stop('no Chromium found: install it (apt-get install chromium) or set CHROMIUM to its path', 69);
mkdirSync(folder, { recursive: true });

const browser = await chromium.launch({
  executablePath,
  args: [
    '--no-sandbox', '--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader',
    '--disable-background-networking', '--disable-component-update', '--no-first-run',
  ],
});

function watch(page) {
  page.setDefaultTimeout(WAIT_MS);
  page.on('console', (message) => {
    if (message.type() !== 'error') return;
    const { url } = message.location();
    faults.push(`${step}: console error: ${message.text()}${url ? ` (${url})` : ''}`);
  });
  page.on('pageerror', (error) => faults.push(`${step}: uncaught ${error.stack ?? error.message}`));
  page.on('requestfailed', (request) => {
    // Leaving a page ends its streams and pending requests; that is no failure.
    if (request.failure()?.errorText !== 'net::ERR_ABORTED') faults.push(`${step}: ${request.url()} failed: ${request.failure()?.errorText}`);
  });
  page.on('response', (response) => {
    if (response.status() >= 400) faults.push(`${step}: ${response.url()} answered ${response.status()}`);
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(base) && !/^(data|blob):/.test(request.url())) faults.push(`${step}: the page asked another server: ${request.url()}`);
  });
  return page;
}

function check(truth, claim) {
  if (!truth) throw new Error(claim);
}

async function mapDrawn(page) {
  await page.waitForSelector('[data-map="ready"]');
  await page.waitForSelector('[data-drawn]');
  // The map is drawn again each time data comes; the second picture has what came with the first.
  const drawn = Number(await page.locator('[data-drawn]').getAttribute('data-drawn'));
  await page
    .waitForFunction((before) => Number(document.querySelector('[data-drawn]')?.getAttribute('data-drawn')) > before, drawn, { timeout: 3000 })
    .catch(() => undefined);
  const shades = await page.locator('[data-map="ready"]').screenshot().then((png) => png.length);
  check(shades > 8000, `the map is blank (its picture has ${shades} bytes)`);
}

async function walk() {
  const desktop = await browser.newContext({ viewport: { width: 1440, height: 900 }, deviceScaleFactor: 1, colorScheme: 'light', timezoneId: 'Europe/Copenhagen' });
  const page = watch(await desktop.newPage());

  step = 'live map';
  await page.goto(`${base}/`, { waitUntil: 'load' });
  await page.waitForSelector('.list .row');
  await page.waitForSelector('[data-link="live"]');
  await page.waitForSelector('[data-map="ready"]');
  check(await page.getByText('Natural Earth').first().isVisible(), 'the basemap names its source');
  const vehicles = await page.locator('.list .row').count();
  check(vehicles > 0, 'at least one vehicle is listed');
  await mapDrawn(page);
  await page.screenshot({ path: join(folder, 'map.png') });

  step = 'a vehicle';
  await page.locator('.list .row').first().click();
  await page.waitForSelector('aside >> text=Vehicle clock');
  check(page.url().includes('vehicle='), 'the chosen vehicle is in the URL');
  await mapDrawn(page);
  await page.screenshot({ path: join(folder, 'vehicle.png') });

  step = 'trips';
  await page.getByRole('navigation').getByRole('link', { name: 'Trips' }).click();
  await page.waitForSelector('tbody tr');
  const trips = await page.locator('tbody tr').count();
  check(/\d (km|m)\b/.test(await page.locator('tbody tr').first().innerText()), 'a trip shows its distance');
  await page.screenshot({ path: join(folder, 'trips.png') });

  step = 'a trip';
  await page.locator('tbody tr a').first().click();
  await page.waitForSelector('dt:text("Distance")');
  check(/\/trips\/trp_/.test(page.url()), 'the trip is in the URL');
  await page.waitForSelector('[data-map="ready"]');
  await page.waitForSelector('svg[role="slider"]');
  await mapDrawn(page);
  await page.screenshot({ path: join(folder, 'trip.png') });

  step = 'invoices';
  await page.getByRole('navigation').getByRole('link', { name: 'Invoices' }).click();
  await page.waitForSelector('tbody tr');
  await page.screenshot({ path: join(folder, 'invoices.png') });

  step = 'an invoice';
  await page.locator('tbody tr a').first().click();
  await page.waitForSelector('button[data-line]');
  check(await page.getByText('Total', { exact: true }).isVisible(), 'the invoice shows its total');
  const lines = await page.locator('button[data-line]').count();

  step = 'the evidence of a line';
  await page.locator('button[data-line]').nth(Math.min(1, lines - 1)).click();
  await page.waitForSelector('[data-agrees]');
  check((await page.locator('[data-agrees]').getAttribute('data-agrees')) === 'true', 'the evidence agrees with the line');
  check((await page.locator('aside pre').innerText()).toUpperCase().includes('SELECT'), 'the evidence shows its query');
  await page.screenshot({ path: join(folder, 'invoice.png') });

  step = 'SQL';
  await page.goto(`${base}/sql`);
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await page.waitForSelector('tbody tr');
  await page.screenshot({ path: join(folder, 'sql.png') });

  step = 'live map in dark mode';
  const dark = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: 'dark', timezoneId: 'Europe/Copenhagen' });
  const night = watch(await dark.newPage());
  await night.goto(`${base}/`);
  await night.waitForSelector('.list .row');
  await mapDrawn(night);
  await night.screenshot({ path: join(folder, 'dark.png') });

  step = 'phone';
  const small = await browser.newContext({ viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true, colorScheme: 'light' });
  const phone = watch(await small.newPage());
  await phone.goto(`${base}/`);
  await phone.waitForSelector('.list .row');
  await mapDrawn(phone);
  const overflow = await phone.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  check(overflow <= 0, `the page is ${overflow} px wider than a phone`);
  await phone.screenshot({ path: join(folder, 'phone.png') });

  return `${vehicles} vehicles, ${trips} trips on the first page, ${lines} lines on the first invoice`;
}

let seen = '';
try {
  seen = await walk();
} catch (error) {
  faults.push(`${step}: ${error instanceof Error ? error.message : error}`);
  const open = browser.contexts().flatMap((context) => context.pages()).at(-1);
  await open?.screenshot({ path: join(folder, 'failure.png') }).catch(() => undefined);
}
await browser.close();

if (faults.length > 0) {
  for (const fault of faults) console.error(`FAILED ${fault}`);
  stop(`the console failed ${faults.length} check(s) at ${base}; the pictures are in ${folder}`, 1);
}
console.log(`console ok at ${base}: ${seen}; pictures in ${folder}`);
