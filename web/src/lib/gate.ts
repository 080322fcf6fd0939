// How many queries the console has open at once. The server gives one asker few places and refuses
// what waits too long: a board of six charts waits here instead, in order, and is not refused.

export class Gate {
  #free: number;
  #waiting: (() => void)[] = [];

  constructor(places: number) {
    this.#free = places;
  }

  /** Run `work` when there is a place; one that is aborted meanwhile gives up its turn. */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await this.#turn(signal);
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }

  #turn(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const gone = (): void => {
        this.#waiting = this.#waiting.filter((item) => item !== enter);
        reject(new DOMException('taken back', 'AbortError'));
      };
      const enter = (): void => {
        signal?.removeEventListener('abort', gone);
        resolve();
      };
      if (signal?.aborted) return gone();
      signal?.addEventListener('abort', gone, { once: true });
      this.#waiting.push(enter);
    });
  }
}
