// Drivers and groups: one is added and assigned to a vehicle, another takes it over, an assignment is corrected, and a
// trip tells who drove; a group is made, its vehicles are added, and the map and the trips are cut to it.

import { ask } from './bookings.mjs';
import { check } from './browser.mjs';

const DAY_MS = 86_400_000;
const LOOKS_MAX = 90;
/** So far back the server takes an assignment, and a little less. */
const BACK_MS = 360 * DAY_MS;

const area = (page) => page.getByRole('navigation', { name: 'Fleet', exact: true });
const list = async (walk, path) => (await ask(walk, 'GET', path)).data;

/** Two vehicles of one owner that are on the map, and that nobody drives or is to drive. */
async function freeVehicles(walk) {
  const onMap = new Set((await list(walk, '/v1/fleet/status')).filter(({ latitude }) => latitude !== null).map(({ vehicle_id }) => vehicle_id));
  const byOwner = new Map();
  for (const item of await list(walk, '/v1/vehicles?limit=200')) {
    const now = encodeURIComponent(new Date().toISOString());
    if (!onMap.has(item.vehicle_id) || (await list(walk, `/v1/driver-assignments?vehicle_id=${item.id}&from=${now}`)).length > 0) continue;
    const found = [...(byOwner.get(item.organization_id) ?? []), item];
    if (found.length === 2) return found;
    byOwner.set(item.organization_id, found);
  }
  throw new Error('no two vehicles of one owner are on the map without a driver');
}

/** A page as it is in the dark and on a phone. */
async function seen(walk, page, name) {
  await walk.accessible(page);
  await walk.shot(page, name);
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.waitForSelector('html[data-theme="dark"]');
  await walk.accessible(page);
  await walk.shot(page, `dark-${name}`);
  await page.emulateMedia({ colorScheme: 'light' });
  await page.waitForSelector('html[data-theme="light"]');
  await page.setViewportSize({ width: 390, height: 844 });
  await walk.fits(page);
  await walk.shot(page, `${name}-phone`);
  await page.setViewportSize({ width: 1440, height: 900 });
}

const driver = (page, name) => page.getByRole('region', { name: `Driver ${name}`, exact: true });
const drives = (page, id, vehicle) => page.locator(`[data-opened="${id}"][data-drives="${vehicle}"]`);

async function added(walk, page, { name, number, owner }) {
  await page.getByRole('button', { name: 'New driver' }).click();
  const form = page.getByRole('form', { name: 'New driver' });
  await form.getByRole('button', { name: 'Add', exact: true }).click();
  await form.getByText('Give a name.').waitFor();
  await walk.accessible(page);
  await form.getByRole('combobox', { name: 'Of', exact: true }).selectOption(owner ?? '');
  await form.getByLabel('Name', { exact: true }).fill(name);
  await form.getByLabel('Employee number').fill(number);
  await form.getByLabel('Licence classes').fill('ce, b');
  await form.getByLabel('Licence good until').fill(new Date(Date.now() + 10 * DAY_MS).toISOString().slice(0, 10));
  await form.getByRole('button', { name: 'Add', exact: true }).click();
  const panel = driver(page, name);
  await panel.getByText('B, CE').waitFor();
  return panel.getAttribute('data-opened');
}

/** By the form of whom it is about: `other` is chosen in it. */
async function assigned(form, other) {
  await form.getByRole('combobox').selectOption(other);
  const button = form.getByRole('button', { name: 'Assign', exact: true });
  // What is in the way is looked at first; until it is known the button waits.
  await button.click();
}

