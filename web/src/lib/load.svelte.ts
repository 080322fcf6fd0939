// One request's life as a page sees it: loading, the answer, or an error with a way to try again.

import { ApiError, Cancelled } from './api';
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
   */
  async run(request: (signal: AbortSignal) => Promise<T>, keep: 'keep' | 'clear' = 'clear'): Promise<boolean> {
    this.#own?.abort();
    const own = new AbortController();
    this.#own = own;
    this.busy = true;
    this.cancelled = false;
    this.error = null;
    if (keep === 'clear') this.value = null;
    try {
      const value = await request(own.signal);
      if (this.#own !== own) return false;
      this.value = value;
    } catch (cause) {
      if (this.#own !== own) return false;
      if (cause instanceof Cancelled) this.cancelled = true;
      else this.error = cause instanceof ApiError ? cause : new ApiError('This page failed', String(cause), 0);
    }
    this.busy = false;
    this.#own = undefined;
    return true;
  }

  /** End what is under way: by the reader, or because the page is left. */
  stop(): void {
    if (!this.#own) return;
    this.#own.abort();
    this.#own = undefined;
    this.busy = false;
    this.cancelled = true;
  }
}

type Read<T> = (signal: AbortSignal, after?: string) => Promise<Page<T>>;

/** A list that comes in pages. Its cursor is of the list that is shown, never of another filter's. */
export class Paged<T extends { id: string }> {
  items = $state.raw<T[]>([]);
  cursor = $state<string | null>(null);
  readonly first = new Load<Page<T>>();
  readonly more = new Load<Page<T>>();
  #read: Read<T> | undefined;

  async refresh(read: Read<T>): Promise<void> {
    this.more.stop();
    this.#read = read;
    this.items = [];
    this.cursor = null;
    if (!(await this.first.run((signal) => read(signal))) || !this.first.value) return;
    this.#take(this.first.value);
  }

  async next(): Promise<void> {
    const [read, after] = [this.#read, this.cursor];
    if (!read || !after || this.first.busy || this.more.busy) return;
    if ((await this.more.run((signal) => read(signal, after))) && this.more.value) this.#take(this.more.value);
  }

  stop(): void {
    this.first.stop();
    this.more.stop();
  }

  // What moved to the next page while this one was read is there once.
  #take({ data, next_cursor }: Page<T>): void {
    this.items = [...new Map([...this.items, ...data].map((item) => [item.id, item])).values()];
    this.cursor = next_cursor ?? null;
  }
}
