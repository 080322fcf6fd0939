import { describe, expect, it } from 'vitest';
import { draftOf, hasFee, later, lastMoment, nextStep, ordered, summary, termsOf, whenWords, type Terms } from '../src/lib/dunning';

const BUILT_IN: Terms = {
  payment_terms_days: 14,
  steps: [
    { after_days: 1, actions: ['retry_payment', 'reminder'] },
    { after_days: 7, actions: ['retry_payment', 'reminder'] },
    { after_days: 30, actions: ['mark_uncollectible', 'reminder'] },
  ],
  late_fee: null,
};

describe('a policy in words', () => {
  it('tells what will happen when', () => {
    expect(summary(BUILT_IN)).toEqual([
      'An invoice is due 14 days after it is made final, at the end of that day.',
      '1 day after the due date the payment is tried again and the customer is reminded.',
      '7 days after the due date the payment is tried again and the customer is reminded.',
      '30 days after the due date the invoice is marked as uncollectible and the customer is reminded.',
      'Once nothing of it is due any more, nothing more is done.',
    ]);
  });
  it('tells fees, days before, and that nothing is done', () => {
    const fee = (late_fee: Terms['late_fee']) => summary({ payment_terms_days: 0, steps: [{ after_days: 0, actions: ['suspend_bookings', 'late_fee', 'reminder'] }], late_fee })[1];
    expect(fee({ type: 'percent', percent: '2.50' })).toBe('As soon as it is overdue a late fee of 2.5 % of what is due is owed, new bookings are refused until it is paid and the customer is reminded.');
    expect(fee({ type: 'fixed', amount_minor: 4_000, currency: 'EUR' })).toContain('€40.00');
    expect(whenWords(-3)).toBe('3 days before the due date');
    expect(summary({ payment_terms_days: 0, steps: [], late_fee: null })).toEqual(['An invoice is due at the end of the day on which it is made final.', 'After that nothing is done by itself.']);
  });
});

describe('a policy that is written', () => {
  it('is what it was, as long as nothing is changed', () => {
    for (const late_fee of [null, { type: 'percent', percent: '2.5' }, { type: 'fixed', amount_minor: 5, currency: 'EUR' }, { type: 'fixed', amount_minor: 500, currency: 'JPY' }] as Terms['late_fee'][]) {
      const terms: Terms = late_fee ? { ...BUILT_IN, steps: [{ after_days: -3, actions: ['reminder'] }, { after_days: 30, actions: ['late_fee'] }], late_fee } : BUILT_IN;
      expect(termsOf(draftOf(terms, 'EUR'))).toEqual({ terms });
    }
  });
  it('has no fee where no step charges it', () => {
    const draft = draftOf({ ...BUILT_IN, late_fee: { type: 'percent', percent: '3' } }, 'EUR');
    expect(hasFee(draft)).toBe(false);
    expect(termsOf(draft)).toEqual({ terms: BUILT_IN });
  });
  it('tells what is no number, at its place', () => {
    const draft = draftOf({ ...BUILT_IN, steps: [{ after_days: 1, actions: ['late_fee'] }], late_fee: { type: 'fixed', amount_minor: 100, currency: 'EUR' } }, 'EUR');
    draft.payment_terms_days = '1.5';
    const [step] = draft.steps;
    if (step) step.days = '-4';
    draft.amount = '1.234';
    const fields = (): string[] => {
      const read = termsOf(draft);
      return 'faults' in read ? read.faults.map(({ field }) => field) : [];
    };
    expect(fields()).toEqual(['payment_terms_days', 'steps[0].after_days', 'late_fee.amount_minor']);
    draft.currency = 'eur';
    expect(fields().at(-1)).toBe('late_fee.currency');
    draft.fee = 'percent';
    draft.percent = 'two';
    expect(fields().at(-1)).toBe('late_fee.percent');
  });
  it('has its steps in the order of their days, and the next a week later', () => {
    const draft = draftOf(BUILT_IN, 'EUR');
    const more = nextStep(draft.steps);
    expect([more.days, more.side, more.actions]).toEqual(['37', 'after', ['reminder']]);
    const early = { ...more, days: '3', side: 'before' as const };
    const unclear = { ...more, days: '?' };
    expect(ordered([unclear, ...draft.steps, early]).map(({ days }) => days)).toEqual(['3', '1', '7', '30', '?']);
    expect(nextStep([]).days).toBe('1');
    const first = nextStep([early]);
    expect([first.days, first.side]).toEqual(['4', 'after']);
  });
});

describe('the dunning of an invoice', () => {
  it('tells the steps after the next one, which keep their distance to it', () => {
    const next_step = { number: 2, at: '2026-12-10T23:00:00Z', actions: BUILT_IN.steps[1]?.actions ?? [] };
    expect(later({ terms: BUILT_IN, next_step, status: 'active' })).toEqual([{ number: 3, at: '2027-01-02T23:00:00.000Z', actions: ['mark_uncollectible', 'reminder'] }]);
    expect(later({ terms: BUILT_IN, next_step: null, status: 'ended' })).toEqual([]);
  });
  it('is due to the last moment of a day', () => {
    expect(lastMoment('2026-12-07T23:00:00Z')).toBe('2026-12-07T22:59:59.999Z');
  });
});
