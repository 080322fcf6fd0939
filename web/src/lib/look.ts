// How often a page looks again at what is on its way to a vehicle: at once while an answer may come at once, and
// then seldom, as a vehicle in a garage answers in days.

const SOON_MS = 1_500;
const SELDOM_MS = 10_000;
const LONG_MS = 60_000;

/** From when it was begun. */
export const lookMs = (sinceIso: string, nowMs: number): number => (nowMs - Date.parse(sinceIso) < LONG_MS ? SOON_MS : SELDOM_MS);

/** Looks at intervals while somebody sees the page; what it gives back ends that. */
export function looking(everyMs: number, look: () => void): () => void {
  const timer = setInterval(() => !document.hidden && look(), everyMs);
  return () => clearInterval(timer);
}

/** Whether what a vehicle sends is read again: it is on its way, and what was read before is shown. */
export const isWorthALook = (state: string | undefined, { value, busy }: { value: unknown; busy: boolean }): boolean => state !== undefined && state !== 'offline' && value !== null && !busy;
