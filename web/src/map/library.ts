// The map library, loaded once and only when a map is first shown.

import type * as MapLibreGl from 'maplibre-gl';

let loading: Promise<typeof MapLibreGl> | undefined;

export function library(): Promise<typeof MapLibreGl> {
  loading ??= Promise.all([
    import('maplibre-gl'),
    import('maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url'),
    import('maplibre-gl/dist/maplibre-gl.css'),
  ]).then(([gl, worker]) => {
    gl.setWorkerUrl(worker.default);
    return gl;
  });
  return loading;
}
