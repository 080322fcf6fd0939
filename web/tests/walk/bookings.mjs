// A booking on a phone: refused without credit, then made once whatever is tapped or lost, seen after a reload,
// extended, and given up.

import { check } from './browser.mjs';

const THUMB_PX = 44;

/** What the console's pages are tried with is put there by the api, as its operator would. */
export async function ask(walk, method, path, body) {
  const response = await fetch(`${walk.base}${path}`, {
    method,
    headers: { 'content-type': 'application/json', 'idempotency-key': `walk-${path}-${Math.random()}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  check(response.ok, `${method} ${path} answered ${response.status}: ${await response.clone().text()}`);
  return response.json();
}

/** An organization that has vehicles which are free now, and its wallet. */
export async function customer(walk) {
  const { data } = await ask(walk, 'GET', '/v1/organizations');
  const organization = data.find(({ name }) => name === 'Ridge Couriers') ?? data[0];
  const { data: wallets } = await ask(walk, 'GET', `/v1/wallets?organization_id=${organization.id}`);
  return { organization, wallet: wallets[0] ?? (await ask(walk, 'POST', '/v1/wallets', { organization_id: organization.id })) };
}

export async function booking(walk) {
  const page = await walk.page({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
  const { organization, wallet } = await customer(walk);
  const made = async () => (await ask(walk, 'GET', `/v1/bookings?organization_id=${organization.id}`)).data.filter(({ status }) => status !== 'failed').length;
  const before = await made();

  walk.step = 'a booking without credit';
  await page.goto(`${walk.base}/bookings`);
  await page.getByRole('link', { name: 'Book a vehicle' }).tap();
  await page.waitForSelector('form[data-free]:not([data-free="-1"])');
  await page.getByRole('combobox', { name: 'For', exact: true }).selectOption(organization.id);
  await page.getByRole('button', { name: 'Later' }).tap();
  await page.getByRole('button', { name: '4 h' }).tap();
  await page.waitForSelector('[data-price]:not([data-price=""])');
  await walk.fits(page);
  const small = await page.locator('main :is(form button, form select, form input:not([type=radio]), form label:has([type=radio]))').evaluateAll(
    (all, least) => all.filter((item) => item.getBoundingClientRect().height < least && !item.closest('.maplibregl-map')).map((item) => item.outerHTML.slice(0, 120)), THUMB_PX);
  check(small.length === 0, `what is tapped is as large as a thumb: ${small}`);
  const dear = 100_000_000;
  await page.getByRole('spinbutton').fill('90000');
  await page.getByRole('spinbutton').blur();
  await page.waitForFunction(() => Number(document.querySelector('[data-price]').dataset.price) > 1_000_000);
  check(wallet.available_minor < dear, 'the wallet has less than all of that');
  walk.expected = /\/v1\/bookings$/;
  await page.getByRole('button', { name: 'Book', exact: true }).tap();
  await page.getByRole('alert').filter({ hasText: 'is missing' }).waitFor();
  check((await page.locator('[data-wish]').getAttribute('data-wish')) === 'refused', 'a refusal says why');
  walk.expected = null;

  walk.step = 'a booking whose answer is lost';
  await ask(walk, 'POST', `/v1/wallets/${wallet.id}/top-ups`, { amount_minor: 50_000, reference: 'walk' });
  await page.getByRole('spinbutton').fill('25');
  await page.getByRole('spinbutton').blur();
  await page.locator('.list label').nth(1).tap();
  const vehicle = new URL(page.url()).searchParams.get('vehicle');
  check(vehicle, 'the vehicle is in the URL');
  // Of the vehicle that is chosen, as it is asked about last.
  await page.waitForFunction(() => ((price) => price > 0 && price < 100_000)(Number(document.querySelector('[data-price]').dataset.price)));
  await page.waitForSelector('[data-price][aria-busy="false"]');
  const price = Number(await page.locator('[data-price]').getAttribute('data-price'));
  // Where the page begins, as a person who opens the link sees it.
  await page.locator('.page').evaluate((item) => item.scrollTo(0, 0));
  await walk.shot(page, 'booking');
  await walk.accessible(page);
  const keys = [];
  await page.route('**/v1/bookings', async (route) => {
    if (route.request().method() !== 'POST') return route.continue();
    keys.push(route.request().headers()['idempotency-key']);
    if (keys.length > 1) return route.continue();
    // The server has it and answers; on the way back the link is lost.
    await route.fetch();
    await route.abort('connectionreset');
  });
  walk.expected = /\/v1\/bookings$/;
  const button = page.getByRole('button', { name: 'Book', exact: true });
  await button.evaluate((item) => (item.click(), item.click()));
  await page.waitForSelector('[data-wish="unsure"]');
  check(keys.length === 1, `two taps are one request: ${keys.length}`);
  await page.reload();
  await page.waitForURL(/\/bookings\/bkg_/);
  walk.expected = null;
  check(keys.length === 2 && keys[0] === keys[1], 'after a reload the same wish is sent, under the same key');
  await page.unroute('**/v1/bookings');
  await page.waitForSelector('[data-status="confirmed"]');
  const id = page.url().split('/').pop();
  const own = await ask(walk, 'GET', `/v1/bookings/${id}`);
  check(own.vehicle_id === vehicle && own.price.total_minor === price, `the price that was told (${price}) is the booking's (${own.price.total_minor})`);
  const after = await made();
  check(after === 1 + before, `it was booked once: ${before} before, ${after} after`);

  walk.step = 'a booking';
  await page.reload();
  await page.waitForSelector('[data-status="confirmed"]');
  await walk.fits(page);
  await walk.shot(page, 'booking-confirmed');
  await walk.accessible(page);
  await page.goto(`${walk.base}/bookings/new?of=${organization.id}&from=${own.from}&vehicle=${vehicle}`);
  await page.getByText('is not free in this time').waitFor();
  check(await page.getByRole('button', { name: 'Book', exact: true }).isDisabled(), 'what is taken cannot be booked');

  walk.step = 'a booking on the map';
  await page.getByRole('button', { name: 'On the map' }).tap();
  await walk.mapDrawn(page);

  walk.step = 'a booking from a place of the fleet';
  const { data: fleet } = await ask(walk, 'GET', '/v1/fleet/status');
  const placed = fleet.find(({ latitude, longitude }) => latitude !== null && longitude !== null);
  const depot = await ask(walk, 'POST', '/v1/geofences', { name: `Walk’s yard ${Date.now()}`, kind: 'parking', colour: '#2563eb', tags: [], geometry: { type: 'Circle', centre: [placed.longitude, placed.latitude], radius_m: 200 } });
  await page.goto(`${walk.base}/bookings/new?of=${organization.id}`);
  await page.getByRole('combobox', { name: 'Near', exact: true }).selectOption(depot.name);
  check(/at=-?\d/.test(page.url()), 'where it is from is in the URL');
  await page.locator('.list').getByText(' away').first().waitFor();
  await walk.accessible(page);
  await page.reload();
  await page.locator('.list').getByText(' away').first().waitFor();
  const typed = page.getByLabel('Latitude, longitude');
  await typed.fill('somewhere');
  await typed.press('Tab');
  await page.getByText('Latitude and longitude, such as').waitFor();
  await typed.fill('56.15, 10.2');
  await typed.press('Tab');
  await page.waitForFunction(() => new URL(location.href).searchParams.get('at') === '56.15,10.2');
  await walk.fits(page);

  walk.step = 'a booking is extended';
  await page.goto(`${walk.base}/bookings`);
  await page.locator(`a[href$="${id}"]`).tap();
  await page.getByRole('button', { name: 'Extend' }).tap();
  await page.getByRole('button', { name: '1 h', exact: true }).tap();
  await page.waitForSelector('[data-longer]');
  const told = Number(await page.locator('[data-longer]').getAttribute('data-longer'));
  await walk.accessible(page);
  await page.getByRole('button', { name: /^Extend until/ }).tap();
  await page.getByText('5 h,').waitFor();
  const longer = await ask(walk, 'GET', `/v1/bookings/${id}`);
  check(Date.parse(longer.to) - Date.parse(own.to) === 3_600_000 && longer.price.total_minor > price && longer.price.total_minor === told, 'it is an hour longer, and dearer, as it was told');

  walk.step = 'a booking is given up';
  await page.getByRole('button', { name: 'Cancel', exact: true }).tap();
  await page.getByRole('button', { name: 'Yes, cancel it' }).tap();
  await page.waitForSelector('[data-status="cancelled"]');
  const gone = await ask(walk, 'GET', `/v1/bookings/${id}`);
  check(gone.charged_minor === 0 && gone.kept_minor === 0, 'giving it up before it begins is free');
  await page.context().close();
  return 'a booking made, extended and given up';
}
