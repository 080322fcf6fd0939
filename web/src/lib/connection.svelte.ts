// Whether the server answers, and when it is asked again. What a page could not read comes by itself: after a while,
// then after longer ones, and at once where something else was answered or the browser has a network again.

const FIRST_MS = 1_000;
const LONGEST_MS = 30_000;

type Page = Pick<Document, 'hidden' | 'addEventListener' | 'removeEventListener'>;

export class Connection {
  /** The browser says that it has a network; it may be one without the server, and the server one without a network. */
  hasNetwork = $state(typeof navigator === 'undefined' || navigator.onLine !== false);
  /** Since when nothing is answered, by this machine's clock; null while something is. */
  lostAt = $state<number | null>(null);
  /** When the server last answered. */
  heardAt = $state<number | null>(null);
  /** One request that costs little, for when a page has none to ask again. Told by who knows one. */
  probe: () => Promise<unknown> = () => Promise.resolve();
  /** Called when it answers again. */
  onback: () => void = () => undefined;
  #waiting = new Set<() => void>();
  #probing = false;
  readonly #page: Page | undefined;

  constructor(page: Page | undefined = typeof document === 'undefined' ? undefined : document) {
    this.#page = page;
  }

  /** Listen to the browser, as long as the page lives. */
  watch(target: Pick<Window, 'addEventListener'> = window): void {
    target.addEventListener('online', () => {
      this.hasNetwork = true;
      this.#wake();
      if (this.lostAt !== null) void this.probe().catch(() => undefined);
    });
    target.addEventListener('offline', () => {
      this.hasNetwork = false;
      // Only an answer tells: a server on this machine needs no network.
      void this.probe().catch(() => undefined);
    });
  }

  /** Something was answered. */
  heard(): void {
    this.heardAt = Date.now();
    if (this.lostAt === null) return;
    this.lostAt = null;
    this.#wake();
    this.onback();
  }

  /** A request had no answer. */
  unheard(): void {
    this.lostAt ??= Date.now();
    void this.#ask();
  }

  /** When to ask again, after `tries` that failed. False where nobody waits any more. */
  async again(tries: number, signal?: AbortSignal): Promise<boolean> {
    await this.#wait(Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(tries, 10)), signal);
    // Who looks elsewhere is told when they look here.
    while (this.#page?.hidden && !signal?.aborted) await this.#wait(LONGEST_MS, signal);
    return !signal?.aborted;
  }

  async #ask(): Promise<void> {
    if (this.#probing) return;
    this.#probing = true;
    for (let tries = 0; this.lostAt !== null; tries += 1) {
      await this.again(tries);
      if (this.lostAt !== null) await this.probe().catch(() => undefined);
    }
    this.#probing = false;
  }

  #wait(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        signal?.removeEventListener('abort', done);
        this.#page?.removeEventListener('visibilitychange', seen);
        resolve();
      };
      const seen = (): void => {
        if (!this.#page?.hidden) done();
      };
      const timer = setTimeout(done, ms);
      this.#waiting.add(done);
      signal?.addEventListener('abort', done);
      this.#page?.addEventListener('visibilitychange', seen);
      if (signal?.aborted) done();
    });
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done();
  }
}

export const connection = new Connection();
