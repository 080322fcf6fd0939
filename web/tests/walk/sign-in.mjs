// The way in: a server that asks for keys, a key that is wrong, right, shared by tabs, refused later; and
// what a role sees.

import { check } from './browser.mjs';

/** Makes a key as the operator, and takes it back. */
function operator(base, secret) {
  const ask = async (method, path, body) => {
    const answer = await fetch(`${base}${path}`, { method, headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' }, body: body && JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${await answer.text()}`);
    return answer.json();
  };
  return {
    made: (name, role, more = {}) => ask('POST', '/v1/api-keys', { name, role, ...more }),
    revoke: ({ id }) => ask('DELETE', `/v1/api-keys/${id}`),
    organizations: async () => (await ask('GET', '/v1/organizations')).data,
  };
}

async function give(page, key) {
  await page.getByLabel('API key', { exact: true }).fill(key);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
}

/** Without the number of open alerts beside theirs. */
const names = async (page) => (await page.getByRole('navigation', { name: 'Pages' }).getByRole('link').allInnerTexts()).map((text) => /^\D*/.exec(text)[0].trim());

export async function wayIn(walk, secret) {
  const of = operator(walk.base, secret);
  // What is refused is what these steps are about; the page tells it, and the browser logs it.
  walk.expected = new RegExp(`^${walk.base}/v1/`);
  const page = await walk.page();
  const asked = [];
  page.context().on('request', (request) => asked.push(request));

  walk.step = 'the page to sign in';
  const place = `${walk.base}/trips?from=2020-01-01`;
  await page.goto(place);
  await page.waitForSelector('[data-page="sign-in"]');
  check((await page.title()) === 'Sign in · Roadlake', 'the title says what it is');
  const field = page.getByLabel('API key', { exact: true });
  check((await field.evaluate((node) => document.activeElement === node)), 'the field has the focus');
  check((await field.getAttribute('type')) === 'password' && (await field.getAttribute('autocomplete')) === 'current-password', 'a password manager knows the field');
  check((await page.getByRole('navigation').count()) === 0, 'nothing else is offered');
  await walk.shot(page, 'sign-in');
  await walk.accessible(page);
  await page.emulateMedia({ colorScheme: 'dark' });
  await walk.shot(page, 'dark-sign-in');
  await walk.accessible(page);
  await page.emulateMedia({ colorScheme: 'light' });

  walk.step = 'a key that is wrong';
  const wrong = `rlk_${'0'.repeat(12)}_${'0'.repeat(64)}`;
  await give(page, wrong);
  await page.getByRole('alert').filter({ hasText: 'does not know that key' }).waitFor();
  await walk.accessible(page);
  await page.getByRole('button', { name: /^Show/ }).click();
  check((await field.getAttribute('type')) === 'text' && (await field.inputValue()) === wrong, 'it is still there, and can be shown');
  await give(page, 'ключ');
  await page.getByRole('alert').filter({ hasText: 'That is not a key' }).waitFor();

  walk.step = 'a key that has ended';
  const gone = await of.made('gone', 'driver');
  await of.revoke(gone);
  await give(page, gone.secret);
  await page.getByRole('alert').filter({ hasText: 'This key was revoked' }).waitFor();

  walk.step = 'signed in';
  const desk = await of.made('Front desk', 'owner');
  // As it is pasted out of a mail.
  await give(page, `  ${desk.secret}  `);
  await page.waitForSelector('tbody tr, .notice');
  check(page.url() === place, 'the place is kept');
  await page.waitForSelector('[data-link="live"]');
  const account = page.getByRole('button', { name: /^Front desk/ });
  check((await account.innerText()).includes('Owner'), 'the name and the role are shown');
  check((await names(page)).join() === 'Live,Alerts,Trips,Bookings,Fleet,Reports,Campaigns,Billing,SQL,Admin', 'an owner has every page');
  await account.click();
  await walk.shot(page, 'account');
  await walk.accessible(page);
  await page.keyboard.press('Escape');
  check((await page.evaluate(() => localStorage.getItem('roadlake.key'))) === null, 'nothing is kept on the device that was not asked for');
  await page.reload();
  await page.waitForSelector('[data-link="live"]');

  walk.step = 'another tab';
  const other = await page.context().newPage();
  await other.goto(`${walk.base}/`);
  await other.waitForSelector('.list .row, .list');
  await other.waitForSelector('[data-link="live"]');

  walk.step = 'a key that is refused later';
  await page.goto(`${walk.base}/admin`);
  await page.waitForSelector('[data-rows]:not([data-rows="-1"])');
  await page.getByLabel('Name').fill('Half typed');
  await of.revoke(desk);
  // Its stream ends too: the page may wait already.
  await page.getByRole('button', { name: 'Refresh' }).click({ timeout: 2000 }).catch(() => undefined);
  await page.waitForSelector('[data-page="sign-in"]');
  await page.getByRole('alert').filter({ hasText: 'This key was revoked' }).waitFor();
  check(!(await page.getByRole('heading', { name: 'Admin' }).isVisible()), 'what was in view is not any more');
  await walk.shot(page, 'sign-in-again');
  await walk.accessible(page);
  const next = await of.made('Front desk 2', 'owner');
  await give(page, next.secret);
  await page.waitForSelector('[data-rows]:not([data-rows="-1"])');
  await page.locator('[data-page="sign-in"]').waitFor({ state: 'detached' });
  check((await page.getByLabel('Name').inputValue()) === 'Half typed', 'what was typed is still there');
  await other.locator('[data-page="sign-in"]').waitFor({ state: 'detached' });
  await other.waitForSelector('[data-link="live"]');

  walk.step = 'signing out';
  await page.getByRole('button', { name: /^Front desk 2/ }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.waitForSelector('[data-page="sign-in"]');
  await other.waitForSelector('[data-page="sign-in"]');
  check(new URL(page.url()).pathname === '/', 'who comes next starts at the start');
  check(await page.evaluate(() => !Object.keys(sessionStorage).concat(Object.keys(localStorage)).some((name) => name === 'roadlake.key')), 'no key is left');

  walk.step = 'kept on this device';
  await page.getByRole('checkbox', { name: /Keep me signed in/ }).check();
  await give(page, next.secret);
  await page.waitForSelector('[data-link="live"]');
  await other.waitForSelector('[data-link="live"]');
  await other.close();
  const later = await page.context().newPage();
  await page.close();
  await later.goto(`${walk.base}/`);
  await later.waitForSelector('[data-link="live"]');
  check(asked.length > 20 && !asked.some((request) => /rlk_|[?&]key=/.test(request.url())), 'no address ever had a key');
  await later.context().close();

  walk.step = 'a role';
  const [organization] = await of.organizations();
  const driver = await of.made('Driver', 'driver', organization ? { organization_id: organization.id } : {});
  const his = await walk.page();
  const refused = [];
  his.on('response', (response) => response.status() === 403 && refused.push(response.url()));
  await his.goto(`${walk.base}/`);
  await his.waitForSelector('[data-page="sign-in"]');
  await give(his, driver.secret);
  await his.waitForSelector('[data-link="live"]');
  check((await names(his)).join() === 'Live,Trips,Bookings,Fleet', `a driver has what is a driver's: ${await names(his)}`);
  for (const path of ['/alerts', '/alerts/rules', '/sql', '/reports', '/invoices', '/admin/keys', '/billing/wallets']) {
    await his.goto(`${walk.base}${path}`);
    await his.getByRole('heading', { name: 'Not for this key' }).waitFor();
  }
  await walk.accessible(his);
  for (const path of ['/trips', '/bookings']) {
    await his.goto(`${walk.base}${path}`);
    await his.waitForSelector('h1');
    await his.waitForSelector('[aria-label^="Loading"]', { state: 'detached' });
  }
  check(refused.length === 0, `nothing is asked for that may not be: ${refused.join(', ')}`);
  await his.context().close();

  walk.step = 'another role';
  const dispatcher = await of.made('Dispatcher', 'dispatcher', organization ? { organization_id: organization.id } : {});
  const theirs = await walk.page();
  theirs.on('response', (response) => response.status() === 403 && refused.push(response.url()));
  await theirs.goto(`${walk.base}/alerts/rules`);
  await give(theirs, dispatcher.secret);
  await theirs.waitForSelector('[data-rows]:not([data-rows="-1"])');
  check((await names(theirs)).join() === 'Live,Alerts,Trips,Bookings,Fleet,Admin', `a dispatcher has what is a dispatcher's: ${await names(theirs)}`);
  check((await theirs.getByRole('button', { name: 'New rule' }).count()) === 0, 'who may not ask the lake has nothing asked');
  await walk.accessible(theirs);
  await walk.shot(theirs, 'alert-rules-none');
  await theirs.getByRole('navigation', { name: 'Alerts', exact: true }).getByRole('link', { name: 'Alerts' }).click();
  await theirs.waitForSelector('[data-rows]:not([data-rows="-1"])');
  check(refused.length === 0, `nothing is asked for that may not be: ${refused.join(', ')}`);
  await theirs.context().close();

  walk.step = 'on a phone';
  const phone = await walk.page({ viewport: { width: 360, height: 640 }, isMobile: true, hasTouch: true });
  await phone.goto(`${walk.base}/`);
  await phone.waitForSelector('[data-page="sign-in"]');
  await walk.fits(phone);
  await walk.shot(phone, 'sign-in-phone');
  await phone.context().close();
  walk.expected = null;
  return 'signed in, refused, signed in again and out, in two tabs, as a driver and as a dispatcher';
}