async function takenOver(walk, page, { ana, ben, vehicle }) {
  walk.step = 'a driver is assigned to a vehicle';
  const panel = driver(page, ana.name);
  await panel.getByRole('button', { name: 'Assign to a vehicle' }).click();
  const form = page.getByRole('form', { name: 'Assign to a vehicle' });
  await form.getByRole('button', { name: 'Assign', exact: true }).click();
  await form.getByText('Choose a vehicle.').waitFor();
  await walk.accessible(page);
  await assigned(form, vehicle.id);
  await drives(page, ana.id, vehicle.vehicle_id).waitFor();
  await panel.locator('[data-assignment][data-phase="now"]').waitFor();
  await seen(walk, page, 'drivers');

  walk.step = 'another takes the vehicle over';
  await page.goto(`${walk.base}/fleet/drivers?driver=${ben.id}`);
  await driver(page, ben.name).getByRole('button', { name: 'Assign to a vehicle' }).click();
  await form.getByRole('combobox').selectOption(vehicle.id);
  await form.locator('[data-in-the-way="ends"]').filter({ hasText: ana.name }).waitFor();
  await walk.accessible(page);
  await form.getByRole('button', { name: 'Assign', exact: true }).click();
  await drives(page, ben.id, vehicle.vehicle_id).waitFor();
  await page.goto(`${walk.base}/fleet/drivers?driver=${ana.id}`);
  await drives(page, ana.id, '').waitFor();
  await panel.locator('[data-assignment][data-phase="over"]').waitFor();

  walk.step = 'an assignment is corrected, and taken away';
  await panel.getByRole('button', { name: /^Correct/ }).click();
  const times = page.getByRole('form', { name: 'Correct the assignment' });
  await times.getByLabel(/^Until/).fill('');
  await walk.accessible(page);
  // Now it overlaps what the other drives.
  walk.expected = /\/v1\/driver-assignments\/dra_/;
  await times.getByRole('button', { name: 'Save' }).click();
  await times.getByRole('alert').waitFor();
  walk.expected = null;
  await times.getByLabel('Note').fill('By the walk');
  await times.getByLabel(/^Until/).fill('2020-01-01T00:00');
  await times.getByText('It ends after it begins.').waitFor();
  await times.getByRole('button', { name: 'Leave it' }).click();
  await panel.getByRole('button', { name: /^Remove/ }).click();
  await walk.accessible(page);
  await panel.getByRole('button', { name: 'Yes, it was a mistake' }).click();
  await panel.locator('[data-assignments="0"]').waitFor();
}

async function ofVehicle(walk, page, { ana, ben, vehicle }) {
  walk.step = 'the driver of a vehicle';
  await page.goto(`${walk.base}/vehicles/${vehicle.vehicle_id}`);
  const section = page.getByRole('region', { name: 'Driver', exact: true });
  const now = (id) => page.locator(`section[data-driver="${id}"]`);
  await now(ben.id).waitFor();
  await walk.accessible(page);
  await section.getByRole('button', { name: 'End now' }).click();
  await now('none').waitFor();
  await section.getByRole('button', { name: 'Assign a driver' }).click();
  const form = page.getByRole('form', { name: 'Assign a driver' });
  await assigned(form, ana.id);
  await now(ana.id).waitFor();
  await walk.accessible(page);
  await section.getByRole('link', { name: ana.name }).first().click();
  await drives(page, ana.id, vehicle.vehicle_id).waitFor();
}

