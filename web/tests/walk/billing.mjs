// Billing beside invoices: a wallet is opened and filled, an invoice made final, its dunning paused, and paid from it,
// a part refunded, other prices tried on a month, and the dunning policy changed.

import { ask } from './bookings.mjs';
import { check } from './browser.mjs';

const CUSTOMER = 'Lakeside Carshare';

export async function billing(walk, page) {
  walk.step = 'wallets';
  const { data: owners } = await ask(walk, 'GET', '/v1/organizations');
  const owner = owners.find(({ name }) => name === CUSTOMER);
  await page.goto(`${walk.base}/billing/wallets`);
  await page.getByRole('combobox', { name: 'Open a wallet for' }).selectOption(owner.id);
  await page.getByRole('button', { name: 'Open', exact: true }).click();
  const wallet = page.locator('section[aria-label^="Wallet of"]').filter({ hasText: CUSTOMER });
  await wallet.locator('[data-entries="0"]').waitFor();
  await wallet.getByLabel('Put in').fill('12,345');
  await wallet.getByRole('button', { name: 'Top up' }).click();
  await wallet.getByText('An amount in EUR').waitFor();
  await wallet.getByLabel('Put in').fill('100000.50');
  await wallet.getByPlaceholder('Reference').fill('bank transfer 4711');
  await wallet.getByRole('button', { name: 'Top up' }).evaluate((item) => (item.click(), item.click()));
  await wallet.locator('[data-entries="1"]').waitFor();
  await wallet.getByText('+€100,000.50').waitFor();
  await page.locator('tr.chosen').getByText('€100,000.50').first().waitFor();

  walk.step = 'an invoice is made final and paid';
  const { data: invoices } = await ask(walk, 'GET', `/v1/invoices?organization_id=${owner.id}&status=draft`);
  const invoice = invoices.find(({ line_count }) => line_count > 0);
  check(invoice, `${CUSTOMER} has a draft with lines`);
  await page.goto(`${walk.base}/invoices/${invoice.id}`);
  await page.getByRole('button', { name: 'Finalize' }).click();
  await page.getByRole('button', { name: 'Make it final' }).click();
  const dunning = page.getByRole('region', { name: 'Dunning' });
  await dunning.locator('[data-dunning="active"]').waitFor();
  await dunning.getByRole('button', { name: 'Pause dunning' }).click();
  await dunning.getByLabel('Reason').fill('the walk looks at it');
  await dunning.getByRole('button', { name: 'Pause it' }).click();
  await dunning.locator('[data-dunning="paused"]').getByText('the walk looks at it').waitFor();
  await dunning.getByRole('button', { name: 'Resume dunning' }).click();
  await dunning.getByText('Next:').waitFor();
  await walk.accessible(page);
  await page.getByRole('button', { name: 'Pay from wallet' }).click();
  await page.getByRole('button', { name: 'Pay from the wallet' }).click();
  await page.locator('h1').getByText('Paid').waitFor();
  await page.locator('ul[aria-label="Payments"] >> text=Succeeded').waitFor();
  await dunning.locator('[data-dunning="ended"]').getByText('it is paid').waitFor();
  await walk.accessible(page);

  walk.step = 'a payment is refunded in part';
  await page.locator('ul[aria-label="Payments"] a').click();
  await page.locator('[data-refunds="0"]').waitFor();
  await page.getByLabel('Refund').first().fill('10.00');
  await page.getByPlaceholder('Reason').fill('a late van');
  await page.getByRole('button', { name: 'Refund', exact: true }).click();
  await page.locator('[data-refunds="1"]').waitFor();
  await page.locator('tr.chosen').getByText('€10.00').waitFor();
  await walk.shot(page, 'payments');
  await walk.accessible(page);

  walk.step = 'a wallet';
  await page.goto(`${walk.base}/billing/wallets`);
  await page.getByRole('button', { name: CUSTOMER }).click();
  await page.locator('[data-entries="3"]').waitFor();
  const kinds = (await page.locator('[data-entries] tbody td:nth-child(2)').allInnerTexts()).sort();
  check(String(kinds) === 'Payment,Refund,Top up', `the ledger has what moved: ${kinds}`);
  await walk.shot(page, 'wallet');
  await walk.accessible(page);

  walk.step = 'other prices for a tariff';
  await page.goto(`${walk.base}/billing/tariffs`);
  await page.getByRole('button', { name: 'Change and preview' }).first().click();
  const month = page.getByLabel('on the trips of');
  check((await month.inputValue()) < new Date().toISOString().slice(0, 7), 'the last month that is whole is offered');
  await month.fill(new Date().toISOString().slice(0, 7));
  await page.getByLabel('a km').fill('0.58');
  await page.getByRole('button', { name: 'Preview', exact: true }).click();
  await page.waitForSelector('[data-preview]');
  check(Number(await page.locator('[data-preview]').getAttribute('data-preview')) > 0, 'twice the price a km is more');
  check(await page.getByRole('button', { name: 'Save as version' }).isEnabled(), 'what was previewed can be kept');
  await walk.shot(page, 'tariffs');
  await walk.accessible(page);
  walk.step = 'what else there is of a customer';
  const customer = page.locator(`[data-customer="${owner.id}"]`);
  await customer.getByRole('link', { name: 'Wallet' }).click();
  await page.getByRole('region', { name: `Wallet of ${CUSTOMER}` }).waitFor();
  await page.goBack();
  await customer.getByRole('link', { name: 'Invoices' }).click();
  await page.waitForSelector('tbody tr');
  const owed = await page.locator('tbody tr td:nth-child(2)').allInnerTexts();
  check(owed.every((name) => name === CUSTOMER), `the customer's invoices alone: ${owed}`);
  await page.locator('#overdue').selectOption('yes');
  await page.locator('.card').locator('.notice, tbody tr').first().waitFor();
  check(page.url().includes('overdue=yes') && page.url().includes(`of=${owner.id}`), 'both filters are in the URL');
  await walk.accessible(page);
  await dunningPolicy(walk, page);
  return 'a wallet filled, an invoice paid';
}

