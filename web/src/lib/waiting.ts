// Requests that wait until somebody has signed in again; each may be taken back meanwhile.

import { Cancelled } from './api';

export class Waiting {
  #held: (() => void)[] = [];

  hold(signal?: AbortSignal | null): Promise<true> {
    return new Promise((resolve, reject) => {
      const gone = (): void => {
        this.#held = this.#held.filter((item) => item !== go);
        reject(new Cancelled());
      };
      const go = (): void => {
        signal?.removeEventListener('abort', gone);
        resolve(true);
      };
      if (signal?.aborted) return gone();
      signal?.addEventListener('abort', gone, { once: true });
      this.#held.push(go);
    });
  }

  release(): void {
    for (const go of this.#held.splice(0)) go();
  }
}
