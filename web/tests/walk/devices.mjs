// Devices: one is added, put into a vehicle and enrolled as a unit does it, with a token that is shown once; it gets a
// certificate by hand too, loses one, moves, and is retired. Where the server has no certificate authority, that is
// told, and nothing is offered that needs one.

import { generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { check } from './browser.mjs';

const der = (tag, ...parts) => {
  const body = Buffer.concat(parts);
  const length = body.length < 128 ? [body.length] : body.length < 256 ? [0x81, body.length] : [0x82, body.length >> 8, body.length & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
};
const ECDSA_SHA256 = Buffer.from('06082a8648ce3d040302', 'hex');

/** A certificate request of a key of its own (RFC 2986), with no name in it: names in one do not count. */
function request() {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const told = der(0x30, der(0x02, Buffer.from([0])), der(0x30), publicKey.export({ type: 'spki', format: 'der' }), der(0xa0));
  const whole = der(0x30, told, der(0x30, ECDSA_SHA256), der(0x03, Buffer.from([0]), sign('sha256', told, privateKey)));
  return `-----BEGIN CERTIFICATE REQUEST-----\n${whole.toString('base64').match(/.{1,64}/g).join('\n')}\n-----END CERTIFICATE REQUEST-----\n`;
}

async function get(walk, path) {
  const answer = await fetch(`${walk.base}${path}`);
  return answer.ok ? answer.json() : null;
}

/** Two vehicles of the same owner without a device. */
async function freeVehicles(walk) {
  const { data } = await get(walk, '/v1/vehicles?limit=200');
  const byOwner = new Map();
  for (const item of data) {
    if ((await get(walk, `/v1/devices?vehicle_id=${item.id}`)).data.length > 0) continue;
    const found = [...(byOwner.get(item.organization_id) ?? []), item];
    if (found.length === 2) return found;
    byOwner.set(item.organization_id, found);
  }
  throw new Error('no two vehicles of one owner are without a device');
}

const opened = (page, status) => page.locator(`[data-device][data-status="${status}"]`);

async function added(walk, page, { name, serial, vehicle }) {
  const form = page.getByRole('form', { name: 'Add a device' });
  await form.getByRole('combobox', { name: 'Of', exact: true }).selectOption(vehicle.organization_id ?? '');
  await form.getByLabel('Name', { exact: true }).fill(name);
  await form.getByLabel('Serial number').fill(serial);
  await form.getByLabel('Hardware model').fill('TCU 2');
  await form.getByRole('button', { name: 'Add', exact: true }).click();
  await page.getByRole('region', { name: `Device ${name}` }).waitFor();
  await page.locator('tbody tr').filter({ hasText: serial }).getByText('No vehicle').waitFor();
}

async function enrolled(walk, page, panel) {
  walk.step = 'a token is shown once, and lets a unit in';
  await panel.getByRole('button', { name: 'Enrolment token' }).click();
  await walk.accessible(page);
  await panel.getByRole('button', { name: 'Make a token' }).click();
  const token = await page.locator('[data-secret] code').first().innerText();
  check(/^rle_\S{20,}$/.test(token), 'the whole token is shown');
  const command = await page.locator('[data-command]').innerText();
  check(command.includes(`--api ${new URL(walk.base).origin}`) && !command.includes(token), `the command has the address and not the token: ${command}`);
  await walk.accessible(page);
  await walk.shot(page, 'devices');
  const key = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'der' }).subarray(-32).toString('hex');
  const unit = await fetch(`${walk.base}/v1/enrolments`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ token, csr_pem: request(), signing_public_key: key }),
  });
  check(unit.ok, `a unit enrols with it: ${unit.status} ${await unit.text()}`);
  // Nobody touches the page: it looks again by itself.
  await page.getByText('Its unit has enrolled.').waitFor();
  await opened(page, 'enrolled').getByText(key).waitFor();
  await page.getByRole('button', { name: 'I have it' }).click();
  check(!(await page.content()).includes(token), 'what is put away is nowhere');
}

async function byHand(walk, page, panel) {
  walk.step = 'a certificate by hand';
  await panel.getByRole('button', { name: 'Certificate by hand' }).click();
  const form = page.getByRole('form', { name: 'Certificate by hand' });
  await form.getByLabel(/^Certificate request/).fill('no request');
  await form.getByRole('button', { name: 'Issue' }).click();
  await form.getByText('Paste a whole request').waitFor();
  await walk.accessible(page);
  await form.getByLabel(/^Certificate request/).fill(request());
  await form.getByRole('button', { name: 'Issue' }).click();
  const serial = await page.locator('[data-issued]').getAttribute('data-issued');
  for (const name of ['Download the certificate', 'Download the chain']) {
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name }).click()]);
    check(readFileSync(await file.path(), 'utf8').startsWith('-----BEGIN CERTIFICATE-----'), `${name}: it is one`);
  }
  await page.locator('[data-issued]').getByRole('button', { name: 'I have it' }).click();

  walk.step = 'a certificate is revoked';
  const row = page.locator('[data-certificate]').filter({ hasText: serial });
  await row.getByRole('button', { name: /^Revoke/ }).click();
  const sure = page.getByRole('form', { name: 'Revoke' });
  await sure.getByRole('combobox').selectOption('superseded');
  await walk.accessible(page);
  await sure.getByRole('button', { name: 'Yes, revoke it' }).click();
  await row.getByText('Another certificate took its place').waitFor();
}

