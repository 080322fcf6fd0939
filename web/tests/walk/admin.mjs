// Administration: an organization, a person, a key that is shown once and revoked, and the log of all of it.

import { check } from './browser.mjs';

export async function admin(walk, page) {
  walk.step = 'organizations';
  const mark = `Walk ${Date.now().toString(36)}`;
  await page.goto(`${walk.base}/`);
  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Admin' }).click();
  await page.waitForSelector('[data-rows]:not([data-rows="-1"])');
  await page.getByLabel('Name').fill(mark);
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await page.getByRole('cell', { name: mark }).waitFor();
  await walk.accessible(page);

  walk.step = 'people and roles';
  await page.getByRole('navigation', { name: 'Admin' }).getByRole('link', { name: 'People' }).click();
  await page.getByLabel('Name').fill('Ana');
  await page.getByLabel('E-mail').fill(`ana-${Date.now().toString(36)}@example.com`);
  await page.getByRole('combobox', { name: 'Of', exact: true }).selectOption({ label: mark });
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  const ana = page.locator('tbody tr').filter({ hasText: mark });
  await ana.getByRole('combobox').selectOption('driver');
  await page.waitForFunction((name) => [...document.querySelectorAll('tbody tr')].some((row) => row.textContent.includes(name) && row.querySelector('select')?.value === 'driver'), mark);
  await ana.getByRole('button', { name: /^Deactivate/ }).click();
  await ana.getByText('Inactive').waitFor();
  await walk.accessible(page);

  walk.step = 'a key is shown once';
  await page.goto(`${walk.base}/admin/keys`);
  await page.getByLabel('Name').fill(mark);
  await page.getByRole('combobox', { name: 'Of', exact: true }).selectOption({ label: mark });
  await page.getByRole('button', { name: 'Make a key' }).click();
  const secret = await page.locator('[data-secret] code').innerText();
  check(/^rlk_[0-9a-f]{12}_[0-9a-f]{64}$/.test(secret), 'the whole key is shown');
  const may = await fetch(`${walk.base}/v1/organizations`, { headers: { authorization: `Bearer ${secret}` } });
  check(may.ok && (await may.json()).data.length === 1, 'it opens its organization alone');
  await walk.shot(page, 'keys');
  await walk.accessible(page);
  await page.reload();
  await page.waitForSelector('[data-rows]:not([data-rows="-1"])');
  check(!(await page.content()).includes(secret), 'after a reload it is nowhere');
  const row = page.locator('tbody tr').filter({ hasText: mark });
  await row.getByRole('button', { name: /^Revoke/ }).click();
  await row.getByRole('button', { name: 'Yes, revoke it' }).click();
  await row.getByText('Revoked').waitFor();
  check((await fetch(`${walk.base}/v1/organizations`, { headers: { authorization: `Bearer ${secret}` } })).status === 401, 'a revoked key opens nothing');

  walk.step = 'the audit log';
  await page.getByRole('navigation', { name: 'Admin' }).getByRole('link', { name: 'Audit log' }).click();
  await page.waitForSelector('[data-rows]:not([data-rows="-1"])');
  const first = await page.locator('tbody tr').first().innerText();
  check(/DELETE \/v1\/api-keys\/key_/.test(first) && /Done/.test(first), `the last write is first: ${first}`);
  await walk.shot(page, 'audit');
  await walk.accessible(page);
  return 'a key made, shown once and revoked';
}
