// Maintenance: a schedule of one kilometre is made for one vehicle, which is overdue by the work that is recorded for it,
// and has a work order by itself; that is started and completed, and the vehicle's interval begins anew. A repair is
// opened by hand and cancelled; the schedule is changed and deleted.

import { ask } from './bookings.mjs';
import { check } from './browser.mjs';

const LOOKS_MAX = 90;
const DAY_MS = 86_400_000;
/** So far behind its odometer was the work done: it is overdue, however far it drives meanwhile. */
const BEHIND_KM = 5;
/** And so far ahead it is completed, as trips come in later: the vehicle is not due again before the walk has seen it. */
const AHEAD_KM = 900;

/** A vehicle whose odometer is known: by its first trip, at the latest. */
async function driven(walk) {
  for (let look = 0; look < LOOKS_MAX; look += 1) {
    const { data } = await ask(walk, 'GET', '/v1/vehicles?limit=200');
    const found = data.find(({ odometer_km }) => odometer_km !== null && odometer_km > 2 * BEHIND_KM);
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
  throw new Error('no vehicle has told its odometer');
}

const area = (page) => page.getByRole('navigation', { name: 'Fleet', exact: true });
const opened = (page, status) => page.locator(`[data-opened][data-status="${status}"]`);

async function scheduled(walk, page, { vehicle, title }) {
  await page.getByRole('button', { name: 'New schedule' }).click();
  const form = page.getByRole('form', { name: 'New schedule' });
  await form.getByRole('button', { name: 'Add', exact: true }).click();
  await form.getByText('Give it a name.').waitFor();
  await form.getByText('Give it km, days, or both.').waitFor();
  await walk.accessible(page);
  await form.getByRole('combobox', { name: 'Of', exact: true }).selectOption(vehicle.organization_id ?? '');
  await form.getByLabel('Name', { exact: true }).fill(title);
  await form.getByLabel('Every, in km').fill('1');
  await form.getByLabel('What is done').fill('The walk');
  await form.getByRole('radio', { name: /^Chosen vehicles/ }).check({ force: true });
  await form.getByRole('searchbox', { name: 'Find a vehicle' }).fill(vehicle.vehicle_id);
  await form.locator('li').filter({ has: page.getByText(vehicle.vehicle_id, { exact: true }) }).getByRole('checkbox').check();
  await form.getByRole('radio', { name: 'Chosen vehicles (1)' }).waitFor({ state: 'attached' });
  await form.getByRole('button', { name: 'Add', exact: true }).click();
  const panel = page.getByRole('region', { name: `Schedule ${title}` });
  await panel.waitFor();
  return panel;
}

async function completed(walk, page, panel, odometerKm) {
  await panel.getByText('by its schedule').waitFor();
  check((await panel.getByRole('button', { name: 'Complete', exact: true }).count()) === 0, 'what nobody has started is not completed');
  await panel.getByRole('button', { name: 'Start', exact: true }).click();
  await opened(page, 'in_progress').waitFor();
  await panel.getByRole('button', { name: 'Complete', exact: true }).click();
  const form = page.getByRole('form', { name: 'Complete', exact: true });
  await form.getByLabel('Odometer then, in km').fill(String(odometerKm));
  await form.getByLabel('Cost').fill('much');
  await form.getByLabel('Currency').fill('EUR');
  await form.getByRole('button', { name: 'It is done' }).click();
  await form.getByText('An amount in EUR').waitFor();
  await walk.accessible(page);
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.waitForSelector('html[data-theme="dark"]');
  await walk.accessible(page);
  await walk.shot(page, 'dark-work-order');
  await page.emulateMedia({ colorScheme: 'light' });
  await page.waitForSelector('html[data-theme="light"]');
  await form.getByLabel('Cost').fill('120.50');
  await form.getByLabel('Notes').fill('Filter too');
  await form.getByRole('button', { name: 'It is done' }).click();
  await opened(page, 'done').waitFor();
  await panel.getByText('€120.50').waitFor();
  await panel.getByText('Filter too').waitFor();
  check((await panel.getByRole('button').count()) === 0, 'with what is done nothing more is done');
}

async function repaired(walk, page, { vehicle, repair }) {
  await page.getByRole('button', { name: 'New repair' }).click();
  const form = page.getByRole('form', { name: 'New repair' });
  await form.getByRole('button', { name: 'Open it' }).click();
  await form.getByText('Tell what is to be done.').waitFor();
  await form.getByLabel('Vehicle', { exact: true }).selectOption(vehicle.id);
  await form.getByLabel('What is to be done').fill(repair);
  await form.getByLabel('Assigned to').fill('Workshop North');
  await form.getByLabel('Due on').fill(new Date(Date.now() + 7 * DAY_MS).toISOString().slice(0, 10));
  await walk.accessible(page);
  await form.getByRole('button', { name: 'Open it' }).click();
  const panel = page.getByRole('region', { name: `Work order ${repair}` });
  await panel.getByText('by hand').waitFor();
  await page.locator('tr[data-status="open"]').filter({ hasText: repair }).waitFor();

  walk.step = 'a repair is cancelled';
  await panel.getByRole('button', { name: 'Cancel', exact: true }).click();
  const sure = page.getByRole('form', { name: 'Cancel the work order' });
  await sure.getByRole('button', { name: 'Yes, cancel it' }).click();
  await sure.getByText('Give a reason.').waitFor();
  await walk.accessible(page);
  await sure.getByLabel('Why it is given up').fill('It closes again');
  await sure.getByRole('button', { name: 'Yes, cancel it' }).click();
  await opened(page, 'cancelled').waitFor();
  await panel.getByText('It closes again').waitFor();
  await page.getByRole('combobox', { name: 'Status', exact: true }).selectOption('cancelled');
  await page.locator('tr[data-status="cancelled"]').filter({ hasText: repair }).waitFor();
  check(new URL(page.url()).searchParams.get('status') === 'cancelled', 'the filter is in the URL');
  await page.setViewportSize({ width: 390, height: 844 });
  await walk.fits(page);
  await walk.shot(page, 'work-orders-phone');
  await page.setViewportSize({ width: 1440, height: 900 });
}

export async function maintenance(walk, page) {
  const vehicle = await driven(walk);
  const mark = Date.now().toString(36);
  const title = `Oil ${mark}`;
  // The unit of a vehicle may never have been heard of.
  walk.expected = /\/v1\/vehicles\/[^/]+\/agent$/;

  walk.step = 'a schedule of one kilometre';
  await page.goto(`${walk.base}/`);
  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Fleet' }).click();
  await area(page).getByRole('link', { name: 'Maintenance due' }).click();
  await page.getByRole('columnheader', { name: 'Left by distance' }).or(page.getByRole('heading', { name: 'No vehicle is in a schedule yet' })).waitFor();
  await page.waitForSelector('[data-rows]:not([data-rows="-1"])');
  await walk.accessible(page);
  await area(page).getByRole('link', { name: 'Schedules' }).click();
  const schedule = await scheduled(walk, page, { vehicle, title });
  const id = await schedule.getAttribute('data-schedule');
  const due = (status) => page.locator(`tr[data-schedule="${id}"][data-due="${status}"]`);
  await page.locator('tbody tr').filter({ hasText: title }).getByText('1 km').waitFor();
  await walk.accessible(page);

  walk.step = 'work that was done before makes a vehicle overdue';
  await schedule.getByRole('button', { name: 'Record work done' }).click();
  const record = page.getByRole('form', { name: 'Record work done' });
  await record.getByRole('button', { name: 'Record it' }).click();
  await record.getByText('Choose a vehicle.').waitFor();
  await record.getByLabel('Vehicle', { exact: true }).selectOption(vehicle.id);
  await record.getByLabel('Done on').fill(new Date(Date.now() - 2 * DAY_MS).toISOString().slice(0, 10));
  await record.getByLabel('Odometer then, in km').fill(String(Math.floor(vehicle.odometer_km) - BEHIND_KM));
  await walk.accessible(page);
  await record.getByRole('button', { name: 'Record it' }).click();
  await schedule.getByText('It is recorded for').waitFor();
  await schedule.getByRole('link', { name: 'What is due' }).click();
  // Nobody touches the page: the list looks again by itself.
  await due('overdue').getByRole('link', { name: /^Open the work order/ }).waitFor();
  await due('overdue').getByText(/km over$/).waitFor();
  await walk.accessible(page);

  walk.step = 'what is due is found by status and vehicle';
  await page.getByRole('combobox', { name: 'Status', exact: true }).selectOption('unknown');
  await page.getByRole('heading', { name: 'Nothing matches' }).waitFor();
  await page.getByRole('combobox', { name: 'Status', exact: true }).selectOption('overdue');
  await page.getByRole('combobox', { name: 'Vehicle', exact: true }).selectOption(vehicle.id);
  await due('overdue').waitFor();
  const address = new URL(page.url()).searchParams;
  check(address.get('status') === 'overdue' && address.get('vehicle') === vehicle.id, 'the filters are in the URL');
  await walk.shot(page, 'maintenance');
  await page.setViewportSize({ width: 390, height: 844 });
  await walk.fits(page);
  await walk.shot(page, 'maintenance-phone');
  await page.setViewportSize({ width: 1440, height: 900 });

  walk.step = 'the maintenance of a vehicle';
  await page.goto(`${walk.base}/vehicles/${vehicle.vehicle_id}`);
  const section = page.getByRole('region', { name: 'Maintenance', exact: true });
  await section.locator(`[data-schedule="${id}"][data-due="overdue"]`).waitFor();
  await walk.accessible(page);
  await section.getByRole('list', { name: 'Open work orders' }).getByRole('link', { name: title, exact: true }).click();

  walk.step = 'a work order is completed';
  await completed(walk, page, page.getByRole('region', { name: `Work order ${title}` }), Math.floor(vehicle.odometer_km) + AHEAD_KM);
  await page.getByRole('link', { name: 'Open the schedule' }).click();
  await schedule.getByRole('link', { name: 'What is due' }).click();
  await due('ok').getByText('None', { exact: true }).waitFor();

  walk.step = 'a repair by hand';
  await area(page).getByRole('link', { name: 'Work orders' }).click();
  await repaired(walk, page, { vehicle, repair: `Door ${mark}` });

  walk.step = 'a schedule is changed and deleted';
  await page.goto(`${walk.base}/maintenance/schedules?schedule=${id}`);
  await schedule.getByRole('button', { name: 'Change', exact: true }).click();
  const form = page.getByRole('form', { name: 'Change the schedule' });
  await form.getByLabel('Every, in km').fill('15,000');
  await form.getByLabel('Every, in days').fill('365');
  await form.getByRole('button', { name: 'Save' }).click();
  await schedule.getByText('15,000 km or 365 days, whichever is first').waitFor();
  await walk.shot(page, 'schedules');
  await schedule.getByRole('button', { name: 'Delete', exact: true }).click();
  await schedule.getByRole('button', { name: 'Keep it' }).click();
  await schedule.getByRole('button', { name: 'Delete', exact: true }).click();
  await walk.accessible(page);
  await schedule.getByRole('button', { name: 'Yes, delete it' }).click();
  await schedule.waitFor({ state: 'detached' });
  await page.waitForSelector('[data-rows]:not([data-rows="-1"])');
  check((await page.locator('tbody tr').filter({ hasText: title }).count()) === 0, 'what is deleted is gone');
  walk.expected = null;
  return 'maintenance came due, was done, and began anew';
}
