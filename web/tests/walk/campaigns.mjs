// Campaigns: a set is written, checked against two vehicles, deployed to both and in force there; then one of them is
// told to send its log.

import { join } from 'node:path';
import { check } from './browser.mjs';

const VEHICLES = ['sim-01', 'sim-02'];

export async function campaigns(walk, page) {
  const name = `walk-${Date.now().toString(36)}`;
  walk.step = 'a campaign set is written';
  await page.goto(`${walk.base}/`);
  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Campaigns' }).click();
  await page.waitForSelector('[data-sets]:not([data-sets="-1"])');
  await walk.accessible(page);
  await page.getByRole('link', { name: 'New set' }).click();
  const making = page.getByRole('form', { name: 'New campaign set' });
  await making.getByLabel('Name').fill(name);
  await making.getByLabel('Description').fill('The walk');
  await page.waitForSelector('[data-editor="ready"]');
  await walk.accessible(page);
  await making.getByRole('button', { name: 'Add', exact: true }).click();
  await page.waitForURL(/\/campaigns\/cst_/);
  await page.getByRole('heading', { name, level: 1 }).waitFor();

  walk.step = 'a fault in the text of a set';
  const form = page.getByRole('form', { name: 'Campaign set', exact: true });
  await page.waitForSelector('[data-editor="ready"]');
  const text = form.getByRole('textbox', { name: 'Text' });
  await text.fill('[[campaign]');
  walk.expected = /\/v1\/campaign-sets\/cst_/;
  await form.getByRole('button', { name: 'Save' }).click();
  await page.waitForSelector('[data-faults="text"]');
  check((await form.getByRole('alert').innerText()).includes('line 1'), 'a fault says where it is');
  walk.expected = null;
  await walk.accessible(page);
  await form.getByRole('button', { name: 'Undo all' }).click();
  await page.waitForSelector('[data-faults]', { state: 'detached' });
  // Of a long text the editor holds what is in view: its beginning.
  await text.getByText('[[campaign]]', { exact: true }).first().waitFor();

  walk.step = 'a set that somebody else changed';
  await form.getByLabel('Description').fill('Mine');
  const path = `${walk.base}/v1/campaign-sets/${page.url().split('/').pop()}`;
  const { version } = await (await fetch(path)).json();
  const theirs = await fetch(path, { method: 'PATCH', headers: { 'content-type': 'application/json', 'if-match': `"${version}"` }, body: '{"description":"Theirs"}' });
  check(theirs.ok, `somebody else changed it: ${theirs.status}`);
  walk.expected = /\/v1\/campaign-sets\/cst_/;
  await form.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('alert').filter({ hasText: 'Somebody else changed this campaign set' }).waitFor();
  walk.expected = null;
  await walk.accessible(page);
  await page.getByRole('button', { name: 'Save mine over it' }).click();
  await page.waitForSelector(`[data-version="${version + 2}"]`);
  check((await form.getByLabel('Description').inputValue()) === 'Mine', 'mine is what is saved');

  walk.step = 'a set is checked against vehicles';
  const rollout = page.getByRole('region', { name: 'To vehicles' });
  for (const id of VEHICLES) await rollout.getByRole('checkbox', { name: id }).check();
  await rollout.getByRole('button', { name: 'Check', exact: true }).click();
  await rollout.locator('[data-checked="2"]').waitFor();
  check((await rollout.locator('[data-fit]:not([data-fit="fits"])').count()) === 0, `it fits both: ${await rollout.locator('[data-checked]').innerText()}`);
  check((await rollout.locator('[data-checked]').innerText()).includes('Vehicle.Speed#fast'), 'the names that its samples have are told');
  await walk.accessible(page);
  await page.setViewportSize({ width: 390, height: 844 });
  await walk.fits(page);
  await page.setViewportSize({ width: 1440, height: 900 });

  walk.step = 'a set is deployed';
  await rollout.getByRole('button', { name: 'Deploy', exact: true }).click();
  await rollout.getByRole('button', { name: 'Yes, deploy to 2 vehicles' }).click();
  await page.waitForURL(/\/campaign-deployments\/cdp_/);
  // Nobody touches the page: it looks again by itself until both have told.
  await page.waitForSelector('[data-in-force="2"][data-pending="0"]');
  await page.waitForFunction(() => document.querySelectorAll('tr[data-uptake="in_force"]').length === 2);
  await page.getByRole('radio', { name: /^Refused/ }).check({ force: true });
  await page.waitForSelector('[data-targets="0"]');
  check(new URL(page.url()).searchParams.get('uptake') === 'refused', 'the filter is in the URL');
  await page.getByRole('radio', { name: 'All', exact: true }).check({ force: true });
  await page.waitForSelector('[data-targets="2"]');
  await walk.accessible(page);
  await walk.shot(page, 'deployment');
  await page.getByRole('link', { name: '← Campaigns' }).click();
  await page.getByRole('link', { name, exact: true }).first().waitFor();
  await page.waitForSelector('[data-deployments]:not([data-deployments="-1"])');
  await walk.shot(page, 'campaigns');
  await walk.accessible(page);

  walk.step = 'a vehicle sends its log';
  await page.goto(`${walk.base}/vehicles/${VEHICLES[0]}`);
  const unit = page.getByRole('region', { name: 'Unit', exact: true });
  await page.waitForSelector('[data-unit="online"]');
  await page.waitForSelector('[data-wanted="in_force"]');
  await page.waitForSelector('[data-commands]:not([data-commands="-1"])');
  await unit.getByRole('button', { name: 'Restart', exact: true }).click();
  await unit.getByRole('button', { name: 'Leave it' }).click();
  check((await unit.locator('[data-kind="restart"]').count()) === 0, 'what is asked about first is not sent by one press');
  await unit.getByRole('button', { name: 'Send log', exact: true }).click();
  await unit.locator('[data-command="done"][data-kind="send_log"]').first().waitFor();
  await unit.locator('[data-reply="log"]').waitFor();
  await walk.accessible(page);
  await walk.timed('pictures', () => unit.screenshot({ path: join(walk.folder, 'unit.png') }));
  return `a campaign in force on ${VEHICLES.length} vehicles`;
}
