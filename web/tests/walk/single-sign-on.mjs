// The way in by an identity provider: cancelled, refused, let in and brought back to the same place; ended by
// others while something is typed, taken up again in a window of its own, signed out of in every tab and there.
// The accounts are those of api/tests/provider.

import { readFileSync } from 'node:fs';
import { check } from './browser.mjs';

const PASSWORD = 'secret';

/** People as the operator's key makes them, and the sessions that it sees. */
async function people(base, secret) {
  const ask = async (method, path, body, headers = {}) => {
    const answer = await fetch(`${base}${path}`, { method, headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json', ...headers }, body: body && JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${await answer.text()}`);
    return answer.status === 204 ? null : answer.json();
  };
  const [organization] = (await ask('GET', '/v1/organizations')).data;
  check(organization, 'there is an organization');
  const there = (await ask('GET', '/v1/users?limit=200')).data;
  const person = async (login, name, role) => {
    const email = `${login}@fleet.example`;
    return there.find((user) => user.email === email) ?? ask('POST', '/v1/users', { name, email, role, organization_id: organization.id });
  };
  const users = { anna: await person('anna', 'Anna Andersen', 'owner'), boris: await person('boris', 'Boris Berg', 'driver'), vera: await person('vera', 'Vera Vang', 'driver'), ida: await person('ida', 'Ida Inaktiv', 'driver') };
  if (users.ida.is_active) await ask('PATCH', `/v1/users/${users.ida.id}`, { is_active: false }, { 'if-match': `"${users.ida.version}"` });
  return {
    organization,
    /** Ends every session of a person. */
    end: async ({ id }) => {
      const own = (await ask('GET', '/v1/sessions?limit=200')).data.filter(({ user_id }) => user_id === id);
      for (const session of own) await ask('DELETE', `/v1/sessions/${session.id}`);
      return own.length;
    },
    key: () => ask('POST', '/v1/api-keys', { name: 'Beside', role: 'analyst', organization_id: organization.id }),
    ...users,
  };
}

const button = (page) => page.getByRole('link', { name: 'Single sign-on', exact: true });

/** At the provider's page. */
async function typed(page, login) {
  await page.getByLabel('Login').fill(login);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
}

async function refused(walk, login, title) {
  const page = await walk.page();
  await page.goto(`${walk.base}/`);
  await button(page).click();
  await typed(page, login);
  await page.getByRole('alert').filter({ hasText: title }).waitFor();
  await page.waitForFunction(() => !location.search);
  check(await button(page).isVisible(), 'there is another try');
  return page;
}

/** Of a page that waits: the way through a window of its own, which closes by itself. */
async function again(page) {
  const [side] = await Promise.all([page.waitForEvent('popup'), button(page).click()]);
  if (!side.isClosed()) await side.waitForEvent('close');
}

const inside = (page) => page.waitForSelector('[data-link="live"]');
const waits = (page) => page.waitForSelector('[data-page="sign-in"]');
const resumed = (page) => page.locator('[data-page="sign-in"]').waitFor({ state: 'detached' });

export async function singleSignOn(walk, provider, secret) {
  walk.also = provider;
  // What is refused is what these steps are about; the page tells it, and the browser logs it.
  walk.expected = new RegExp(`^(${walk.base}/v1/|${provider})`);
  const of = await people(walk.base, secret);
  const page = await walk.page();
  const asked = [];
  page.context().on('request', (request) => request.url().startsWith(walk.base) && asked.push(request));

  walk.step = 'the page to sign in';
  const place = `${walk.base}/trips?from=2020-01-01`;
  await page.goto(place);
  await waits(page);
  await button(page).waitFor();
  check(await button(page).evaluate((node) => document.activeElement === node), 'the first way has the focus');
  check(await page.getByLabel('API key', { exact: true }).isVisible(), 'a key opens as well');
  await walk.shot(page, 'single-sign-on');
  await walk.accessible(page);
  await page.emulateMedia({ colorScheme: 'dark' });
  await walk.shot(page, 'dark-single-sign-on');
  await walk.accessible(page);
  await page.emulateMedia({ colorScheme: 'light' });

  walk.step = 'cancelled at the provider';
  await button(page).click();
  await page.getByRole('link', { name: 'Cancel' }).click();
  await page.getByRole('alert').filter({ hasText: 'You were not signed in' }).waitFor();
  await page.waitForFunction(() => !location.search);
  await walk.accessible(page);

  walk.step = 'who is not let in';
  for (const [login, title] of [['ulla', 'There is no account for you here'], ['ida', 'Your account is not active']]) await (await refused(walk, login, title)).context().close();
  const vera = await refused(walk, 'vera', 'Your e-mail is not verified');
  await walk.shot(vera, 'single-sign-on-refused');
  await walk.accessible(vera);
  await vera.context().close();

  walk.step = 'signed in';
  await page.goto(place);
  await button(page).click();
  await typed(page, 'anna');
  await inside(page);
  check(page.url() === place, `the place is kept: ${page.url()}`);
  const account = page.getByRole('button', { name: /^Anna Andersen/ });
  await account.click();
  const card = page.getByRole('dialog', { name: 'Signed in' });
  for (const text of ['anna@fleet.example', 'Single sign-on', of.organization.name]) await card.getByText(text, { exact: true }).waitFor();
  await walk.shot(page, 'single-sign-on-account');
  await walk.accessible(page);
  await page.keyboard.press('Escape');
  const held = await page.evaluate(() => [document.cookie, ...[localStorage, sessionStorage].flatMap((storage) => Object.entries(storage).map((entry) => entry.join('=')))].join('\n'));
  check(!/roadlake-session|roadlake\.key|token|eyJ/.test(held), `no script has what opens it: ${held}`);

  walk.step = 'a download by session';
  await page.goto(`${walk.base}/sql?${new URLSearchParams({ query: 'SELECT 1 AS one' })}`);
  await page.waitForSelector('[data-rows="1"]');
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'CSV' }).click()]);
  check(readFileSync(await file.path(), 'utf8').startsWith('one\r\n1'), 'the file holds what is shown');

  walk.step = 'another tab, and a driver';
  const other = await page.context().newPage();
  await other.goto(`${walk.base}/`);
  await inside(other);
  const his = await walk.page();
  await his.goto(`${walk.base}/sql`);
  await button(his).click();
  await typed(his, 'boris');
  await his.getByRole('heading', { name: 'Not for your role' }).waitFor();

  walk.step = 'who is signed in';
  await account.click();
  await card.getByRole('link', { name: 'Where you are signed in' }).click();
  await card.waitFor({ state: 'hidden' });
  await page.getByRole('navigation', { name: 'Admin' }).getByRole('link', { name: 'Sessions' }).and(page.locator('[aria-current="page"]')).waitFor();
  await page.locator('tr[data-session]').filter({ hasText: 'This browser' }).waitFor();
  const row = page.locator('tr[data-session]').filter({ hasText: 'boris@fleet.example' });
  await row.waitFor();
  await walk.shot(page, 'sessions');
  await walk.accessible(page);
  await row.getByRole('button', { name: /^End/ }).click();
  await row.getByRole('button', { name: 'Yes, end it' }).click();
  await row.waitFor({ state: 'detached' });
  await his.goto(`${walk.base}/bookings`);
  await waits(his);
  await his.context().close();

  walk.step = 'a session that is ended by others';
  await page.goto(`${walk.base}/admin/keys`);
  await page.waitForSelector('[data-rows]:not([data-rows="-1"])');
  await page.getByLabel('Name').fill('Half typed');
  check((await of.end(of.anna)) === 1, 'two tabs are one session');
  // Its stream ends too: the page may wait already.
  await page.getByRole('button', { name: 'Refresh' }).click({ timeout: 2000 }).catch(() => undefined);
  await waits(page);
  await page.getByRole('alert').filter({ hasText: 'Your session has ended' }).waitFor();
  await waits(other);
  check(!(await page.getByRole('heading', { name: 'Admin' }).isVisible()), 'what was in view is not any more');
  await button(page).waitFor();
  await walk.shot(page, 'single-sign-on-again');
  await walk.accessible(page);
  await again(page);
  await resumed(page);
  check((await page.getByLabel('Name').inputValue()) === 'Half typed', 'what was typed is still there');
  await page.waitForSelector('[data-rows]:not([data-rows="-1"])');
  await resumed(other);
  await inside(other);

  walk.step = 'signing out';
  await account.click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Sign out of the provider?' }).waitFor();
  await waits(other);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await waits(page);
  check(page.url() === `${walk.base}/`, `the provider sends back: ${page.url()}`);
  await button(page).click();
  await page.getByLabel('Login').waitFor();
  check((await of.end(of.anna)) === 0, 'the server has no session left');

  walk.step = 'a key beside a session';
  await typed(page, 'anna');
  await inside(page);
  const key = await of.key();
  await inside(other);
  await other.evaluate((text) => sessionStorage.setItem('roadlake.key', text), key.secret);
  await other.reload();
  await other.getByRole('button', { name: /^Beside/ }).waitFor();
  await page.reload();
  await account.waitFor();
  // Out of one is out of both.
  await other.getByRole('button', { name: /^Beside/ }).click();
  await other.getByRole('button', { name: 'Sign out' }).click();
  await other.getByRole('heading', { name: 'Sign out of the provider?' }).waitFor();
  await waits(page);
  await other.close();
  const [secrets, given] = [asked.filter((request) => /rlk_|[?&]\w+_token=/.test(request.url())), asked.filter((request) => 'authorization' in request.headers())];
  check(secrets.length === 0, `no address had a key or a token: ${secrets.map((request) => new URL(request.url()).pathname)}`);
  check(given.every((request) => request.headers().authorization === `Bearer ${key.secret}`), 'nothing but the key was sent as one');
  await page.context().close();

  walk.step = 'on a phone';
  const phone = await walk.page({ viewport: { width: 360, height: 640 }, isMobile: true, hasTouch: true });
  await phone.goto(`${walk.base}/`);
  await button(phone).waitFor();
  await walk.fits(phone);
  await walk.shot(phone, 'single-sign-on-phone');
  await walk.accessible(phone);
  await phone.context().close();
  walk.expected = null;
  return 'cancelled, refused, signed in, ended by others, taken up again and signed out, in two tabs and as a driver';
}
