import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { atMostEvery, keepStyled, type Styled } from '../src/map/restyle';

/** A map whose style stands when the test says so; like the real one it forgets sources and a style that was replaced. */
function fakeMap() {
  const sources = new Set<string>();
  let heard: (() => void)[] = [];
  let camera: { center: unknown; zoom: number } = { center: [10, 48], zoom: 3 };
  const map: Styled & { sources: Set<string>; stand: () => void; add: (id: string) => void; move: (zoom: number) => void } = {
    sources,
    on: (_, listener) => heard.push(listener),
    setStyle: () => sources.clear(),
    getCenter: () => camera.center as [number, number],
    getZoom: () => camera.zoom,
    jumpTo: (next) => (camera = next),
    stand: () => heard.forEach((listener) => listener()),
    add: (id) => {
      if (sources.has(id)) throw new Error(`Source "${id}" already exists.`);
      sources.add(id);
    },
    move: (zoom) => (camera = { center: [1, 2], zoom }),
  };
  return map;
}

describe('a map that changes its style', () => {
  it('has its sources again, once each, and stays where the reader looked', () => {
    const map = fakeMap();
    const restyle = keepStyled(map, () => ({ version: 8, sources: {}, layers: [] }), () => {
      map.add('track');
      // Something that frames what it shows would take the reader elsewhere.
      if (map.getZoom() !== 14) map.move(5);
    });
    map.stand();
    map.move(13);
    restyle();
    restyle();
    expect(map.sources.size).toBe(0);
    map.stand();
    expect([...map.sources]).toEqual(['track']);
    expect([map.getCenter(), map.getZoom()]).toEqual([[1, 2], 13]);
    map.move(9);
    restyle();
    map.stand();
    expect(map.getZoom()).toBe(9);
  });
  it('is left alone where nothing was changed', () => {
    const map = fakeMap();
    keepStyled(map, () => ({ version: 8, sources: {}, layers: [] }), () => map.move(7));
    map.stand();
    expect(map.getZoom()).toBe(7);
  });
});

describe('at most every second', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());
  it('at once, then once for all that came meanwhile', () => {
    const act = vi.fn();
    const { call, stop } = atMostEvery(1000, act);
    for (let turn = 0; turn < 60; turn += 1) call();
    expect(act).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(1000);
    expect(act).toHaveBeenCalledTimes(2);
    vi.advanceTimersByTime(5000);
    expect(act).toHaveBeenCalledTimes(2);
    call();
    expect(act).toHaveBeenCalledTimes(3);
    call();
    stop();
    vi.advanceTimersByTime(5000);
    expect(act).toHaveBeenCalledTimes(3);
  });
});