async function dunningPolicy(walk, page) {
  walk.step = 'the dunning policy';
  await page.getByRole('navigation', { name: 'Billing' }).getByRole('link', { name: 'Dunning' }).click();
  const policy = page.getByRole('form', { name: 'Dunning policy' });
  await policy.waitFor();
  const before = Number(await page.locator('[data-policy]').getAttribute('data-policy'));
  const count = Number(await policy.locator('[data-steps]').getAttribute('data-steps'));
  const days = policy.getByLabel('Days to pay');
  const wanted = (await days.inputValue()) === '14' ? '21' : '14';
  await days.fill(wanted);
  await policy.getByText(`An invoice is due ${wanted} days after it is made final`).waitFor();

  walk.step = 'a policy that makes no sense';
  // What is given up as uncollectible is so at the end.
  walk.expected = /\/v1\/dunning-policy$/;
  await policy.getByRole('button', { name: 'Add a step' }).click();
  await policy.getByRole('button', { name: 'Save as version' }).click();
  await policy.getByText('mark_uncollectible in the last step alone').waitFor();
  await walk.accessible(page);
  walk.expected = null;
  await policy.getByRole('button', { name: `Take away step ${count + 1}` }).click();

  walk.step = 'the dunning policy is changed';
  await policy.getByRole('group', { name: 'Step 3' }).getByLabel('Charge the late fee').check();
  await policy.getByLabel('Late fee in percent').fill('2.5');
  await policy.getByText('a late fee of 2.5 % of what is due is owed').waitFor();
  await policy.getByRole('button', { name: 'Save as version' }).click();
  await page.waitForSelector(`[data-policy="${before + 1}"]`);
  await page.getByText(`Version ${before + 1} counts from now on.`).waitFor();
  await walk.shot(page, 'dunning');
  await walk.accessible(page);
}
