// One request's life as a page sees it: loading, the answer, or an error with a way to try again.

import { ApiError } from './api';

export class Load<T> {
  value = $state.raw<T | null>(null);
  error = $state.raw<ApiError | null>(null);
  busy = $state(false);
  #turn = 0;

  /** Run `request`; the answer of an older run that comes late is dropped. */
  async run(request: () => Promise<T>, keep: 'keep' | 'clear' = 'clear'): Promise<void> {
    const turn = ++this.#turn;
    this.busy = true;
    this.error = null;
    if (keep === 'clear') this.value = null;
    try {
      const value = await request();
      if (turn === this.#turn) this.value = value;
    } catch (cause) {
      if (turn === this.#turn) this.error = cause instanceof ApiError ? cause : new ApiError('This page failed', String(cause), 0);
    } finally {
      if (turn === this.#turn) this.busy = false;
    }
  }
}
