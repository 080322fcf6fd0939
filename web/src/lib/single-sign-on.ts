// Signing in at the company's own identity provider. The server speaks with it: the browser is sent there
// and comes back with a session in a cookie that no script can read. Here is what is offered, where the way
// begins, and what is said when it did not end well.

import { messages as m } from '../messages';
import type { Words } from './caller';
import { ApiError, request } from './api';
import { parse } from './paths';

const TIMEOUT_MS = 5_000;
/** In the address of the page that one comes back to, where it failed. */
export const FAILED_PARAM = 'sign_in_error';
const WINDOW_SLOT = 'roadlake.sign-in-window';

export interface Offer {
  hasKeys: boolean;
  provider: { label: string; startPath: string } | null;
}

/** What a server offers that has no word of it. */
export const KEYS_ALONE: Offer = { hasKeys: true, provider: null };

/** A path of this server: no other host, and no script. */
const isPath = (text: unknown): text is string => typeof text === 'string' && /^\/(?![/\\])[\x21-\x7e]*$/.test(text);

/** What an answer of /v1/sign-in offers; what is not understood is not offered. */
export function offerOf(answer: unknown): Offer {
  const { api_keys, oidc } = (typeof answer === 'object' && answer !== null ? answer : {}) as { api_keys?: unknown; oidc?: { label?: unknown; start_path?: unknown } | null };
  if (!oidc || !isPath(oidc.start_path)) return KEYS_ALONE;
  const label = typeof oidc.label === 'string' ? oidc.label.trim() : '';
  return { hasKeys: api_keys !== false, provider: { label: label || m.common.singleSignOn, startPath: oidc.start_path } };
}

/** What the page to sign in offers; null where the server did not say, and may yet. */
export async function offered(signal?: AbortSignal): Promise<Offer | null> {
  try {
    return offerOf(await request<unknown>('/v1/sign-in', { signal, cache: 'no-store' }, TIMEOUT_MS));
  } catch (cause) {
    // A server from before there was anything to offer takes keys.
    return cause instanceof ApiError && cause.status === 404 ? KEYS_ALONE : null;
  }
}

/** The place of the console at an address, to come back to: without what failed the last time. */
export function placeOf({ pathname, search }: { pathname: string; search: string }): string {
  if (parse(pathname).page === 'missing' || !isPath(pathname)) return '/';
  const query = new URLSearchParams(search);
  query.delete(FAILED_PARAM);
  return query.size ? `${pathname}?${query}` : pathname;
}

/** Where the way to the provider begins, and ends at `place`. */
export const startHref = (startPath: string, place: string): string => `${startPath}${startPath.includes('?') ? '&' : '?'}${new URLSearchParams({ return_to: place })}`;

const FAILURES: Record<string, Words> = {
  cancelled: { title: m.signIn.failures.notSignedIn, detail: m.signIn.failures.cancelledWhy },
  expired: { title: m.signIn.failures.tooLong, detail: m.signIn.failures.tooLongWhy },
  no_account: { title: m.signIn.failures.noAccount, detail: m.signIn.failures.noAccountWhy },
  inactive: { title: m.signIn.failures.inactive, detail: m.signIn.failures.inactiveWhy },
  unverified_email: { title: m.signIn.failures.unverified, detail: m.signIn.failures.unverifiedWhy },
  provider: { title: m.signIn.failures.provider, detail: m.signIn.failures.providerWhy },
};

/** What a code in the address says; null where there is none. */
export function failureWords(code: string): Words | null {
  if (!code) return null;
  return (Object.hasOwn(FAILURES, code) && FAILURES[code]) || { title: m.signIn.failures.notSignedIn, detail: m.signIn.failures.unknownWhy };
}

/** An address to go to for signing out at the provider too; null where it is none. */
export function providerHref(text: unknown): string | null {
  if (typeof text !== 'string' || !URL.canParse(text)) return null;
  return /^https?:$/.test(new URL(text).protocol) ? text : null;
}

/** Ends the browser's session, and tells where it is ended at the provider; null where nowhere. */
export async function endSession(): Promise<string | null> {
  try {
    const answer = await request<{ provider_sign_out_url?: unknown } | undefined>('/v1/sign-out', { method: 'POST' });
    return providerHref(answer?.provider_sign_out_url);
  } catch (cause) {
    // One that is over already is what was asked for.
    if (cause instanceof ApiError && cause.status === 401) return null;
    throw cause;
  }
}

/**
 * Opens the way in a window of its own, so that a page that waits is kept. Tells whether there is one.
 * The window starts with a copy of this tab's storage, by which it knows later what it was for.
 */
export function openWindow(href: string): boolean {
  try {
    sessionStorage.setItem(WINDOW_SLOT, '1');
  } catch {
    // It stays open then.
  }
  const opened = window.open(href, '_blank', 'popup,width=520,height=760');
  forgetWindow();
  return opened !== null;
}

/** Closes this window where it was opened to sign in alone. */
export function closeWindow(): void {
  if (!forgetWindow()) return;
  // The tab that waits is told first.
  setTimeout(() => window.close(), 200);
}

function forgetWindow(): boolean {
  try {
    const is = sessionStorage.getItem(WINDOW_SLOT) !== null;
    sessionStorage.removeItem(WINDOW_SLOT);
    return is;
  } catch {
    return false;
  }
}
