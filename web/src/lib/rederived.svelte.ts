// After a correction the vehicle's trips are derived again, within seconds: what is shown waits for a new revision.

import type { Trip } from './types';

const LOOK_MS = 1_000;
const WAIT_MS = 30_000;

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

export class Rederived {
  /** `late` is not given up: it comes, and is shown by whoever looks then. */
  state = $state<'' | 'working' | 'late'>('');
  #own: AbortController | undefined;

  /** The trip once its revision is above the one that was seen; null where that takes too long, or nobody waits any more. */
  async wait(read: (signal: AbortSignal) => Promise<Trip>, seen: number): Promise<Trip | null> {
    this.stop();
    const own = new AbortController();
    this.#own = own;
    this.state = 'working';
    const until = Date.now() + WAIT_MS;
    while (Date.now() < until) {
      await pause(LOOK_MS);
      if (own.signal.aborted) return null;
      // A look that failed tells nothing: the next one does.
      const found = await read(AbortSignal.any([own.signal, AbortSignal.timeout(Math.max(LOOK_MS, until - Date.now()))])).catch(() => null);
      if (own.signal.aborted) return null;
      if (found && found.revision > seen) {
        this.state = '';
        return found;
      }
    }
    this.state = 'late';
    return null;
  }

  stop(): void {
    this.#own?.abort();
    this.#own = undefined;
    this.state = '';
  }
}
