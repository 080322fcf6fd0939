// Reads atlases beside the page, which stays quick meanwhile.

import type { Bounds } from '../lib/geometry';
import { type Atlas, atlasIn } from './atlas';

export interface Wanted {
  id: number;
  url: string;
  view: Bounds | null;
}
export type Found = { id: number; atlas: Atlas } | { id: number; failure: string };

addEventListener('message', ({ data: { id, url, view } }: MessageEvent<Wanted>) => {
  atlasIn(url, view).then(
    (atlas) => postMessage({ id, atlas } satisfies Found),
    (cause: unknown) => postMessage({ id, failure: cause instanceof Error ? cause.message : String(cause) } satisfies Found),
  );
});
