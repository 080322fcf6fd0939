// The map library, loaded once and only when a map is first shown.

import type * as MapLibreGl from 'maplibre-gl';

let loading: Promise<typeof MapLibreGl> | undefined;
let workerUrl = '';

export function library(): Promise<typeof MapLibreGl> {
  loading ??= Promise.all([
    import('maplibre-gl'),
    import('maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url'),
    import('maplibre-gl/dist/maplibre-gl.css'),
  ]).then(([gl, worker]) => {
    workerUrl = worker.default;
    gl.setWorkerUrl(workerUrl);
    return gl;
  });
  return loading;
}

/**
 * Has the library's workers ask other servers too. A worker goes by the policy that came with its script, and browsers keep the
 * script for a year: one that came before the server was configured so has another address.
 */
export function workersMayAsk(gl: typeof MapLibreGl, origins: readonly string[]): void {
  gl.setWorkerUrl(`${workerUrl}?${new URLSearchParams({ policy: origins.join(' ') })}`);
}
