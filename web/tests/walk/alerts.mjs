// Alerts: the rules that the demo has, a rule that is tried on the last days, refused for a column that is not there,
// made, and raises an alert as vehicles go on driving; somebody takes that on; the rule is changed, disabled and deleted.

import { ask } from './bookings.mjs';
import { check } from './browser.mjs';

const SAMPLES = ['Faster than 110 km/h', 'Driven hard'];
const BAD = 'SELECT vehicle_id, ts, speed_kph AS value FROM readings WHERE speed_kmh > 30';
const GOOD = BAD.replace('speed_kph', 'speed_kmh');

const area = (page) => page.getByRole('navigation', { name: 'Alerts', exact: true });
const listed = (page) => page.waitForSelector('[data-rows]:not([data-rows="-1"])');

async function written(page, form, query) {
  await form.locator('[data-editor="ready"]').waitFor();
  await form.locator('.cm-content').click();
  await page.keyboard.press('Control+a');
  await page.keyboard.insertText(query);
}

/** The form of a new rule, with all that it finds wrong, and what it would have raised. */
async function tried(walk, page, title) {
  await page.getByRole('button', { name: 'New rule' }).click();
  const form = page.getByRole('form', { name: 'New rule' });
  await form.getByRole('button', { name: 'Add the rule' }).click();
  await form.getByText('Give it a name.').waitFor();
  await form.getByText('Write what is to be asked.').waitFor();
  await walk.accessible(page);

  walk.step = 'a rule begins with an example';
  await form.getByLabel('Start from').selectOption('A fault is stored');
  check((await form.getByLabel('Name', { exact: true }).inputValue()) === 'A fault is stored', 'the example has its name');
  check((await form.getByLabel('Quiet', { exact: true }).inputValue()) === '1', 'and its numbers');
  await form.getByText("event IN ('seen', 'change')").first().waitFor();

  walk.step = 'a query that is wrong is told at its field';
  await form.getByLabel('Name', { exact: true }).fill(title);
  await form.getByLabel('Quiet', { exact: true }).fill('2');
  await form.getByLabel('Unit of “Quiet”').selectOption('minutes');
  await written(page, form, BAD);
  // The page's log has the refusal that this is about.
  walk.expected = /\/v1\/alert-rules(:try)?$/;
  await form.getByRole('button', { name: 'Add the rule' }).click();
  await form.locator('[data-wrong="query"]').getByText('No field named speed_kph').waitFor();
  check((await form.locator('.cm-fault').innerText()) === 'speed_kph', 'it is marked where it is');
  await walk.accessible(page);
  await walk.shot(page, 'alert-rule-wrong');

  walk.step = 'a rule is tried on the last 30 days';
  await form.getByText('Last 30 days', { exact: true }).click();
  await form.getByRole('button', { name: 'Try it', exact: true }).click();
  await form.locator('[data-wrong="query"]').getByText('No field named speed_kph').waitFor();
  walk.expected = null;
  await written(page, form, GOOD);
  await form.getByRole('button', { name: 'Try it', exact: true }).click();
  const answer = form.locator('[data-tried]');
  await answer.waitFor();
  check(Number(await answer.getAttribute('data-tried')) > 0, 'it would have raised something');
  check((await form.locator('[data-wrong="query"]').innerText()) === '', 'nothing is wrong any more');
  await answer.getByRole('link').first().waitFor();
  await answer.scrollIntoViewIfNeeded();
  await walk.accessible(page);
  await walk.shot(page, 'alert-rule');
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.waitForSelector('html[data-theme="dark"]');
  await walk.accessible(page);
  await walk.shot(page, 'dark-alert-rule');
  await page.emulateMedia({ colorScheme: 'light' });
  await page.waitForSelector('html[data-theme="light"]');
  await page.setViewportSize({ width: 390, height: 844 });
  await walk.fits(page);
  await answer.scrollIntoViewIfNeeded();
  await walk.shot(page, 'alert-rule-phone');
  await page.setViewportSize({ width: 1440, height: 900 });
  await form.getByLabel('Quiet', { exact: true }).fill('1');
  await answer.getByText('You changed it since').waitFor();
  await form.getByRole('button', { name: 'Add the rule' }).click();
  await form.waitFor({ state: 'detached' });
}

