// A part of the console that is loaded when it is needed. Where the server was away it comes by itself once it is back;
// else another release has taken its place, and only a reload helps.

import { connection } from './connection.svelte';

export class Part<T> {
  value = $state.raw<T | null>(null);
  failed = $state(false);
  readonly #own = new AbortController();

  constructor(of: () => Promise<T>) {
    void this.#load(of);
  }

  stop(): void {
    this.#own.abort();
  }

  async #load(of: () => Promise<T>): Promise<void> {
    for (;;) {
      try {
        this.value = await of();
        this.failed = false;
        return;
      } catch {
        this.failed = true;
      }
      // A file that did not come does not say why: one small request does.
      await connection.probe().catch(() => undefined);
      if (connection.lostAt === null) return;
      for (let tries = 0; connection.lostAt !== null; tries += 1) if (!(await connection.again(tries, this.#own.signal))) return;
    }
  }
}
