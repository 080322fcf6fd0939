// Invoices: the list, one, its files, and the evidence of a line.

import { readFile } from 'node:fs/promises';

import { check } from './browser.mjs';

export async function invoices(walk, page) {
  walk.step = 'invoices';
  await page.goto(`${walk.base}/invoices`);
  await page.waitForSelector('tbody tr');
  await walk.shot(page, 'invoices');
  await walk.accessible(page);

  walk.step = 'invoices by state, and notes';
  const states = await page.locator('#status option').allInnerTexts();
  check(['Draft', 'Finalized', 'Paid', 'Void'].every((state) => states.includes(state)), `every state can be chosen: ${states}`);
  await page.getByRole('radio', { name: 'Credit and debit notes' }).check({ force: true });
  await page.locator('.card').locator('tbody tr, .notice').first().waitFor();
  await page.goto(`${walk.base}/invoices`);
  await page.waitForSelector('tbody tr');

  walk.step = 'an invoice';
  await page.locator('tbody tr a').first().click();
  await page.waitForSelector('button[data-line]');
  check(await page.getByText('Total', { exact: true }).isVisible(), 'the invoice shows its total');
  const lines = await page.locator('button[data-line]').count();

  walk.step = 'an invoice as PDF and CSV';
  for (const [kind, start] of [['PDF', '%PDF-'], ['CSV', 'invoice_id,']]) {
    const downloading = page.waitForEvent('download');
    await page.locator('header').getByRole('button', { name: `${kind} of` }).click();
    const file = await downloading;
    check(new RegExp(`^[\\w.-]+\\.${kind.toLowerCase()}$`).test(file.suggestedFilename()), `a name to keep it by: ${file.suggestedFilename()}`);
    check((await readFile(await file.path(), 'latin1')).startsWith(start), `what came is ${kind}`);
  }

  walk.step = 'the evidence of a line';
  await page.locator('button[data-line]').nth(Math.min(1, lines - 1)).click();
  await page.waitForSelector('[data-agrees]');
  check((await page.locator('[data-agrees]').getAttribute('data-agrees')) === 'true', 'the evidence agrees with the line');
  check((await page.locator('aside pre').innerText()).toUpperCase().includes('SELECT'), 'the evidence shows its query');
  await page.waitForSelector('[data-billed-trip]:not([data-billed-trip="-1"])');
  const points = Number(await page.locator('[data-billed-trip]').getAttribute('data-billed-trip'));
  if (points > 0) await walk.mapDrawn(page, '[data-track]');
  else check(await page.locator('[data-billed-trip] [role="status"]').isVisible(), 'what has no map says so');
  await page.locator('aside').evaluate((panel) => panel.scrollTo(0, 0));
  await walk.shot(page, 'invoice');
  await walk.accessible(page);
  return `${lines} lines on the first invoice`;
}
