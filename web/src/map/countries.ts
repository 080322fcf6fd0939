// The worker that reads atlases, one for all maps of the page, started by the first.

import type { Bounds } from '../lib/geometry';
import { messages as m } from '../messages';
import type { Atlas } from './atlas';
import type { Found, Wanted } from './atlas.worker';

let worker: Worker | undefined;
let asked = 0;
const waiting = new Map<number, { done: (atlas: Atlas) => void; failed: (cause: Error) => void }>();

function started(): Worker {
  if (worker) return worker;
  worker = new Worker(new URL('./atlas.worker.ts', import.meta.url), { type: 'module' });
  worker.addEventListener('message', ({ data }: MessageEvent<Found>) => {
    const asker = waiting.get(data.id);
    waiting.delete(data.id);
    if ('atlas' in data) asker?.done(data.atlas);
    else asker?.failed(new Error(data.failure));
  });
  worker.addEventListener('error', () => {
    // Its script did not come: the next who asks starts another.
    worker = undefined;
    for (const { failed } of waiting.values()) failed(new Error(m.map.notReadable));
    waiting.clear();
  });
  return worker;
}

/** What the map shows of the atlas at `url`: all of it, or what is in a view. */
export function countriesIn(url: string, view: Bounds | null): Promise<Atlas> {
  return new Promise((done, failed) => {
    asked += 1;
    waiting.set(asked, { done, failed });
    started().postMessage({ id: asked, url, view } satisfies Wanted);
  });
}
