// Corrections of trips: two old trips of a simulated vehicle are merged from the list, and that is taken back; one is split in
// the middle; one is marked private, and as neither. At the end every correction is taken back: later parts find what was there.

import { ask } from './bookings.mjs';
import { check } from './browser.mjs';

const LOOKS_MAX = 60;
/** A trip derived anew is there within seconds; a page that gave up looking is loaded anew. */
const WAIT_MS = 40_000;
const LOADS_MAX = 3;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const tripsOf = async (walk, vehicle) => (await ask(walk, 'GET', `/v1/trips?vehicle_id=${vehicle}&limit=200`)).data;
/** The day in the zone of the walk's pages. */
const dayOf = (iso) => new Intl.DateTimeFormat('sv-SE', { timeZone: 'Europe/Copenhagen' }).format(Date.parse(iso));

/** The two oldest trips of a simulated vehicle that follow each other within hours, as nobody has corrected them. */
async function oldTrips(walk) {
  for (let look = 0; look < LOOKS_MAX; look += 1) {
    const { data } = await ask(walk, 'GET', '/v1/vehicles?limit=200');
    for (const { vehicle_id } of data.filter(({ vehicle_id }) => vehicle_id.startsWith('sim-'))) {
      const trips = (await tripsOf(walk, vehicle_id)).reverse();
      const at = trips.findIndex((trip, index) => index > 0 && Date.parse(trip.start_time) - Date.parse(trips[index - 1].end_time) < 6 * 3_600_000 && [trip, trips[index - 1]].every(({ merged_count, purpose, duration_s }) => merged_count === 1 && !purpose && duration_s > 60));
      if (at > 0) return [trips[at - 1], trips[at]];
    }
    await pause(1_000);
  }
  throw new Error('no simulated vehicle has two trips');
}

/** Until what is looked for is there; the trips of a vehicle come in when they come. */
async function until(look, claim) {
  for (let tried = 0; tried < LOOKS_MAX; tried += 1) {
    if (await look()) return;
    await pause(1_000);
  }
  throw new Error(claim);
}

/** What a trip's page shows once the trip is derived anew. */
async function comes(page, locator) {
  for (let load = 0; load < LOADS_MAX; load += 1) {
    if (await locator.waitFor({ timeout: WAIT_MS }).then(() => true, () => false)) return;
    await page.reload();
  }
  await locator.waitFor({ timeout: WAIT_MS });
}

/** A row of the list, however many pages down. */
async function row(page, { id }) {
  const found = page.locator(`tr[data-trip="${id}"]`);
  await page.waitForSelector('tbody tr');
  const more = page.getByRole('button', { name: 'Load more' });
  for (let pages = 0; pages < 10 && (await found.count()) === 0; pages += 1) {
    const before = await page.locator('tbody tr').count();
    await more.click();
    await page.waitForFunction((rows) => document.querySelectorAll('tbody tr').length > rows, before);
  }
  await found.waitFor();
  return found;
}

async function openTrip(walk, page, { id }) {
  await page.goto(`${walk.base}/trips/${id}`);
  await page.getByRole('region', { name: 'Edit trip' }).waitFor();
}

async function takeBack(page, kind) {
  const list = page.getByRole('region', { name: 'Corrections' });
  const item = list.locator(`li[data-kind="${kind}"][data-status="active"]`).first();
  await item.getByRole('button', { name: /^Take back/ }).click();
  await item.getByRole('button', { name: 'Yes, take it back' }).click();
  await list.locator(`li[data-kind="${kind}"][data-status="revoked"]`).first().waitFor();
}

async function merged(walk, page, [first, second]) {
  const list = `${walk.base}/trips?${new URLSearchParams({ vehicle: first.vehicle_id, from: dayOf(first.start_time), to: dayOf(second.end_time) })}`;
  walk.step = 'trips are chosen to be merged';
  await page.goto(list);
  const bar = page.getByRole('region', { name: 'Chosen trips' });
  await (await row(page, first)).getByRole('checkbox', { name: /^Choose the trip of/ }).focus();
  await page.keyboard.press('Space');
  await bar.getByText(/^1 trip of .* chosen\. Choose another trip of this vehicle\.$/).waitFor();
  check((await bar.getByRole('button', { name: 'Merge', exact: true }).count()) === 0, 'one trip alone is not merged');
  await (await row(page, second)).getByRole('checkbox').check();
  await bar.getByText(/^2 trips of .* chosen\.$/).waitFor();
  await bar.getByRole('button', { name: 'Merge', exact: true }).click();
  await bar.getByText(/They become one trip/).waitFor();
  await walk.accessible(page);
  await walk.shot(page, 'trips-chosen');
  await page.setViewportSize({ width: 390, height: 844 });
  await walk.fits(page);
  await page.setViewportSize({ width: 1440, height: 900 });

  walk.step = 'two trips are merged';
  await bar.getByRole('button', { name: 'Yes, merge them' }).click();
  await bar.getByRole('link', { name: 'Open the trip' }).click();
  await page.waitForURL(new RegExp(first.id));
  await comes(page, page.getByText('Merged of 2 trips'));
  await page.waitForSelector('[data-track]');
  await page.getByRole('region', { name: 'Revisions' }).getByText('Made of').first().waitFor();
  await page.getByRole('region', { name: 'Corrections' }).locator('li[data-kind="merge"][data-status="active"]').waitFor();
  await walk.accessible(page);
  await walk.shot(page, 'trip-merged');

  walk.step = 'a trip that became part of another';
  await page.goto(`${walk.base}/trips/${second.id}`);
  await comes(page, page.locator(`[data-covered="${first.id}"]`));
  await page.getByText('Its time belongs to the trip').getByRole('link').click();
  await page.waitForURL(new RegExp(first.id));

  walk.step = 'a merge is taken back';
  await takeBack(page, 'merge');
  await page.getByText('Merged of 2 trips').waitFor({ state: 'detached', timeout: WAIT_MS }).catch(() => page.reload());
  await until(async () => (await tripsOf(walk, first.vehicle_id)).filter(({ id, merged_count }) => [first.id, second.id].includes(id) && merged_count === 1).length === 2, 'what was merged are two trips again');
  await page.goto(list);
  for (const trip of [second, first]) await (await row(page, trip)).waitFor();
}

