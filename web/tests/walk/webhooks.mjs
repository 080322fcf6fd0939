// Webhooks: an endpoint is added, its secret shown once and good for what comes; a ping gets through, one that
// does not is told with what was answered, and sent again; the endpoint is changed, disabled and taken away.

import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import { check } from './browser.mjs';

/** Takes calls on this machine; answers with the statuses it is given, then with 200. */
async function receiver() {
  const [calls, answers, waiting] = [[], [], []];
  const server = createServer((asked, answer) => {
    let body = '';
    asked.on('data', (part) => (body += part));
    asked.on('end', () => {
      calls.push({ headers: asked.headers, body });
      answer.writeHead(answers.shift() ?? 200).end();
      for (const heard of waiting.splice(0)) heard();
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/hook`,
    answers,
    calls,
    until: async (count) => {
      while (calls.length < count) await new Promise((resolve) => waiting.push(resolve));
      return calls[count - 1];
    },
    /** The first call of this type after the first `skipped` calls, whatever else is told beside it. */
    ofType: async (type, skipped) => {
      for (;;) {
        const call = calls.slice(skipped).find(({ body }) => JSON.parse(body).type === type);
        if (call) return call;
        await new Promise((resolve) => waiting.push(resolve));
      }
    },
    close: () => (server.closeAllConnections(), server.close()),
  };
}

/** As Standard Webhooks says, and not as our code does. */
function isSignedBy({ headers, body }, secret) {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const mac = createHmac('sha256', key).update(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`).digest('base64');
  return headers['webhook-signature'].split(' ').includes(`v1,${mac}`);
}

export async function webhooks(walk, page) {
  const at = await receiver();
  try {
    return await told(walk, page, at);
  } finally {
    at.close();
  }
}

async function told(walk, page, at) {
  walk.step = 'a webhook endpoint is added';
  await page.goto(`${walk.base}/admin`);
  await page.getByRole('navigation', { name: 'Admin' }).getByRole('link', { name: 'Webhooks' }).click();
  await page.waitForSelector('[data-rows]:not([data-rows="-1"])');
  await page.getByLabel('Address').fill(at.url);
  await page.getByLabel('Events').fill('OrganizationCreated');
  await page.getByLabel('Events').press('Enter');
  await page.getByLabel('For people').fill('The walk');
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  const secret = await page.locator('[data-secret] code').innerText();
  check(/^whsec_[A-Za-z0-9+/]+=*$/.test(secret), 'the whole secret is shown');
  const row = page.locator('tbody tr').filter({ hasText: at.url });
  await row.getByText('OrganizationCreated').waitFor();
  const panel = page.locator('[data-endpoint]');
  await panel.locator('[data-deliveries="0"]').waitFor();
  await walk.accessible(page);
  await page.getByRole('button', { name: 'I have it' }).click();
  check(!(await page.content()).includes(secret), 'what is put away is nowhere');

  walk.step = 'a ping gets through';
  await panel.getByRole('button', { name: 'Ping', exact: true }).click();
  const ping = await at.until(1);
  check(JSON.parse(ping.body).type === 'WebhookEndpointPinged', `a ping is told: ${ping.body}`);
  check(isSignedBy(ping, secret), 'the secret that was shown proves it');
  const delivery = panel.locator('[data-delivery]').first();
  await panel.locator('[data-delivery="delivered"]').first().getByText('200', { exact: true }).waitFor();
  await delivery.getByRole('button', { name: /^Payload/ }).click();
  const payload = JSON.parse(await panel.locator('[data-payload]').innerText());
  const sent = JSON.parse(ping.body);
  check(payload.type === sent.type && payload.timestamp === sent.timestamp && payload.data.event_id === ping.headers['webhook-id'], 'the payload is what was sent');
  await walk.accessible(page);
  await delivery.getByRole('button', { name: /^Payload/ }).click();

  walk.step = 'a delivery is sent again';
  await delivery.getByRole('button', { name: /^Send again/ }).click();
  const again = await at.until(2);
  check(again.headers['webhook-id'] === ping.headers['webhook-id'] && again.body === ping.body, 'it is the same, sent again');
  // Its attempts are counted from there.
  await panel.locator('[data-delivery="delivered"] td:nth-child(4)').getByText('1', { exact: true }).waitFor();

  walk.step = 'a delivery that does not get through';
  // Gone: it is not tried again by itself, so the walk sees it in this state however slow the machine is.
  at.answers.push(410);
  await panel.getByRole('button', { name: 'Ping', exact: true }).click();
  await at.until(3);
  await panel.locator('[data-delivery="failed"]').first().getByText('410', { exact: true }).waitFor();
  await panel.locator('[data-why="gone"]').waitFor();
  await row.getByText('Disabled').waitFor();
  await row.getByText('nothing through since').waitFor();
  check(await panel.getByRole('button', { name: 'Ping', exact: true }).isDisabled(), 'nothing is told to one that is disabled');
  await panel.getByRole('radio', { name: 'Delivered' }).check({ force: true });
  await panel.locator('[data-deliveries="1"]').waitFor();
  check(new URL(page.url()).searchParams.get('status') === 'delivered', 'the filter is in the URL');
  await panel.getByRole('radio', { name: 'All' }).check({ force: true });
  await panel.locator('[data-deliveries="2"]').waitFor();
  await walk.accessible(page);
  await page.setViewportSize({ width: 390, height: 844 });
  await walk.fits(page);
  await walk.shot(page, 'webhooks-phone');
  await page.setViewportSize({ width: 1440, height: 900 });

  walk.step = 'an endpoint is enabled and changed';
  await panel.getByRole('button', { name: 'Enable', exact: true }).click();
  await row.getByText('Enabled').waitFor();
  await panel.locator('[data-delivery="failed"]').first().getByRole('button', { name: /^Send again/ }).click();
  await at.until(4);
  await panel.locator('[data-delivery="delivered"]').nth(1).waitFor();
  await walk.shot(page, 'webhooks');
  await panel.getByRole('button', { name: 'Change', exact: true }).click();
  const form = page.getByRole('form', { name: 'Change the endpoint' });
  await form.getByRole('button', { name: 'Without OrganizationCreated' }).click();
  await form.getByLabel('Address').fill(`${at.url}/b`);
  await walk.accessible(page);
  await form.getByRole('button', { name: 'Save' }).click();
  await page.locator('tbody tr').filter({ hasText: `${at.url}/b` }).getByText('All', { exact: true }).waitFor();

  walk.step = 'another secret';
  await panel.getByRole('button', { name: 'Another secret', exact: true }).click();
  await panel.getByRole('button', { name: 'Yes, make another' }).click();
  const next = await page.locator('[data-secret] code').innerText();
  // It takes all events by now, so the fleet's come between.
  const before = at.calls.length;
  await panel.getByRole('button', { name: 'Ping', exact: true }).click();
  const both = await at.ofType('WebhookEndpointPinged', before);
  check(next !== secret && isSignedBy(both, next) && isSignedBy(both, secret), 'for a day both sign');

  walk.step = 'an endpoint is taken away';
  await page.reload();
  await page.waitForSelector('[data-endpoint]');
  check(!(await page.content()).includes(next), 'after a reload the secret is nowhere');
  await panel.getByRole('button', { name: 'Delete', exact: true }).click();
  await panel.getByRole('button', { name: 'Keep it' }).click();
  await panel.getByRole('button', { name: 'Delete', exact: true }).click();
  await panel.getByRole('button', { name: 'Yes, delete it' }).click();
  await panel.waitFor({ state: 'detached' });
  await page.waitForSelector('[data-rows]:not([data-rows="-1"])');
  check((await page.locator('tbody tr').filter({ hasText: at.url }).count()) === 0, 'it is gone from the list');
  return `a webhook told ${at.calls.length} times`;
}