export async function devices(walk, page) {
  const [first, second] = await freeVehicles(walk);
  const serial = `SN-${Date.now().toString(36)}`;
  const name = `Walk ${serial}`;
  const hasAuthority = (await get(walk, '/v1/certificate-authority')) !== null;
  // The unit of a vehicle may never have been heard of, and the server may have no authority.
  walk.expected = /\/v1\/(certificate-authority|vehicles\/[^/]+\/agent)$/;

  walk.step = 'devices, and who signs for them';
  await page.goto(`${walk.base}/admin`);
  await page.getByRole('navigation', { name: 'Admin' }).getByRole('link', { name: 'Devices' }).click();
  await page.waitForSelector('[data-rows]:not([data-rows="-1"])');
  await page.waitForSelector(`[data-authority="${hasAuthority ? 'yes' : 'none'}"]`);
  if (!hasAuthority) await page.getByRole('heading', { name: 'This server has no certificate authority' }).waitFor();
  await walk.accessible(page);

  walk.step = 'a device is added';
  await added(walk, page, { name, serial, vehicle: first });
  const panel = page.getByRole('region', { name: `Device ${name}` });
  await panel.getByText('It sits in no vehicle.').waitFor();
  check(await panel.getByRole('button', { name: 'Enrolment token' }).isDisabled(), 'in no vehicle it is given no token');
  await walk.accessible(page);

  walk.step = 'a device is put into a vehicle';
  await panel.getByRole('button', { name: 'Change', exact: true }).click();
  const form = page.getByRole('form', { name: 'Change the device' });
  await form.getByLabel('Sits in').selectOption(first.id);
  check((await page.locator('[data-warning]').count()) === 0, 'of its first vehicle nothing is warned of');
  await form.getByRole('button', { name: 'Save' }).click();
  await panel.getByRole('link', { name: first.name || first.vehicle_id, exact: true }).waitFor();
  if (hasAuthority) {
    await enrolled(walk, page, panel);
    await byHand(walk, page, panel);
  }

  walk.step = 'devices are found by status and vehicle';
  const status = hasAuthority ? 'enrolled' : 'new';
  await page.getByRole('combobox', { name: 'Vehicle', exact: true }).selectOption(first.id);
  await page.waitForSelector('[data-rows="1"]');
  await page.getByRole('combobox', { name: 'Status', exact: true }).selectOption('retired');
  await page.getByRole('heading', { name: 'No device matches' }).waitFor();
  await page.getByRole('combobox', { name: 'Status', exact: true }).selectOption(status);
  await page.waitForSelector('[data-rows="1"]');
  const address = new URL(page.url()).searchParams;
  check(address.get('status') === status && address.get('vehicle') === first.id, 'the filters are in the URL');
  await page.setViewportSize({ width: 390, height: 844 });
  await walk.fits(page);
  await walk.shot(page, 'devices-phone');
  await page.setViewportSize({ width: 1440, height: 900 });

  walk.step = 'the device of a vehicle';
  await page.goto(`${walk.base}/vehicles/${first.vehicle_id}`);
  await page.locator(`[data-unit-device="${status}"]`).getByRole('link', { name }).click();
  await opened(page, status).waitFor();
  await walk.accessible(page);

  walk.step = 'a device moves to another vehicle';
  await panel.getByRole('button', { name: 'Change', exact: true }).click();
  await form.getByLabel('Sits in').selectOption(second.id);
  await page.locator('[data-warning]').waitFor();
  await walk.accessible(page);
  await form.getByRole('button', { name: /^Move it/ }).click();
  await opened(page, 'new').getByRole('link', { name: second.name || second.vehicle_id, exact: true }).waitFor();
  if (hasAuthority) await page.waitForFunction(() => document.querySelectorAll('[data-certificate="revoked"]').length === 2);

  walk.step = 'a device is retired';
  await panel.getByRole('button', { name: 'Take it out' }).click();
  await panel.getByRole('button', { name: 'Leave it in' }).click();
  await panel.getByRole('button', { name: 'Retire' }).click();
  await panel.getByRole('button', { name: 'Yes, retire it' }).click();
  await opened(page, 'retired').waitFor();
  check((await panel.getByRole('button', { name: 'Retire' }).count()) === 0, 'what is for good is offered once');
  await walk.accessible(page);
  walk.expected = null;
  return hasAuthority ? 'a device enrolled, moved and retired' : 'a device moved and retired, without a certificate authority';
}
