// Dunning as /v1 has it: what is done about invoices that are not paid when they are due, and how that is told.

import { messages as m } from '../messages';
import { send } from './admin';
import { call, segment, type Fault } from './api';
import { digitsOf, minorOf } from './billing';
import { decimalString, money } from './format';
import type { Tone } from './invoice';

/** In the order in which a step does them. */
export const ACTIONS = ['retry_payment', 'late_fee', 'suspend_bookings', 'mark_uncollectible', 'reminder'] as const;
export type Action = (typeof ACTIONS)[number];

export interface Step {
  /** After the due date; below zero before it. */
  after_days: number;
  actions: Action[];
}

export type LateFee = { type: 'fixed'; amount_minor: number; currency: string } | { type: 'percent'; percent: string };

export interface Terms {
  payment_terms_days: number;
  steps: Step[];
  late_fee: LateFee | null;
}

export interface Policy {
  /** Null of the installation's. */
  organization_id: string | null;
  is_inherited: boolean;
  version: number;
  terms: Terms;
}

export interface TakenStep {
  number: number;
  taken_at: string;
  actions: { action: Action; outcome: string }[];
  retry: { method: string; payment_id: string | null; status: string; error_type: string | null } | null;
}

export interface Dunning {
  invoice_id: string;
  organization_id: string;
  status: 'none' | 'active' | 'paused' | 'ended';
  due_at: string | null;
  overdue_at: string | null;
  policy_organization_id: string | null;
  policy_version: number;
  terms: Terms;
  taken: TakenStep[];
  /** Before the invoice came to be due once more. */
  taken_before: TakenStep[];
  notice_count: number;
  late_fee_minor: number | null;
  is_suspending_bookings: boolean;
  is_uncollectible: boolean;
  pause_reason: string | null;
  paused_at: string | null;
  end_reason: string | null;
  ended_at: string | null;
  version: number;
  next_step: { number: number; at: string; actions: Action[] } | null;
}

export const dunning = {
  /** Of an organization, or of the installation. */
  policyPath: (organization: string) => (organization ? `/v1/organizations/${segment(organization)}/dunning-policy` : '/v1/dunning-policy'),
  policy: (organization: string, signal?: AbortSignal) => call<Policy>(dunning.policyPath(organization), { signal }),
  set: ({ organization_id, version }: Policy, terms: Terms) => send<Policy>('PUT', dunning.policyPath(organization_id ?? ''), terms, { 'if-match': `"${version}"` }),
  inherit: ({ organization_id, version }: Policy) => send<Policy>('DELETE', dunning.policyPath(organization_id ?? ''), undefined, { 'if-match': `"${version}"` }),
  pathOf: (invoice: string) => `/v1/invoices/${segment(invoice)}/dunning`,
  of: (invoice: string, signal?: AbortSignal) => call<Dunning>(dunning.pathOf(invoice), { signal }),
  actPath: (invoice: string, act: 'pause' | 'resume') => `${dunning.pathOf(invoice)}/${act}`,
};

export const dunningTone = (status: string): Tone => (({ active: 'moving', paused: 'idling', ended: 'parked' }) as Record<string, Tone>)[status] ?? 'offline';

/** What an action is called where it is chosen. */
export const ACTION_WORDS: Record<Action, string> = {
  retry_payment: m.dunning.actions.retry,
  late_fee: m.dunning.actions.lateFee,
  suspend_bookings: m.dunning.actions.suspend,
  mark_uncollectible: m.dunning.actions.uncollectible,
  reminder: m.dunning.actions.reminder,
};

const OUTCOMES: Record<string, string> = {
  done: m.dunning.outcomes.done, no_method: m.dunning.outcomes.noMethod, not_retryable: m.dunning.outcomes.notRetryable,
  under_way: m.dunning.outcomes.underWay, deferred: m.dunning.outcomes.deferred, not_needed: m.dunning.outcomes.notNeeded,
};
export const outcomeWords = (outcome: string): string => OUTCOMES[outcome] ?? outcome.replaceAll('_', ' ');

const ENDS: Record<string, string> = { paid: m.dunning.ends.paid, voided: m.dunning.ends.voided, nothing_due: m.dunning.ends.nothingDue };
export const endWords = (reason: string | null): string => (reason === null ? '' : (ENDS[reason] ?? reason.replaceAll('_', ' ')));

export function feeWords(fee: LateFee | null): string {
  if (!fee) return m.dunning.fee.fee;
  return fee.type === 'percent' ? m.dunning.fee.percent(decimalString(fee.percent)) : m.dunning.fee.fixed(feeMoney(fee.amount_minor, fee.currency));
}

/** A currency that is being written is none yet. */
const feeMoney = (amount_minor: number, currency: string): string => (isCurrency(currency) ? money(amount_minor, currency) : `${amount_minor} ${currency}`);
const isCurrency = (text: string): boolean => /^[A-Z]{3}$/.test(text);

/** What an action does, as the part of a sentence. */
function doneBy(action: Action, fee: LateFee | null): string {
  switch (action) {
    case 'retry_payment':
      return m.dunning.does.retry;
    case 'late_fee':
      return m.dunning.does.lateFee(feeWords(fee));
    case 'suspend_bookings':
      return m.dunning.does.suspend;
    case 'mark_uncollectible':
      return m.dunning.does.uncollectible;
    case 'reminder':
      return m.dunning.does.reminder;
  }
}

/** When a step is taken, as the beginning of a sentence. */
export function whenWords(after_days: number): string {
  if (after_days === 0) return m.dunning.whenOverdue;
  return after_days < 0 ? m.dunning.beforeDue(-after_days) : m.dunning.afterDue(after_days);
}

