// The basemap that the server is configured with, on one map: loaded before the map is, watched while it is drawn, given up for
// Natural Earth where it cannot be had, and tried again later. Natural Earth comes with the console, so it can always be had.

import type * as MapLibreGl from 'maplibre-gl';
import type { StyleSpecification } from 'maplibre-gl';
import { request } from '../lib/api';
import { prefs } from '../lib/prefs.svelte';
import { messages as m } from '../messages';
import { style as naturalEarth, token } from './basemap';
import { asStyle, standing } from './foreign';
import { workersMayAsk } from './library';
import { archiveStyle, isProtomaps } from './protomaps';

const PATH = '/v1/basemap';
const LOAD_MS = 5_000;
/** So many tiles that fail with none between them that comes: one alone is no reason. */
const FAILED_TILES_MAX = 3;
const RETRY_MS = 60_000;
const RETRY_MS_MAX = 3_600_000;

/** What the server says there is. */
export type Told = { kind: 'natural_earth' } | { kind: 'pmtiles'; url: string; attribution: string } | { kind: 'style'; url: string; origins: string[]; attribution: string };

/** What an answer of /v1/basemap says; what is not understood is Natural Earth. */
export function toldOf(answer: unknown): Told {
  const { kind, url, origins, attribution } = (typeof answer === 'object' && answer !== null ? answer : {}) as { kind?: unknown; url?: unknown; origins?: unknown; attribution?: unknown };
  const said = typeof attribution === 'string' ? attribution : '';
  if (kind === 'pmtiles' && typeof url === 'string') return { kind, url, attribution: said };
  if (kind === 'style' && typeof url === 'string') return { kind, url, origins: Array.isArray(origins) ? origins.filter((origin) => typeof origin === 'string') : [], attribution: said };
  return { kind: 'natural_earth' };
}

/** A basemap that is there. */
export interface Own {
  kind: 'pmtiles' | 'style';
  /** Its style of now, light or dark. */
  style: () => StyleSpecification;
}

/** Loads what there is; null where it is Natural Earth. */
export async function load(gl: typeof MapLibreGl): Promise<Own | null> {
  const told = toldOf(await request<unknown>(PATH));
  if (told.kind === 'natural_earth') return null;
  if (told.kind === 'style') {
    workersMayAsk(gl, told.origins);
    const response = await fetch(told.url, { signal: AbortSignal.timeout(LOAD_MS), credentials: 'omit' });
    if (!response.ok) throw new Error(m.map.styleAnswered(response.status));
    const own = standing(asStyle(await response.json()), response.url || told.url, told.attribution);
    return { kind: 'style', style: () => own };
  }
  const { openArchive } = await import('./archive');
  const archive = await within(LOAD_MS, openArchive(gl, new URL(told.url, location.href).href));
  if (archive.kind === 'vector' && !isProtomaps(archive)) throw new Error(m.map.notProtomaps);
  const attribution = [archive.attribution, told.attribution].filter(Boolean).join(' | ');
  return { kind: 'pmtiles', style: () => archiveStyle({ ...archive, attribution }, token, prefs.scheme) };
}

function within<T>(ms: number, doing: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => (timer = setTimeout(() => reject(new Error(m.map.late)), ms)));
  return Promise.race([doing, late]).finally(() => clearTimeout(timer));
}

/** What is asked of a map, so that a test can be one. */
export interface Watched {
  on: ((event: 'error', heard: (event: Failed) => void) => unknown) & ((event: 'data', heard: (event: { sourceId?: string; tile?: unknown }) => void) => unknown);
}
interface Failed {
  error: Error;
  sourceId?: string;
  tile?: unknown;
}

export class Configured {
  /** What is drawn. */
  kind = $state<'natural_earth' | Own['kind']>('natural_earth');
  /** Why it is not what it should be; empty where it is. */
  trouble = $state('');
  #own: Own | null = null;
  #stands = false;
  #ended = false;
  #failed = 0;
  #wait = RETRY_MS;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #restyle: () => void = () => undefined;
  readonly #load: () => Promise<Own | null>;

  constructor(loading: () => Promise<Own | null>) {
    this.#load = loading;
  }

  /** Loads it; where that fails, there is trouble and Natural Earth. */
  async begin(): Promise<void> {
    try {
      this.#take(await this.#load());
    } catch (cause) {
      this.#giveUp(cause);
    }
  }

  /** The style of now; whoever puts it on the map says `stood` once it stands. */
  readonly style = (): StyleSpecification => {
    this.#stands = false;
    return this.#own?.style() ?? naturalEarth();
  };

  stood(): void {
    this.#stands = true;
  }

  /** Watches the map; `restyle` is to put the style of now on it. */
  watch(map: Watched, restyle: () => void): void {
    this.#restyle = restyle;
    map.on('data', ({ sourceId, tile }) => {
      if (tile && this.#isOwn(sourceId)) this.#failed = 0;
    });
    map.on('error', ({ error, sourceId, tile }) => {
      if (!this.#own) return console.error(error);
      const isOfStyle = !this.#stands && sourceId === undefined;
      if (!isOfStyle && !this.#isOwn(sourceId)) return console.error(error);
      if (tile) this.#failed += 1;
      if (tile && this.#failed < FAILED_TILES_MAX) return;
      this.#giveUp(error);
      this.#restyle();
    });
  }

  stop(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }

  #isOwn = (sourceId: string | undefined): boolean => this.#own !== null && sourceId !== undefined && sourceId.startsWith('basemap');

  #take(own: Own | null): void {
    this.#own = own;
    this.#failed = 0;
    this.kind = own?.kind ?? 'natural_earth';
    this.trouble = '';
  }

  #giveUp(cause: unknown): void {
    this.#take(null);
    this.trouble = cause instanceof Error ? cause.message : String(cause);
    clearTimeout(this.#timer);
    if (this.#ended) return;
    this.#timer = setTimeout(() => void this.#again(), this.#wait);
    this.#wait = Math.min(2 * this.#wait, RETRY_MS_MAX);
  }

  async #again(): Promise<void> {
    await this.begin();
    if (this.#own && !this.#ended) this.#restyle();
  }
}
