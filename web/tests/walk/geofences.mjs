// Geofences on the live map: one is made by its numbers around a vehicle, which is seen to be inside; another is drawn
// by clicks; they are found by a filter, changed, and taken away.

import { ask } from './bookings.mjs';
import { check } from './browser.mjs';

const AROUND_M = 2_000;

/** A vehicle that stays where it is, as far as there is one. */
async function standing(walk) {
  const { data } = await ask(walk, 'GET', '/v1/fleet/status');
  const placed = data.filter(({ latitude, longitude }) => latitude !== null && longitude !== null);
  const found = placed.find(({ state }) => state === 'parked' || state === 'offline') ?? placed[0];
  check(found, 'a vehicle has told where it is');
  return found;
}

export async function geofences(walk, page) {
  walk.step = 'geofences';
  await page.goto(`${walk.base}/`);
  await page.waitForSelector('[data-link="live"]');
  await page.getByRole('radio', { name: 'Geofences' }).check({ force: true });
  await page.waitForSelector('[data-list]:not([data-list="-1"])');
  check(new URL(page.url()).searchParams.get('side') === 'geofences', 'what is beside the map is in the URL');
  const before = Number(await page.locator('[data-geofences]').getAttribute('data-geofences'));

  walk.step = 'a geofence by its numbers';
  const vehicle = await standing(walk);
  await page.getByRole('button', { name: 'New geofence' }).click();
  const form = page.getByRole('form', { name: 'New geofence' });
  await form.getByRole('button', { name: 'Save' }).click();
  await form.getByText('Give it a name.').waitFor();
  await form.getByText('Metres from 1 to 1,000,000.').waitFor();
  await walk.accessible(page);
  await form.getByLabel('Latitude').fill(vehicle.latitude.toFixed(6));
  await form.getByLabel('Longitude').fill(vehicle.longitude.toFixed(6));
  await form.getByLabel('Radius').fill(String(AROUND_M));
  await page.waitForSelector('[data-shape="Circle"]');
  await form.getByLabel('Name', { exact: true }).fill('Walk depot');
  await form.getByLabel('Kind').selectOption('depot');
  await form.getByLabel('Tags').fill('Walk, night');
  await form.getByRole('button', { name: 'Save' }).click();

  walk.step = 'a geofence and who is inside';
  const card = page.getByRole('region', { name: 'Geofence Walk depot' });
  await card.getByRole('button', { name: vehicle.name || vehicle.vehicle_id, exact: true }).waitFor();
  await card.getByText('came in').first().waitFor();
  await page.waitForSelector(`[data-geofences="${before + 1}"]`);
  await walk.mapDrawn(page);
  await walk.shot(page, 'geofences');
  await walk.accessible(page);

  walk.step = 'a geofence by clicks';
  await card.getByRole('button', { name: 'All geofences' }).click();
  await page.getByRole('button', { name: 'New geofence' }).click();
  await form.getByRole('radio', { name: 'Polygon' }).check({ force: true });
  const box = await page.locator('[data-map="ready"]').boundingBox();
  const click = (x, y) => page.mouse.click(box.x + box.width / 2 + x, box.y + box.height / 2 + y);
  await click(-150, -100);
  await form.getByText('1 point.').waitFor();
  await click(150, -100);
  await form.getByText('2 points.').waitFor();
  await click(20, 130);
  await form.getByText('3 points.').waitFor();
  await page.keyboard.press('Backspace');
  await form.getByText('2 points.').waitFor();
  await click(0, 120);
  await form.getByText('3 points.').waitFor();
  await page.keyboard.press('Enter');
  await page.waitForSelector('[data-shape="Polygon"]');
  await form.getByLabel('Name', { exact: true }).fill('Walk yard');
  await form.getByRole('button', { name: 'Save' }).click();
  const yard = page.getByRole('region', { name: 'Geofence Walk yard' });
  await yard.getByText('A polygon of 3 points').waitFor();
  await page.waitForSelector('[data-inside]:not([data-inside="-1"])');

  walk.step = 'a geofence is changed';
  await yard.getByRole('button', { name: 'Change' }).click();
  const change = page.getByRole('form', { name: 'Change Walk yard' });
  await change.getByLabel('Kind').selectOption('site');
  await change.getByRole('button', { name: 'Save' }).click();
  await yard.getByText(/^Site ·/).waitFor();

  walk.step = 'geofences by name and who is inside';
  await yard.getByRole('button', { name: 'All geofences' }).click();
  await page.getByRole('searchbox').fill('walk');
  await page.waitForSelector('[data-list="2"]');
  await page.getByRole('combobox', { name: 'Kind' }).selectOption('depot');
  await page.getByRole('combobox', { name: 'Who is inside' }).selectOption('somebody');
  await page.waitForSelector('[data-list="1"]');
  await page.getByRole('button', { name: /^Walk depot.* inside$/ }).waitFor();
  await walk.accessible(page);
  await page.getByRole('combobox', { name: 'Kind' }).selectOption('');
  await page.getByRole('combobox', { name: 'Who is inside' }).selectOption('');

  walk.step = 'geofences are taken away';
  for (const name of ['Walk depot', 'Walk yard']) {
    await page.getByRole('button', { name: new RegExp(`^${name}`) }).click();
    const one = page.getByRole('region', { name: `Geofence ${name}` });
    await one.getByRole('button', { name: 'Delete', exact: true }).click();
    await one.getByRole('button', { name: 'Yes, delete it' }).click();
    await one.waitFor({ state: 'detached' });
  }
  await page.waitForSelector(`[data-geofences="${before}"]`);
  return 'a vehicle seen in a geofence';
}