const joined = (parts: readonly string[]): string => new Intl.ListFormat(m.locale).format(parts);

/** What will happen when, in sentences. */
export function summary({ payment_terms_days, steps, late_fee }: Terms): string[] {
  const due = payment_terms_days === 0 ? m.dunning.dueSameDay : m.dunning.dueAfter(payment_terms_days);
  if (steps.length === 0) return [due, m.dunning.nothingAfter];
  const told = steps.map(({ after_days, actions }) => {
    const done = ACTIONS.filter((action) => actions.includes(action)).map((action) => doneBy(action, late_fee));
    return m.dunning.step(whenWords(after_days), done.length > 0 ? joined(done) : m.dunning.nothingYet);
  });
  return [due, ...told, m.dunning.nothingMore];
}

/** A step as it is written. */
export interface StepDraft {
  key: number;
  days: string;
  side: 'before' | 'after';
  actions: Action[];
}

export interface Draft {
  payment_terms_days: string;
  steps: StepDraft[];
  fee: 'percent' | 'fixed';
  percent: string;
  amount: string;
  currency: string;
}

let lastKey = 0;
const drafted = ({ after_days, actions }: Step): StepDraft => ({ key: (lastKey += 1), days: String(Math.abs(after_days)), side: after_days < 0 ? 'before' : 'after', actions: [...actions] });

/** Terms as a person changes them; `currency` is what a fixed fee is in where they name none. */
export function draftOf({ payment_terms_days, steps, late_fee }: Terms, currency: string): Draft {
  const fixed = late_fee?.type === 'fixed' ? late_fee : null;
  return {
    payment_terms_days: String(payment_terms_days),
    steps: steps.map(drafted),
    fee: fixed ? 'fixed' : 'percent',
    percent: late_fee?.type === 'percent' ? late_fee.percent : '',
    amount: fixed ? amountText(fixed.amount_minor, fixed.currency) : '',
    currency: fixed?.currency ?? currency,
  };
}

function amountText(amount_minor: number, currency: string): string {
  const digits = digitsOf(currency);
  const text = String(amount_minor).padStart(digits + 1, '0');
  return digits === 0 ? text : `${text.slice(0, -digits)}.${text.slice(-digits)}`;
}

export const hasFee = ({ steps }: Draft): boolean => steps.some(({ actions }) => actions.includes('late_fee'));

/** One step more: a week after the last one, with a reminder. */
export function nextStep(steps: readonly StepDraft[]): StepDraft {
  const last = steps.at(-1);
  const after = last ? signed(last) : null;
  return drafted({ after_days: after === null ? 1 : after + 7, actions: ['reminder'] });
}

function wholeIn(text: string): number | null {
  return /^\d{1,4}$/.test(text.trim()) ? Number(text) : null;
}
function signed({ days: text, side }: StepDraft): number | null {
  const value = wholeIn(text);
  return value === null ? null : side === 'before' && value !== 0 ? -value : value;
}

/** Steps in the order of their days; those whose days are no number stay where they are, at the end. */
export const ordered = (steps: readonly StepDraft[]): StepDraft[] => [...steps].sort((a, b) => (signed(a) ?? Infinity) - (signed(b) ?? Infinity) || 0);

/** Terms of what is written, or what is no number or amount, each at its place as the server would tell it. */
export function termsOf(draft: Draft): { terms: Terms } | { faults: Fault[] } {
  const faults: Fault[] = [];
  const need = <T>(value: T | null, field: string, message: string): T | null => {
    if (value === null) faults.push({ field, message });
    return value;
  };
  const payment_terms_days = need(wholeIn(draft.payment_terms_days), 'payment_terms_days', m.dunning.faults.terms);
  const steps = draft.steps.map((step, index) => ({
    after_days: need(signed(step), `steps[${index}].after_days`, m.dunning.faults.days) ?? 0,
    actions: ACTIONS.filter((action) => step.actions.includes(action)),
  }));
  let late_fee: LateFee | null = null;
  if (hasFee(draft) && draft.fee === 'percent') {
    const percent = need(/^\d{1,3}([.,]\d+)?$/.test(draft.percent.trim()) ? draft.percent.trim().replace(',', '.') : null, 'late_fee.percent', m.dunning.faults.percent);
    late_fee = { type: 'percent', percent: percent ?? '' };
  } else if (hasFee(draft)) {
    const currency = need(isCurrency(draft.currency.trim()) ? draft.currency.trim() : null, 'late_fee.currency', m.dunning.faults.currency);
    const amount_minor = currency && need(minorOf(draft.amount, currency), 'late_fee.amount_minor', m.dunning.faults.amount(currency));
    late_fee = { type: 'fixed', amount_minor: amount_minor || 0, currency: currency ?? '' };
  }
  return faults.length > 0 ? { faults } : { terms: { payment_terms_days: payment_terms_days ?? 0, steps, late_fee } };
}

const DAY_MS = 86_400_000;

/** The steps that are still to come after the next one, with the day of each if nothing is late. */
export function later({ terms, next_step, status }: Pick<Dunning, 'terms' | 'next_step' | 'status'>): { number: number; at: string; actions: Action[] }[] {
  const next = next_step && terms.steps[next_step.number - 1];
  if (status !== 'active' || !next_step || !next) return [];
  return terms.steps.slice(next_step.number).map(({ after_days, actions }, index) => ({
    number: next_step.number + 1 + index,
    at: new Date(Date.parse(next_step.at) + (after_days - next.after_days) * DAY_MS).toISOString(),
    actions,
  }));
}

/** The last moment of the day on which an invoice is due: `due_at` is the first one after it. */
export const lastMoment = (due_at: string): string => new Date(Date.parse(due_at) - 1).toISOString();
