// The workbench and the boards.

import { readFileSync } from 'node:fs';
import { check } from './browser.mjs';

async function write(page, text) {
  await page.waitForSelector('[data-editor="ready"]');
  await page.locator('.cm-content').click();
  await page.keyboard.press('Control+A');
  await page.keyboard.insertText(text);
}

export async function workbench(walk, page) {
  walk.step = 'SQL';
  await page.goto(`${walk.base}/sql`);
  await page.waitForSelector('summary >> text=readings');
  await write(page, 'SELECT vehicle_id, date, distance_km FROM vehicle_day ORDER BY distance_km');
  await page.keyboard.press('Control+Enter');
  await page.waitForSelector('[data-rows]:not([data-rows="0"])');
  check(new URL(page.url()).searchParams.get('query')?.includes('vehicle_day'), 'the query is in the URL');
  await page.getByRole('button', { name: 'distance_km', exact: true }).click();
  check((await page.locator('th[aria-sort="descending"]').count()) === 1, 'a column sorts');
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'CSV' }).click()]);
  check(readFileSync(await file.path(), 'utf8').startsWith('vehicle_id,date,distance_km\r\n'), 'the CSV holds what is shown');
  const [whole] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Parquet' }).click()]);
  check(/\.parquet$/.test(whole.suggestedFilename()) && readFileSync(await whole.path(), 'latin1').endsWith('PAR1'), 'a whole file of Parquet');
  await page.getByRole('radio', { name: 'Bar' }).check({ force: true });
  await page.waitForSelector('.view svg[role="slider"]');
  await walk.accessible(page);

  walk.step = 'an error in SQL';
  walk.expected = /\/v1\/sql$/;
  await write(page, 'SELECT vehicle_id,\n  speed_kph FROM readings');
  await page.keyboard.press('Control+Enter');
  await page.getByRole('alert').filter({ hasText: 'Line 2, column 3' }).waitFor();
  check((await page.locator('.cm-fault').innerText()) === 'speed_kph', 'the fault is marked where it is');
  walk.expected = null;

  walk.step = 'a query by link, as lines';
  const query = "SELECT time_bucket(INTERVAL '1 minute', ts) AS step, avg(speed_kmh) AS mean_kmh, max(speed_kmh) AS top_kmh\nFROM readings\nWHERE date >= current_date() - INTERVAL '7 days'\nGROUP BY step\nORDER BY step";
  await page.goto(`${walk.base}/sql?${new URLSearchParams({ query, view: 'line' })}`);
  await page.waitForSelector('.view path.line');
  await page.waitForSelector('[data-editor="ready"]');
  await walk.shot(page, 'sql');

  walk.step = 'values that repeat';
  // The same time, name and column twice: each is drawn, and none ends the page.
  const twice = "SELECT s.ts, o.ts, s.who, s.n FROM (SELECT ts, who, n FROM (VALUES (TIMESTAMP '2026-01-01T00:00:00Z', 'a', 1.0), (TIMESTAMP '2026-01-01T00:00:00Z', 'a', 2.0), (TIMESTAMP '2026-01-01T00:00:30Z', 'b', -1.0), (TIMESTAMP '2026-01-01T00:00:30Z', 'b', NULL)) AS v(ts, who, n)) AS s JOIN (SELECT 1 AS ts) AS o ON o.ts = 1";
  for (const [view, drawn] of [['line', '.view path.line'], ['bar', '.view svg[role="slider"] rect']]) {
    await page.goto(`${walk.base}/sql?${new URLSearchParams({ query: twice, view, y: 'n' })}`);
    await page.waitForSelector(drawn, { state: 'attached' });
  }

  walk.step = 'a link to a view';
  const shared = "SELECT vehicle_id, date, distance_km FROM vehicle_day ORDER BY date";
  await page.goto(`${walk.base}/sql?${new URLSearchParams({ query: shared, sort: '-distance_km', rows: '10000' })}`);
  await page.waitForSelector('th[aria-sort="descending"] >> text=distance_km');
  check((await page.locator('.limit select').inputValue()) === '10000', 'the rows asked for are in the link');
  await page.evaluate(() => Object.defineProperty(navigator, 'clipboard', { value: undefined, configurable: true }));
  await page.getByRole('button', { name: 'Share' }).click();
  check((await page.locator('#link').inputValue()).includes('sort=-distance_km'), 'a link that cannot be copied is shown');

  walk.step = 'a result that is cut';
  await page.goto(`${walk.base}/sql?${new URLSearchParams({ query: 'SELECT vehicle_id, ts FROM readings LIMIT 3000' })}`);
  await page.waitForSelector('[data-cut]');
  check((await page.locator('[data-zone]').getAttribute('data-zone')) === 'Europe/Copenhagen', 'the zone of its times is told');
  const [every] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'CSV, every row' }).click()]);
  check(readFileSync(await every.path(), 'utf8').trimEnd().split(/\r?\n/).length === 3001, 'the CSV of what was cut has every row');

  walk.step = 'a query as a map, cancelled';
  const places = 'SELECT vehicle_id, ts, latitude, longitude FROM readings ORDER BY ts LIMIT 3000';
  await page.goto(`${walk.base}/sql?${new URLSearchParams({ query: places, view: 'map' })}`);
  await walk.mapDrawn(page);
  // Held back, so that the query cannot have its answer before it is cancelled.
  await page.route('**/v1/sql', () => undefined);
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('heading', { name: 'Cancelled' }).waitFor();
  await page.unroute('**/v1/sql');
}

export async function reports(walk, page) {
  walk.step = 'reports';
  await page.goto(`${walk.base}/`);
  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Reports' }).click();
  await page.waitForSelector('[data-chart="hours"][data-state="shown"]');
  await page.waitForFunction(() => document.querySelectorAll('[data-state="loading"]').length === 0);
  check((await page.locator('[data-state="error"]').count()) === 0, 'every chart of the board is shown');
  await walk.shot(page, 'reports');
  await walk.accessible(page);
  await page.locator('[data-chart="hours"]').getByRole('button', { name: 'Table' }).click();
  check((await page.locator('[data-chart="hours"] tbody tr').count()) > 0, 'a chart is a table too');

  walk.step = 'every board';
  for (const [board, chart] of [['distance', 'far'], ['driving', 'score'], ['faults', 'open'], ['quality', 'readings']]) {
    await page.goto(`${walk.base}/reports/${board}`);
    await page.waitForSelector(`[data-chart="${chart}"][data-state="shown"]`);
    await page.waitForFunction(() => document.querySelectorAll('[data-state="loading"]').length === 0);
    check((await page.locator('[data-state="error"]').count()) === 0, `every chart of ${board} is shown`);
  }

  walk.step = 'from a board to the workbench';
  await page.locator('[data-chart="readings"]').getByRole('link', { name: /workbench/ }).click();
  await page.waitForSelector('[data-rows]:not([data-rows="0"])');
  check(page.url().includes('/sql?'), 'a chart opens in the workbench');
}
