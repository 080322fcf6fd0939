// A map's style as it changes between light and dark. A new style takes every source, layer and image
// with it: they are put back when it stands, once each style. Where the reader looked stays.

import type { LngLatLike, StyleSpecification } from 'maplibre-gl';

/** What is asked of a map, so that a test can be one. */
export interface Styled {
  on: (event: 'style.load', heard: () => void) => unknown;
  setStyle: (style: StyleSpecification, options: { diff: boolean }) => unknown;
  getCenter: () => LngLatLike;
  getZoom: () => number;
  jumpTo: (camera: { center: LngLatLike; zoom: number }) => unknown;
}

/** Calls `ready` with each style that stands; the answer changes it to the style of now. */
export function keepStyled(map: Styled, style: () => StyleSpecification, ready: () => void): () => void {
  let camera: { center: LngLatLike; zoom: number } | undefined;
  map.on('style.load', () => {
    ready();
    if (camera) map.jumpTo(camera);
    camera = undefined;
  });
  return () => {
    // Changed twice before the first stood: where the reader looked is from before both.
    camera ??= { center: map.getCenter(), zoom: map.getZoom() };
    map.setStyle(style(), { diff: false });
  };
}

/** `act` at most once in `everyMs`: what comes sooner is told once, at the end of that time. */
export function atMostEvery(everyMs: number, act: () => void): { call: () => void; stop: () => void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isDue = false;
  const rest = (): void => {
    timer = undefined;
    if (!isDue) return;
    isDue = false;
    run();
  };
  const run = (): void => {
    timer = setTimeout(rest, everyMs);
    act();
  };
  return { call: () => (timer === undefined ? run() : void (isDue = true)), stop: () => clearTimeout(timer) };
}