async function takenOn(walk, page, { title, id }) {
  // Nobody touches the page: the list looks again by itself.
  const row = page.locator(`tr[data-rule="${id}"]`).first();
  await row.waitFor();
  await page.locator('[data-open-alerts]').first().waitFor();
  await page.getByRole('combobox', { name: 'Taken on', exact: true }).selectOption('no');
  check(new URL(page.url()).searchParams.get('taken') === 'no', 'the filter is in the URL');
  await listed(page);
  const alert = await row.getAttribute('data-alert');
  await page.locator(`tr[data-alert="${alert}"]`).getByRole('button', { name: title }).click();
  const panel = page.getByRole('region', { name: `Alert ${title}` });
  await panel.waitFor();
  await panel.getByLabel('Note, if you like').fill('Called the driver');
  await walk.accessible(page);
  await panel.getByRole('button', { name: 'Acknowledge', exact: true }).click();
  await panel.getByText('You have taken it on.').waitFor();
  await panel.getByText('Called the driver').waitFor();
  await walk.shot(page, 'alert');
  // The list is of those that nobody has taken on.
  await page.locator(`tr[data-alert="${alert}"]`).waitFor({ state: 'detached' });
  await page.getByRole('combobox', { name: 'Taken on', exact: true }).selectOption('yes');
  await page.locator(`tr[data-alert="${alert}"]`).waitFor();
  await page.getByRole('combobox', { name: 'Taken on', exact: true }).selectOption('');
  await listed(page);
  await walk.accessible(page);
  await walk.shot(page, 'alerts');
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.waitForSelector('html[data-theme="dark"]');
  await walk.accessible(page);
  await walk.shot(page, 'dark-alerts');
  await page.emulateMedia({ colorScheme: 'light' });
  await page.waitForSelector('html[data-theme="light"]');
  await page.setViewportSize({ width: 390, height: 844 });
  await walk.fits(page);
  await walk.shot(page, 'alerts-phone');
  await page.setViewportSize({ width: 1440, height: 900 });
  const trips = new URL(await panel.getByRole('link', { name: 'Trips that day' }).getAttribute('href'), walk.base);
  check(trips.searchParams.get('from') && trips.searchParams.get('to'), 'the trips of that day are a link away');
  return trips.searchParams.get('vehicle');
}

export async function alerts(walk, page) {
  const title = `Fast ${Date.now().toString(36)}`;
  // The unit of a vehicle may never have been heard of.
  const noUnit = /\/v1\/vehicles\/[^/]+\/agent$/;

  walk.step = 'alerts';
  await page.goto(`${walk.base}/`);
  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: /^Alerts/ }).click();
  await page.getByRole('heading', { name: 'Alerts', exact: true }).waitFor();
  await listed(page);
  await walk.accessible(page);

  walk.step = 'rules of alerts';
  await area(page).getByRole('link', { name: 'Rules' }).click();
  for (const sample of SAMPLES) await page.locator('tr[data-state="enabled"]').filter({ hasText: sample }).waitFor();
  await walk.accessible(page);
  await tried(walk, page, title);
  const rule = page.getByRole('region', { name: `Rule ${title}` });
  await rule.waitFor();
  const id = await rule.getAttribute('data-opened-rule');
  const row = page.locator(`tr[data-rule="${id}"]`);
  await row.waitFor();
  await walk.accessible(page);
  await walk.shot(page, 'alert-rules');
  await page.setViewportSize({ width: 390, height: 844 });
  await walk.fits(page);
  await page.setViewportSize({ width: 1440, height: 900 });

  walk.step = 'a rule raises an alert, which somebody takes on';
  await rule.getByRole('link', { name: 'Its alerts' }).click();
  const vehicle = await takenOn(walk, page, { title, id });

  walk.step = 'the alerts of a vehicle';
  walk.expected = noUnit;
  await page.goto(`${walk.base}/vehicles/${encodeURIComponent(vehicle)}`);
  const card = page.getByRole('region', { name: 'Alerts', exact: true });
  await card.locator('[data-alert]').first().waitFor();
  await card.scrollIntoViewIfNeeded();
  await walk.accessible(page);
  await walk.shot(page, 'vehicle-alerts');
  await card.getByRole('link', { name: 'All', exact: true }).click();
  await page.waitForURL(/\/alerts\?vehicle=/);
  await listed(page);
  walk.expected = null;

  walk.step = 'a rule that another changed meanwhile';
  await page.goto(`${walk.base}/alerts/rules?rule=${id}`);
  await rule.getByRole('button', { name: 'Change and try' }).click();
  const form = page.getByRole('form', { name: 'Change the rule' });
  await form.getByLabel('What to do about it').fill('Call the driver');
  const { version } = await ask(walk, 'GET', `/v1/alert-rules/${id}`);
  const theirs = await fetch(`${walk.base}/v1/alert-rules/${id}`, { method: 'PATCH', headers: { 'content-type': 'application/json', 'if-match': `"${version}"` }, body: JSON.stringify({ severity: 'critical' }) });
  check(theirs.ok, `another changes it: ${theirs.status}`);
  walk.expected = new RegExp(`/v1/alert-rules/${id}$`);
  await form.getByRole('button', { name: 'Save', exact: true }).click();
  await page.locator('[data-stale]').waitFor();
  await walk.accessible(page);
  await page.getByRole('button', { name: 'Save mine over it' }).click();
  await rule.getByText('It is changed.').waitFor();
  walk.expected = null;
  await rule.locator('[data-severity="critical"]').waitFor();
  await rule.getByText('Call the driver').waitFor();

  walk.step = 'a rule is disabled and deleted';
  await rule.getByRole('button', { name: 'Disable', exact: true }).click();
  await rule.getByText('It is disabled').waitFor();
  await page.locator(`tr[data-rule="${id}"][data-state="disabled"]`).waitFor();
  await walk.accessible(page);
  await rule.getByRole('button', { name: 'Delete', exact: true }).click();
  await rule.getByRole('button', { name: 'Yes, delete it' }).click();
  await row.waitFor({ state: 'detached' });
  return 'a rule tried, made, changed and deleted, and its alert taken on';
}
