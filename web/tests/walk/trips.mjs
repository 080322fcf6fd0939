// Trips: the list and its filters, one trip with its charts and map, its files, one that is not there.

import { readFileSync } from 'node:fs';
import { ask } from './bookings.mjs';
import { check } from './browser.mjs';

export async function trips(walk, page) {
  walk.step = 'trips';
  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Trips' }).click();
  await page.waitForSelector('tbody tr');
  const count = await page.locator('tbody tr').count();
  check(/\d (km|m)\b/.test(await page.locator('tbody tr').first().innerText()), 'a trip shows its distance');
  await walk.shot(page, 'trips');
  await walk.accessible(page);

  walk.step = 'trips by distance';
  await page.goto(`${walk.base}/trips?min=2`);
  await page.waitForSelector('tbody tr');
  const shown = await page.locator('tbody td[data-distance]').allInnerTexts();
  check(shown.length > 0 && shown.every((text) => / km$/.test(text) && parseFloat(text) >= 2), `only trips of two kilometres and more: ${shown}`);

  walk.step = 'a trip';
  await page.locator('tbody tr a').first().click();
  await page.waitForSelector('dt:text("Distance")');
  check(/\/trips\/trp_/.test(page.url()), 'the trip is in the URL');
  await page.waitForSelector('[data-events]:not([data-events="-1"])');
  await page.waitForSelector('svg[role="slider"]');
  await page.waitForSelector('[data-charts="2"]');
  check((await page.getByRole('button', { name: 'Altitude' }).getAttribute('aria-pressed')) === 'true', 'how high it went is shown unasked');
  await walk.mapDrawn(page, '[data-track]');
  const stood = await page.locator('ol li.stop').count();
  check(stood > 0 && Number(await page.locator('[data-stops]').getAttribute('data-stops')) === stood, `the stops are on the map: ${stood}`);
  await walk.shot(page, 'trip');
  await walk.accessible(page);
  const chart = page.locator('svg[role="slider"]').first();
  await chart.focus();
  await page.keyboard.press('ArrowRight');
  check(/km\/h/.test((await chart.getAttribute('aria-valuetext')) ?? ''), 'the keyboard moves along the chart');
  // A line straight up has no width, so it is looked for, not at.
  await page.waitForFunction(() => document.querySelectorAll('.charts line.at').length === 2);

  walk.step = 'an event of a trip';
  const { rows } = await ask(walk, 'POST', '/v1/sql', { query: "SELECT trip_id FROM latest_driving_events WHERE during = 'trip' AND latitude IS NOT NULL LIMIT 1" });
  check(rows.length > 0, 'a trip of the demo has an event');
  const quiet = page.url();
  await page.goto(`${walk.base}/trips/${rows[0][0]}`);
  const event = page.locator('[data-event]').first();
  await event.click();
  await page.waitForSelector('[data-event][aria-pressed="true"]');
  await page.waitForFunction(() => document.querySelectorAll('.charts line.at').length > 0);
  await walk.mapDrawn(page, '[data-track]');
  await walk.shot(page, 'trip-event');
  await event.click();
  await page.waitForSelector('[data-event][aria-pressed="true"]', { state: 'detached' });
  await page.goto(quiet);
  await page.waitForSelector('[data-events]:not([data-events="-1"])');

  walk.step = 'a trip in the dark';
  // A new style has what the map showed, where the reader looked: the basemap's and the track's sources.
  await page.getByRole('button', { name: 'Settings' }).press('Enter');
  await page.getByRole('radio', { name: 'Dark' }).check({ force: true });
  await page.keyboard.press('Escape');
  await walk.mapDrawn(page, '[data-track]');
  await walk.shot(page, 'trip-dark');
  await page.getByRole('button', { name: 'Settings' }).press('Enter');
  await page.getByRole('radio', { name: 'System' }).check({ force: true });
  await page.keyboard.press('Escape');

  walk.step = 'the files of a trip';
  for (const [name, pattern] of [['GPX', /<trkpt lat=/], ['GeoJSON', /"LineString"/], ['CSV', /^ts,latitude/]]) {
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name, exact: true }).click()]);
    check(pattern.test(readFileSync(await file.path(), 'utf8')), `${file.suggestedFilename()} holds the track`);
  }

  walk.step = 'a trip that is not there';
  walk.expected = /\/v1\/trips\/trp_0{32}/;
  await page.goto(`${walk.base}/trips/trp_${'0'.repeat(32)}`);
  await page.getByRole('alert').first().waitFor();
  check(await page.getByRole('button', { name: 'Try again' }).first().isVisible(), 'an error offers another try');
  walk.expected = null;
  return `${count} trips on the first page`;
}
