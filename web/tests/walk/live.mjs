// The live map: vehicles, one of them, its own page; a link that is cut and comes back; a phone; the dark.

import { check, cuttable } from './browser.mjs';

/** Where the map is not what is looked at: it is drawn in software, each time a vehicle moves. */
const SMALL = { width: 800, height: 600 };

export async function live(walk, page) {
  walk.step = 'live map';
  await page.goto(`${walk.base}/`, { waitUntil: 'load' });
  await page.waitForSelector('.list .row');
  await page.waitForSelector('[data-link="live"]');
  await page.waitForSelector('[data-map="ready"]');
  // Once the style is there, which is a moment after the map.
  await page.getByText('Natural Earth').first().waitFor();
  const vehicles = await page.locator('.list .row').count();
  check(vehicles > 0, 'at least one vehicle is listed');
  await walk.mapDrawn(page);
  await walk.shot(page, 'map');
  await walk.accessible(page);

  walk.step = 'a vehicle on the map';
  const driving = page.locator('.list .row', { hasText: 'Moving' });
  await ((await driving.count()) > 0 ? driving : page.locator('.list .row')).first().click();
  await page.waitForSelector('aside >> text=Vehicle clock');
  check(page.url().includes('vehicle='), 'the chosen vehicle is in the URL');
  // Who looks from further away goes on doing so while the map follows. The scale tells how far that is.
  const scale = page.locator('.maplibregl-ctrl-scale');
  await page.waitForFunction(() => /^\d+\s(m|km)/.test(document.querySelector('.maplibregl-ctrl-scale')?.textContent ?? ''));
  await page.waitForTimeout(1500);
  const before = await scale.innerText();
  for (let step = 0; step < 3; step += 1) {
    await page.getByRole('button', { name: 'Zoom out' }).click();
    await page.waitForTimeout(500);
  }
  const far = await scale.innerText();
  check(far !== before, `further away: ${before}, ${far}`);
  await page.waitForTimeout(4000);
  check((await scale.innerText()) === far, `the map stays as far away: ${far}, then ${await scale.innerText()}`);

  walk.step = 'a vehicle';
  await page.getByRole('link', { name: 'Details' }).click();
  await page.waitForSelector('[data-signals]:not([data-signals="-1"])');
  check(/\/vehicles\//.test(page.url()), 'a vehicle has a page of its own');
  check((await page.locator('section[aria-label="Signals"] li').count()) > 2, 'its signals are shown');
  await page.waitForSelector('[data-faults]:not([data-faults="-1"])');
  await page.waitForSelector('section[aria-label="Trips"] :is(tbody tr, .none)');
  await page.waitForSelector('[data-chart="mileage"][data-state="shown"]');
  const readTo = await page.locator('[data-signals]').getAttribute('data-to');
  const drives = (await page.locator('h1').innerText()).includes('Moving');
  // Its signals go on while it drives, without a press.
  if (drives) await page.waitForFunction((before) => Number(document.querySelector('[data-signals]')?.getAttribute('data-to')) > Number(before), readTo);
  await walk.shot(page, 'vehicle');
  await walk.accessible(page);
  return `${vehicles} vehicles`;
}

export async function reconnect(walk) {
  walk.step = 'a lost connection';
  const way = await cuttable(walk.base);
  walk.expected = new RegExp(`^${way.base}/`);
  try {
    const page = await walk.page({ viewport: SMALL }, way.base);
    await page.goto(`${way.base}/`);
    await page.waitForSelector('.list .row');
    await page.waitForSelector('[data-link="live"]');
    way.cut();
    await page.waitForSelector('[data-link="reconnecting"]');
    await page.getByText('The connection was lost').waitFor();
    check((await page.locator('.list .row').count()) > 0, 'what was known stays in view');
    check(await page.getByRole('button', { name: 'Try now' }).isVisible(), 'who does not want to wait need not');
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Campaigns' }).click();
    await page.getByText('This part of the console did not come').waitFor();
    way.mend();
    await page.getByRole('heading', { name: 'Campaigns' }).waitFor();
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Live' }).click();
    // By itself: the next try is planned.
    await page.waitForSelector('[data-link="live"]');
    await page.getByText('The connection was lost').waitFor({ state: 'detached' });
    await page.context().close();
  } finally {
    way.close();
    walk.expected = null;
  }
}

export async function phone(walk) {
  walk.step = 'phone';
  const page = await walk.page({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
  await page.goto(`${walk.base}/`);
  await page.waitForSelector('.list .row');
  await walk.mapDrawn(page);
  await walk.fits(page);
  await walk.shot(page, 'phone');

  walk.step = 'the rest of the pages on a phone';
  const bar = page.getByRole('navigation', { name: 'Pages' });
  check((await bar.getByRole('link').count()) === 4, 'four pages and the way to the rest are in the bar');
  const more = page.getByRole('button', { name: 'More', exact: true });
  const sheet = page.getByRole('dialog', { name: 'More pages' });
  await more.tap();
  await sheet.waitFor();
  check((await sheet.evaluate((node) => node.contains(document.activeElement))), 'the focus is in what was opened');
  await walk.accessible(page);
  await walk.fits(page);
  await walk.shot(page, 'phone-more');
  await page.keyboard.press('Escape');
  await sheet.waitFor({ state: 'hidden' });
  check((await more.evaluate((node) => document.activeElement === node)), 'the focus is given back');
  await more.press('Enter');
  await sheet.getByRole('link', { name: 'SQL' }).tap();
  await page.waitForURL(/\/sql$/);
  await sheet.waitFor({ state: 'hidden' });
  await page.waitForSelector('h1');

  walk.step = 'pages on a phone';
  for (const path of ['/trips', '/sql']) {
    await page.goto(`${walk.base}${path}`);
    await page.waitForSelector('h1');
    await walk.fits(page);
  }
  await page.context().close();
}

export async function preferences(walk, page) {
  walk.step = 'preferences';
  await page.goto(`${walk.base}/`);
  await page.waitForSelector('.list .row');
  await page.getByRole('button', { name: 'Settings' }).press('Enter');
  await page.getByRole('radio', { name: 'Dark' }).check({ force: true });
  check((await page.locator('html').getAttribute('data-theme')) === 'dark', 'the page is dark at once');
  await page.getByRole('radio', { name: 'Imperial' }).check({ force: true });
  await page.getByLabel('Time zone').fill('Asia/Tokyo');
  await page.getByLabel('Time zone').press('Enter');
  await page.keyboard.press('Escape');
  await walk.mapDrawn(page);
  await walk.shot(page, 'dark');
  await walk.accessible(page);

  await page.goto(`${walk.base}/trips`);
  await page.waitForSelector('tbody tr');
  check(/\d (mi|ft)\b/.test(await page.locator('tbody tr').first().innerText()), 'miles are kept over a reload');

  walk.step = 'a vehicle in imperial units';
  const { data: fleet } = await (await fetch(`${walk.base}/v1/fleet/status`)).json();
  const vehicle = fleet.find(({ state }) => state !== 'offline') ?? fleet[0];
  await page.goto(`${walk.base}/vehicles/${vehicle.vehicle_id}`);
  await page.waitForSelector('[data-signals]:not([data-signals="-1"]):not([data-signals="0"])');
  await page.waitForSelector('[data-chart="mileage"][data-state="shown"]');
  const told = await page.locator('.summary, section[aria-label="Signals"], [data-chart="mileage"]').allInnerTexts();
  check(/\d (mi|ft)\b/.test(told[0]), `what it drove is in miles: ${told[0]}`);
  check(told.some((text) => /\d mph\b/.test(text)), 'its speed is in miles an hour');
  check(!told.some((text) => /\d (km|km\/h|m|l|°C)(?![\w/])/.test(text)), `nothing is metric: ${told}`);
  await page.evaluate(() => localStorage.clear());
}
