// One request's life as a page sees it: loading, the answer, or an error with a way to try again.

import { messages as m } from '../messages';
import { ApiError, Cancelled } from './api';
import { connection } from './connection.svelte';
import type { Page } from './types';

export class Load<T> {
  value = $state.raw<T | null>(null);
  error = $state.raw<ApiError | null>(null);
  busy = $state(false);
  /** Stopped by `stop` before there was an answer. */
  cancelled = $state(false);
  #own: AbortController | undefined;

  /**
   * Run `request` in place of an older one, which is aborted; whatever that one still gives is dropped.
   * Tells whether this run's answer or error is the one that counts.
   *
   * Where the server is away and `request` takes its signal, as what reads does, the error is shown and the same is
   * asked again until it is answered, replaced or stopped: only then is this over. `once` is for what a person would
   * not expect to happen later: a file that is saved, a change that goes on from what is read.
   */
  async run(request: (signal: AbortSignal) => Promise<T>, keep: 'keep' | 'clear' = 'clear', how: 'again' | 'once' = request.length > 0 ? 'again' : 'once'): Promise<boolean> {
    this.#own?.abort();
    const own = new AbortController();
    this.#own = own;
    this.busy = true;
    this.cancelled = false;
    this.error = null;
    if (keep === 'clear') this.value = null;
    for (let tries = 0; ; tries += 1) {
      try {
        const value = await request(own.signal);
        if (this.#own !== own) return false;
        this.value = value;
        this.error = null;
      } catch (cause) {
        if (this.#own !== own) return false;
        if (cause instanceof Cancelled) this.cancelled = true;
        else this.error = cause instanceof ApiError ? cause : new ApiError(m.errors.pageFailed, String(cause), 0);
      }
      this.busy = false;
      if (how === 'once' || !this.error?.isPassing) break;
      await connection.again(tries, own.signal);
      if (this.#own !== own) return false;
    }
    this.#own = undefined;
    return true;
  }

  /** End what is under way: by the reader, or because the page is left. */
  stop(): void {
    if (!this.#own) return;
    this.#own.abort();
    this.#own = undefined;
    this.cancelled = this.busy;
    this.busy = false;
  }
}

type Read<T> = (signal: AbortSignal, after?: string) => Promise<Page<T>>;

/** A list that comes in pages. Its cursor is of the list that is shown, never of another filter's. */
export class Paged<T extends { id: string }> {
  items = $state.raw<T[]>([]);
  cursor = $state<string | null>(null);
  readonly first = new Load<Page<T>>();
  readonly more = new Load<Page<T>>();
  readonly #again = new Load<Page<T>>();
  #read: Read<T> | undefined;

  async refresh(read: Read<T>): Promise<void> {
    this.more.stop();
    this.#again.stop();
    this.#read = read;
    this.items = [];
    this.cursor = null;
    if (!(await this.first.run((signal) => read(signal))) || !this.first.value) return;
    this.#take(this.first.value);
  }

  async next(): Promise<void> {
    const [read, after] = [this.#read, this.cursor];
    if (!read || !after || this.first.busy || this.more.busy) return;
    this.#again.stop();
    if ((await this.more.run((signal) => read(signal, after))) && this.more.value) this.#take(this.more.value);
  }

  /**
   * Read the first page once more, in place of what is shown of it. A failure changes nothing: what is shown stays.
   * Where rows change places, those after the first page may be in it by now: it is shown alone.
   */
  async renew(rows: 'stay' | 'change places' = 'stay'): Promise<void> {
    const read = this.#read;
    if (!read || this.first.busy || this.more.busy || this.#again.busy || !this.first.value) return;
    if (!(await this.#again.run((signal) => read(signal))) || !this.#again.value) return;
    const { data, next_cursor } = this.#again.value;
    const last = this.items.findIndex(({ id }) => id === data.at(-1)?.id);
    const after = last < 0 ? [] : this.items.slice(last + 1);
    // What was read after the first page stays, unless the list is another one now.
    const isWhole = rows === 'change places' || after.length === 0 || !next_cursor;
    this.items = isWhole ? data : [...data, ...after];
    if (isWhole) this.cursor = next_cursor ?? null;
  }

  stop(): void {
    this.first.stop();
    this.more.stop();
    this.#again.stop();
  }

  // What moved to the next page while this one was read is there once.
  #take({ data, next_cursor }: Page<T>): void {
    this.items = [...new Map([...this.items, ...data].map((item) => [item.id, item])).values()];
    this.cursor = next_cursor ?? null;
  }
}
