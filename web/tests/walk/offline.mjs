// A console out of reach of its server: what was shown stays, a reload is the console and no page of the browser's, and
// all comes back by itself.

import { check, cuttable } from './browser.mjs';

/** In the browser: what is in no cache. */
async function missingOf(paths) {
  const kept = await Promise.all((await caches.keys()).map(async (name) => (await (await caches.open(name)).keys()).map(({ url }) => new URL(url).pathname)));
  return paths.filter((path) => !kept.flat().includes(path));
}

export async function offline(walk) {
  walk.step = 'offline';
  const way = await cuttable(walk.base);
  walk.expected = new RegExp(`^${way.base}/`);
  try {
    const page = await walk.page({ viewport: { width: 1100, height: 760 }, serviceWorkers: 'allow' }, way.base);
    await page.goto(`${way.base}/trips`);
    await page.waitForSelector('tbody tr');
    const rows = await page.locator('tbody tr').count();
    // The pages that come when they are opened are kept as well, once there is time: those of billing here.
    const worker = await (await fetch(`${walk.base}/service-worker.js`)).text();
    const all = ['SHELL', 'REST'].flatMap((list) => JSON.parse(new RegExp(`^const ${list} = (.*);$`, 'm').exec(worker)[1]));
    const until = Date.now() + 90_000;
    for (let missing = all; missing.length > 0; missing = await page.evaluate(missingOf, all)) {
      check(Date.now() < until, `all of the console is kept; not so: ${missing}`);
      await page.waitForTimeout(500);
    }
    const cut = async () => (way.cut(), page.context().setOffline(true));
    const mend = async () => (way.mend(), page.context().setOffline(false));
    const line = page.getByText(/^You are offline; showing what was loaded at \d\d:\d\d/);

    await cut();
    await line.waitFor();
    check((await page.locator('tbody tr').count()) === rows, 'what was loaded stays in view');
    await walk.accessible(page);
    await walk.shot(page, 'offline');
    await page.locator('nav.tabs').getByRole('link', { name: 'Billing' }).click();
    await page.getByText('The server cannot be reached').first().waitFor();
    await mend();
    await page.waitForSelector('tbody tr');
    check(page.url().endsWith('/invoices'), 'the page that failed is the one that came');
    await line.waitFor({ state: 'detached' });

    walk.step = 'a reload out of reach';
    await cut();
    await page.reload();
    await page.getByText('It is tried again by itself').waitFor();
    await walk.accessible(page);
    await mend();
    await page.waitForSelector('tbody tr');
    const kept = await page.evaluate(async () => {
      const names = await caches.keys();
      const all = await Promise.all(names.map(async (name) => (await (await caches.open(name)).keys()).map(({ url }) => new URL(url).pathname)));
      return { names: names.length, paths: all.flat() };
    });
    check(kept.names === 1 && kept.paths.includes('/'), 'one release is kept, with its page');
    check(!kept.paths.some((path) => /^\/(v1|docs|basemap)/.test(path)), `nothing of the server's is kept: ${kept.paths}`);
    await page.context().close();
  } finally {
    way.close();
    walk.expected = null;
  }
}