async function split(walk, page, trip) {
  const parts = async () => (await tripsOf(walk, trip.vehicle_id)).filter(({ start_time, end_time }) => Date.parse(start_time) >= Date.parse(trip.start_time) && Date.parse(end_time) <= Date.parse(trip.end_time));

  walk.step = 'where a trip is split';
  await openTrip(walk, page, trip);
  await page.waitForSelector('svg[role="slider"]');
  await page.getByRole('button', { name: 'Split', exact: true }).click();
  const form = page.getByRole('form', { name: 'Split the trip' });
  const here = form.getByRole('button', { name: 'Split here' });
  await form.getByText(/^Click where/).waitFor();
  check(await here.isDisabled(), 'a trip is not split nowhere');
  await form.getByLabel(/^When/).fill('2020-01-01T00:00:07');
  await form.getByText(/^Not inside the trip/).waitFor();
  check(await here.isDisabled(), 'a trip is not split outside of it');
  // The middle of the chart is about the middle of the trip; the moment stays when the pointer goes on to the button.
  await page.locator('svg[role="slider"]').first().click();
  await page.mouse.move(40, 400);
  await form.getByText(/^It ends/).waitFor();
  await walk.accessible(page);
  await walk.shot(page, 'trip-split');
  await page.setViewportSize({ width: 390, height: 844 });
  await here.scrollIntoViewIfNeeded();
  check((await here.boundingBox()).y < 844, 'on a phone the page scrolls to what can be done');
  await walk.fits(page);
  await walk.shot(page, 'trip-split-phone');
  await page.setViewportSize({ width: 1440, height: 900 });

  walk.step = 'a trip is split';
  await here.click();
  await comes(page, page.locator('.ends').getByText('split'));
  await until(async () => (await parts()).length === 2, 'what was split are two trips');

  walk.step = 'a split is taken back';
  await takeBack(page, 'split');
  await until(async () => (await parts()).length === 1, 'what was split is one trip again');
}

async function marked(walk, page, trip) {
  walk.step = 'a private trip';
  await openTrip(walk, page, trip);
  await walk.mapDrawn(page, '[data-track]');
  const form = page.getByRole('form', { name: 'Purpose' });
  check(await form.getByRole('radio', { name: 'Neither' }).isChecked(), 'a trip has no purpose at first');
  await form.getByRole('radio', { name: 'Private' }).check({ force: true });
  await form.getByText('Its route is then shown to nobody.').waitFor();
  await form.getByRole('button', { name: 'Mark as private' }).click();
  await comes(page, page.getByText('Private trip: its route is not shown.'));
  check((await page.locator('[data-map], svg[role="slider"]').count()) === 0, 'of a private trip neither map nor charts are shown');
  for (const name of ['GPX', 'GeoJSON', 'CSV']) check(await page.getByRole('button', { name, exact: true }).isDisabled(), `a private trip is no ${name}`);
  check(/\d (km|m)\b/.test(await page.getByRole('region', { name: 'Summary' }).innerText()), 'its distance counts');
  await walk.accessible(page);
  await walk.shot(page, 'trip-private');
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.waitForSelector('html[data-theme="dark"]');
  await walk.accessible(page);
  await page.emulateMedia({ colorScheme: 'light' });
  await page.waitForSelector('html[data-theme="light"]');
  // It asks for no place: a server that refuses one would be a fault here.
  await page.reload();
  await page.getByText('Private trip: its route is not shown.').waitFor();

  walk.step = 'a trip that is private no more';
  await form.getByRole('radio', { name: 'Neither' }).check({ force: true });
  await form.getByRole('button', { name: 'Take the mark away' }).click();
  await comes(page, page.locator('[data-map="ready"]'));
  await walk.mapDrawn(page, '[data-track]');
  const older = page.getByRole('region', { name: 'Corrections' }).locator('li[data-kind="mark"][data-status="active"]').last();
  await older.getByRole('button', { name: /^Take back.*Marked as private/ }).click();
  await older.getByRole('button', { name: 'Yes, take it back' }).click();
  await page.getByText('Taken back. A later mark counts.').waitFor();
}

export async function corrections(walk, page) {
  const trips = await oldTrips(walk);
  const [first] = trips;
  // The oldest first: a mark below another is taken back without being seen.
  const takeAllBack = async () => {
    const { data } = await ask(walk, 'GET', `/v1/trip-corrections?vehicle_id=${first.vehicle_id}&limit=200`);
    for (const { id } of data.filter(({ status }) => status === 'active').reverse()) await ask(walk, 'DELETE', `/v1/trip-corrections/${id}`);
  };
  try {
    await merged(walk, page, trips);
    await split(walk, page, first);
    await marked(walk, page, first);
  } catch (cause) {
    await takeAllBack().catch(() => undefined);
    throw cause;
  }
  await takeAllBack();
  await until(async () => (await tripsOf(walk, first.vehicle_id)).some(({ id, purpose, merged_count }) => id === first.id && !purpose && merged_count === 1), 'the trip is as it was');
  return `trips of ${first.vehicle_id} merged, split and marked`;
}
