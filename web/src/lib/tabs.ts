// What tabs of one browser tell each other of who is signed in.

/**
 * Whether any has a key, one that has, that the browser holds a session, and that somebody signed out.
 * A session's secret is in its cookie, which no script reads: `of` tells one from the next, and opens nothing.
 */
export type Told = { kind: 'asked' } | { kind: 'key'; key: string } | { kind: 'session'; of: string } | { kind: 'out' };

export type Channel = Pick<BroadcastChannel, 'postMessage'> & { onmessage: ((event: MessageEvent<Told>) => void) | null };

export const channelOfTabs = (): Channel | null => (typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel('roadlake.session'));

/** Calls when the tab is looked at again: what other tabs told while it slept, it may not have heard. */
export function onSeen(listener: () => void): void {
  if (typeof document === 'undefined') return;
  document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && listener());
}
