// What every part of the walk shares: the browser, what counts as a fault, accessibility, maps.

import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const BROWSERS = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const WAIT_MS = 90_000;
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];

export const browserPath = () => BROWSERS.find((path) => path && existsSync(path));

export function check(truth, claim) {
  if (!truth) throw new Error(claim);
}

export class Walk {
  faults = [];
  /** How long each step took, and of all of it what the walk itself costs: axe, pictures, maps that are waited for. */
  times = [];
  spent = {};
  #step = 'start';
  #since = Date.now();
  /** Addresses whose failure is what a step is about; null means that none may fail. */
  expected = null;
  /** Another server that pages are sent to: an identity provider. */
  also = null;

  static async start(base, folder) {
    const walk = new Walk();
    walk.base = base;
    walk.folder = folder;
    walk.browser = await chromium.launch({
      executablePath: browserPath(),
      args: [
        '--no-sandbox', '--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader',
        '--disable-background-networking', '--disable-component-update', '--no-first-run',
      ],
    });
    return walk;
  }

  get step() {
    return this.#step;
  }

  set step(name) {
    const now = Date.now();
    this.times.push([this.#step, now - this.#since]);
    [this.#step, this.#since] = [name, now];
  }

  async timed(what, act) {
    const from = Date.now();
    try {
      return await act();
    } finally {
      this.spent[what] = (this.spent[what] ?? 0) + Date.now() - from;
    }
  }

  /** Without the service worker, which has a walk of its own: what a step holds back is held back here. */
  async page(options = {}, base = this.base) {
    const context = await this.browser.newContext({
      viewport: { width: 1440, height: 900 }, deviceScaleFactor: 1, colorScheme: 'light', timezoneId: 'Europe/Copenhagen', acceptDownloads: true, serviceWorkers: 'block', ...options,
    });
    const page = await context.newPage();
    page.setDefaultTimeout(WAIT_MS);
    const fault = (url, message) => {
      if (!this.expected?.test(url)) this.faults.push(`${this.step}: ${message}`);
    };
    page.on('console', (message) => {
      if (message.type() === 'error') fault(message.location().url, `console error: ${message.text()} (${message.location().url})`);
    });
    page.on('pageerror', (error) => this.faults.push(`${this.step}: uncaught ${error.stack ?? error.message}`));
    page.on('requestfailed', (request) => {
      // Leaving a page ends its streams and pending requests; that is no failure.
      const why = request.failure()?.errorText;
      if (why !== 'net::ERR_ABORTED') fault(request.url(), `${request.url()} failed: ${why}`);
    });
    page.on('response', (response) => {
      if (response.status() >= 400) fault(response.url(), `${response.url()} answered ${response.status()}`);
    });
    page.on('request', (request) => {
      if (![base, this.also].some((server) => server && request.url().startsWith(server)) && !/^(data|blob):/.test(request.url())) this.faults.push(`${this.step}: the page asked another server: ${request.url()}`);
    });
    return page;
  }

  async shot(page, name) {
    await this.timed('pictures', () => page.screenshot({ path: join(this.folder, `${name}.png`) }));
  }

  /** WCAG 2.2 AA, as far as a program can tell. */
  async accessible(page) {
    await this.timed('axe', () => this.#axe(page));
  }

  async #axe(page) {
    // Colours that fade into others (a button pointed at, the other theme) are judged when they are there.
    await page.evaluate(async () => {
      await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
      const ending = document.getAnimations().filter(({ effect }) => Number.isFinite(effect?.getComputedTiming().endTime));
      await Promise.race([Promise.allSettled(ending.map(({ finished }) => finished)), new Promise((late) => setTimeout(late, 2000))]);
    });
    // By the debugger, as our own policy lets no other script in.
    await page.evaluate(AXE);
    const found = await page.evaluate(async (values) => {
      const { violations } = await globalThis.axe.run(document, { runOnly: { type: 'tag', values }, resultTypes: ['violations'] });
      return violations.map(({ id, help, nodes }) => `${id}: ${help} (${nodes.slice(0, 3).map(({ target, failureSummary }) => `${target.join(' ')} ${failureSummary?.split('\n')[1]?.trim() ?? ''}`).join('; ')})`);
    }, RULES);
    for (const violation of found) this.faults.push(`${this.step}: accessibility: ${violation}`);
  }

  /** `shown` tells that what the page is about is on its map; without it, the picture after the first one is waited for. */
  async mapDrawn(page, shown = '') {
    await this.timed('maps', () => this.#drawn(page, shown));
  }

  async #drawn(page, shown) {
    await page.waitForSelector('[data-map="ready"]');
    await page.waitForSelector(shown || '[data-drawn]');
    if (!shown) await this.#again(page);
    const bytes = await page.locator('[data-map="ready"]').screenshot().then((png) => png.length);
    check(bytes > 8000, `the map is blank (its picture has ${bytes} bytes)`);
  }

  async #again(page) {
    // The map is drawn again each time data comes; the second picture has what came with the first.
    const drawn = Number(await page.locator('[data-drawn]').getAttribute('data-drawn'));
    await page
      .waitForFunction((before) => Number(document.querySelector('[data-drawn]')?.getAttribute('data-drawn')) > before, drawn, { timeout: 3000 })
      .catch(() => undefined);
  }

  async fits(page) {
    const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    check(over <= 0, `the page is ${over} px wider than the screen`);
  }
}

/** A way to the server that can be cut, as a link on the road is. */
export async function cuttable(base) {
  const { hostname, port } = new URL(base);
  const open = new Set();
  let cut = false;
  const server = createServer((near) => {
    if (cut) return near.destroy();
    const far = connect(Number(port), hostname);
    for (const [from, to] of [[near, far], [far, near]]) {
      open.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => (open.delete(from), to.destroy()));
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    base: `http://127.0.0.1:${server.address().port}`,
    cut: () => {
      cut = true;
      for (const socket of open) socket.destroy();
    },
    mend: () => (cut = false),
    close: () => {
      for (const socket of open) socket.destroy();
      server.close();
    },
  };
}