/** A trip of the last year that nobody is known to have driven, with a vehicle that is not one of the walk's. */
async function tripBeside(walk, vehicles) {
  const used = vehicles.map(({ vehicle_id }) => vehicle_id);
  for (let look = 0; look < LOOKS_MAX; look += 1) {
    const trips = await list(walk, '/v1/trips?limit=200');
    const found = trips.find(({ vehicle_id, start_time, driver_id, status }) => !driver_id && !used.includes(vehicle_id) && status === 'completed' && Date.now() - Date.parse(start_time) < BACK_MS);
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
  throw new Error('no trip of the last year is without a driver');
}

async function drove(walk, page, { mark, vehicles }) {
  walk.step = 'who drove a trip';
  const trip = await tripBeside(walk, vehicles);
  const vehicle = await ask(walk, 'GET', `/v1/vehicles/${trip.vehicle_id}`);
  const name = `Cleo ${mark}`;
  const cleo = await ask(walk, 'POST', '/v1/drivers', { name, ...(vehicle.organization_id ? { organization_id: vehicle.organization_id } : {}) });
  await ask(walk, 'POST', '/v1/driver-assignments', { driver_id: cleo.id, vehicle_id: vehicle.id, from: trip.start_time, to: trip.end_time });
  await page.goto(`${walk.base}/trips`);
  await page.getByRole('combobox', { name: 'Driver', exact: true }).selectOption(cleo.id);
  await page.getByRole('cell', { name }).first().waitFor();
  await page.waitForFunction((its) => {
    const rows = [...document.querySelectorAll('tbody tr')];
    return rows.length > 0 && rows.every((row) => row.textContent.includes(its));
  }, name);
  check(new URL(page.url()).searchParams.get('driver') === cleo.id, 'the filter is in the URL');
  await walk.accessible(page);
  await walk.shot(page, 'trips-of-a-driver');
  await page.locator(`tbody a[href="/trips/${trip.id}"]`).click();
  await page.locator(`[data-driver="${cleo.id}"]`).getByRole('link', { name }).click();
  await page.locator('[data-summary]:not([data-summary="-1"])').waitFor();
  await walk.accessible(page);
  await driver(page, name).getByRole('link', { name: 'Their trips' }).click();
  await page.waitForURL(/\/trips\?/);
  const address = new URL(page.url()).searchParams;
  check(address.get('driver') === cleo.id && /^\d{4}-\d\d-\d\d$/.test(address.get('from') ?? ''), 'their trips are those of the same days');
}

async function left(walk, page, ana) {
  walk.step = 'a driver is found, and leaves';
  await page.goto(`${walk.base}/fleet/drivers`);
  await page.getByRole('searchbox', { name: 'Find' }).fill(ana.number);
  await page.waitForURL((url) => url.searchParams.get('q') === ana.number);
  await page.waitForFunction((id) => [...document.querySelectorAll('tbody tr')].map((row) => row.dataset.driver).join() === id, ana.id);
  await page.getByRole('combobox', { name: 'Licence', exact: true }).selectOption('soon');
  await page.locator(`tr[data-driver="${ana.id}"]`).getByText(/^in \d+ days$/).waitFor();
  await page.getByRole('combobox', { name: 'Status', exact: true }).selectOption('left');
  await page.getByRole('heading', { name: 'Nothing matches' }).waitFor();
  await page.getByRole('button', { name: 'Clear' }).click();
  await page.goto(`${walk.base}/fleet/drivers?driver=${ana.id}`);
  const panel = driver(page, ana.name);
  await panel.getByRole('button', { name: 'They left' }).click();
  await walk.accessible(page);
  await panel.getByRole('button', { name: 'Yes, they left' }).click();
  await page.locator(`[data-opened="${ana.id}"][data-status="left"][data-drives=""]`).waitFor();
  await panel.getByRole('button', { name: 'They are back' }).waitFor();
  check((await panel.getByRole('button', { name: 'Assign to a vehicle' }).count()) === 0, 'who left is assigned to nothing');
}

async function grouped(walk, page, { name, vehicles: [first, second] }) {
  walk.step = 'a group';
  await area(page).getByRole('link', { name: 'Groups' }).click();
  await page.getByRole('button', { name: 'New group' }).click();
  const form = page.getByRole('form', { name: 'New group' });
  await form.getByRole('button', { name: 'Add', exact: true }).click();
  await form.getByText('Give it a name.').waitFor();
  await walk.accessible(page);
  await form.getByRole('combobox', { name: 'Of', exact: true }).selectOption(first.organization_id ?? '');
  await form.getByLabel('Name', { exact: true }).fill(name);
  await form.getByLabel('Description').fill('The walk');
  await form.getByRole('button', { name: 'Add', exact: true }).click();
  const panel = page.getByRole('region', { name: `Group ${name}`, exact: true });
  await panel.getByText('No vehicle is in it yet').waitFor();
  const id = await panel.getAttribute('data-opened');

  walk.step = 'vehicles of a group';
  await panel.getByRole('button', { name: 'Add vehicles' }).click();
  const adding = page.getByRole('form', { name: 'Add vehicles' });
  for (const { vehicle_id } of [first, second]) {
    await adding.getByRole('searchbox', { name: 'Find a vehicle' }).fill(vehicle_id);
    await adding.locator('li').filter({ has: page.getByText(vehicle_id, { exact: true }) }).getByRole('checkbox').check();
  }
  await walk.accessible(page);
  await adding.getByRole('button', { name: 'Add 2 vehicles' }).click();
  await panel.locator('[data-group-vehicles="2"]').waitFor();
  await page.locator(`[data-opened="${id}"][data-vehicles="2"]`).waitFor();
  await seen(walk, page, 'groups');

  walk.step = 'the map and the trips of a group';
  await panel.getByRole('link', { name: 'On the map' }).click();
  await page.waitForFunction(() => document.querySelectorAll('.list .row').length === 2);
  check((await page.getByRole('combobox', { name: 'Group' }).inputValue()) === id, 'the map is cut to it by its address');
  await walk.mapDrawn(page);
  await walk.accessible(page);
  await walk.shot(page, 'map-of-a-group');
  await page.getByRole('combobox', { name: 'Group' }).selectOption('');
  await page.waitForFunction(() => document.querySelectorAll('.list .row').length > 2);
  await page.goto(`${walk.base}/trips?group=${id}`);
  await page.waitForFunction((its) => document.querySelector('select#group')?.value === its, id);
  await page.waitForSelector('tbody tr, .notice');
  const strange = await page.locator('tbody tr a[href^="/vehicles/"]').evaluateAll((all, its) => all.map((link) => decodeURIComponent(link.getAttribute('href').split('/').pop())).filter((of) => !its.includes(of)), [first.vehicle_id, second.vehicle_id]);
  check(strange.length === 0, `its trips are of its vehicles: ${strange}`);
  await walk.accessible(page);

  walk.step = 'the groups of a vehicle';
  await page.goto(`${walk.base}/vehicles/${first.vehicle_id}`);
  const section = page.getByRole('region', { name: 'Groups', exact: true });
  await section.getByRole('link', { name, exact: true }).waitFor();
  await section.getByRole('button', { name: `Take out of ${name}` }).click();
  await section.getByRole('link', { name, exact: true }).waitFor({ state: 'detached' });
  await section.getByRole('combobox', { name: 'Group' }).selectOption(id);
  await section.getByRole('button', { name: 'Put into it' }).click();
  await section.getByRole('link', { name, exact: true }).click();

  walk.step = 'a group is deleted';
  await panel.locator('[data-group-vehicles="2"]').waitFor();
  await panel.locator(`tr[data-vehicle="${second.vehicle_id}"]`).getByRole('button', { name: /^Take out/ }).click();
  await panel.locator('[data-group-vehicles="1"]').waitFor();
  await panel.getByRole('button', { name: 'Delete', exact: true }).click();
  await walk.accessible(page);
  await panel.getByRole('button', { name: 'Yes, delete it' }).click();
  await panel.waitFor({ state: 'detached' });
  await page.waitForFunction((its) => document.querySelector('[data-rows]:not([data-rows="-1"])') !== null && !document.querySelector(`tr[data-group="${its}"]`), id);
}

export async function drivers(walk, page) {
  const vehicles = await freeVehicles(walk);
  const [vehicle] = vehicles;
  const owner = vehicle.organization_id;
  const mark = Date.now().toString(36);
  const ana = { name: `Ana ${mark}`, number: `N-${mark}` };

  walk.step = 'drivers';
  await page.goto(`${walk.base}/`);
  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Fleet' }).click();
  await page.waitForSelector('[data-rows]:not([data-rows="-1"])');
  await walk.accessible(page);
  ana.id = await added(walk, page, { ...ana, owner });
  const ben = await ask(walk, 'POST', '/v1/drivers', { name: `Ben ${mark}`, ...(owner ? { organization_id: owner } : {}) });
  await takenOver(walk, page, { ana, ben, vehicle });
  // The unit of a vehicle may never have been heard of.
  walk.expected = /\/v1\/vehicles\/[^/]+\/agent$/;
  await ofVehicle(walk, page, { ana, ben, vehicle });
  walk.expected = null;
  await drove(walk, page, { mark, vehicles });
  await left(walk, page, ana);
  walk.expected = /\/v1\/vehicles\/[^/]+\/agent$/;
  await grouped(walk, page, { name: `Depot ${mark}`, vehicles });
  walk.expected = null;
  return 'a vehicle taken over, a trip that tells who drove, the map cut to a group';
}
