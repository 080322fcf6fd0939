// Every page in the dark, with what opens on it: contrast and the rest of WCAG 2.2 AA, and a picture of each.

import { ask } from './bookings.mjs';
import { check } from './browser.mjs';

const list = async (base, path) => (await (await fetch(`${base}${path}`)).json()).data ?? [];

/** Each page by its address, what shows that it is there, and what is opened on it before it is looked at. */
export async function places(walk) {
  const { base } = walk;
  const [[trip], invoices, [booking], [vehicle], [tariff], payments, [wallet], [set], [deployment]] = await Promise.all(
    ['trips?limit=1', 'invoices?limit=50', 'bookings?limit=1', 'fleet/status', 'tariffs?limit=1', 'payments?limit=50', 'wallets?limit=1', 'campaign-sets?limit=1', 'campaign-deployments?limit=1'].map((path) => list(base, `/v1/${path}`)),
  );
  const invoice = invoices.find(({ line_count }) => line_count > 0);
  const payment = payments.find(({ status }) => status === 'succeeded') ?? payments[0];
  check(trip && invoice && vehicle && tariff, 'there is a trip, an invoice with lines, a vehicle and a tariff');
  // Nobody listens there: what cannot be reached is shown in the dark as well.
  const endpoint = await ask(walk, 'POST', '/v1/webhook-endpoints', { url: 'http://127.0.0.1:9/hook', event_types: ['OrganizationCreated'] });
  await ask(walk, 'POST', `/v1/webhook-endpoints/${endpoint.id}/ping`);
  const charts = async (page) => {
    await page.waitForSelector('[data-chart]');
    await page.waitForFunction(() => document.querySelectorAll('[data-state="loading"]').length === 0);
  };
  return [
    ['vehicle', `/vehicles/${vehicle.vehicle_id}`, '[data-signals]:not([data-signals="-1"])', charts],
    ['geofences', '/?side=geofences', '[data-list]:not([data-list="-1"])'],
    ['trips', '/trips', 'tbody tr'],
    ['trip', `/trips/${trip.id}`, '[data-events]', (page) => page.waitForSelector('[data-track]')],
    ['bookings', '/bookings', '[data-bookings]:not([data-bookings="-1"])'],
    ['book', '/bookings/new', 'form, .card'],
    ...(booking ? [['booking', `/bookings/${booking.id}`, '[data-status]']] : []),
    ['campaigns', '/campaigns', '[data-sets]:not([data-sets="-1"])'],
    ['campaign-new', '/campaigns/new', '[data-editor="ready"]'],
    ...(set ? [['campaign', `/campaigns/${set.id}`, '[data-editor="ready"]']] : []),
    ...(deployment ? [['deployment', `/campaign-deployments/${deployment.id}`, '[data-targets]:not([data-targets="-1"])']] : []),
    ...['', '/distance', '/driving', '/faults', '/quality'].map((board) => [`reports${board.replace('/', '-')}`, `/reports${board}`, '[data-chart]', charts]),
    ['sql', `/sql?${new URLSearchParams({ query: 'SELECT vehicle_id, date, distance_km, trip_count FROM vehicle_day ORDER BY distance_km DESC' })}`, '[data-rows]:not([data-rows="0"])'],
    ['invoices', '/invoices', 'tbody tr'],
    ['invoice', `/invoices/${invoice.id}`, '[data-line]', async (page) => {
      await page.locator('[data-line]').first().click();
      await page.waitForSelector('[data-agrees]');
    }],
    ['wallets', `/billing/wallets${wallet ? `?wallet=${wallet.id}` : ''}`, '[data-wallets], .card'],
    ['payments', `/billing/payments${payment ? `?payment=${payment.id}` : ''}`, payment ? '[data-refunds]' : '[data-payments="0"]'],
    ['dunning', '/billing/dunning', '[data-summary]:not([data-summary="0"])'],
    ['tariffs', `/billing/tariffs?tariff=${tariff.id}`, '[data-tariffs]'],
    ...[['organizations', ''], ['people', '/people'], ['keys', '/keys'], ['audit', '/audit']].map(([name, part]) => [name, `/admin${part}`, '[data-rows]:not([data-rows="-1"])']),
    ['webhooks', `/admin/webhooks?endpoint=${endpoint.id}`, '[data-deliveries="1"]'],
  ];
}

/** An organization that the walk has made pays by no tariff, and the page finds out by asking. */
const NO_TARIFF = /\/v1\/organizations\/[^/]+\/tariff$/;

export async function themes(walk) {
  walk.expected = NO_TARIFF;
  const page = await walk.page({ colorScheme: 'dark' });
  let seen = 0;
  for (const [name, path, there, open] of await places(walk)) {
    walk.step = `${name} in the dark`;
    await page.goto(`${walk.base}${path}`);
    await page.waitForSelector(there);
    await open?.(page);
    check((await page.locator('html').getAttribute('data-theme')) === 'dark', 'the system’s theme is followed');
    await walk.shot(page, `dark-${name}`);
    await walk.accessible(page);
    await walk.fits(page);
    seen += 1;
  }
  await page.context().close();
  walk.expected = null;
  return `${seen} pages in the dark`;
}
