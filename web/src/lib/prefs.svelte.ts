// What the reader prefers: light or dark, units, time zone. Kept in this browser; told to nobody.

import { Kept } from './kept.svelte';

export type Theme = 'system' | 'light' | 'dark';
export type Units = 'metric' | 'imperial';

interface Stored {
  theme?: Theme;
  units?: Units;
  zone?: string;
}

const KEY = 'roadlake.prefs';

/** What is stored, as far as it is of use: a value that no longer means anything is left out. */
export function readPrefs(text: string | null): Stored {
  let found: unknown;
  try {
    found = JSON.parse(text ?? '{}');
  } catch {
    return {};
  }
  if (typeof found !== 'object' || found === null) return {};
  const { theme, units, zone } = found as Record<string, unknown>;
  const kept: Stored = {};
  if (theme === 'light' || theme === 'dark') kept.theme = theme;
  if (units === 'imperial') kept.units = units;
  if (typeof zone === 'string' && isZone(zone)) kept.zone = zone;
  return kept;
}

export function isZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return zone !== '';
  } catch {
    return false;
  }
}

class Prefs {
  #kept = new Kept<Stored>(KEY, readPrefs);
  #systemDark = $state(false);

  get theme(): Theme {
    return this.#kept.value.theme ?? 'system';
  }
  get units(): Units {
    return this.#kept.value.units ?? 'metric';
  }
  /** An IANA zone, or empty for this machine's. */
  get zone(): string {
    return this.#kept.value.zone ?? '';
  }
  /** What is shown now: `theme`, with the system's choice in place of `system`. */
  get scheme(): 'light' | 'dark' {
    return this.theme === 'system' ? (this.#systemDark ? 'dark' : 'light') : this.theme;
  }

  constructor() {
    if (typeof matchMedia !== 'undefined') {
      const dark = matchMedia('(prefers-color-scheme: dark)');
      this.#systemDark = dark.matches;
      dark.addEventListener('change', () => {
        this.#systemDark = dark.matches;
        this.#apply();
      });
    }
    // Another tab's choice: heard by what is kept first, as it listened first.
    if (typeof window !== 'undefined') window.addEventListener('storage', () => this.#apply());
    this.#apply();
  }

  set(change: Stored): void {
    const { zone } = change;
    const valid = zone === undefined || zone === '' || isZone(zone);
    this.#kept.change((now) => readPrefs(JSON.stringify({ ...now, ...change, ...(valid ? {} : { zone: now.zone }) })));
    this.#apply();
  }

  // At once, not with the next effects: maps read their colours from the page.
  #apply(): void {
    if (typeof document !== 'undefined') document.documentElement.dataset.theme = this.scheme;
  }
}

export const prefs = new Prefs();

/** The zone times are shown in; undefined is this machine's. */
export const zone = (): string | undefined => prefs.zone || undefined;

/** Its name, for where times stand without one. */
export const zoneName = (): string => zone() ?? new Intl.DateTimeFormat().resolvedOptions().timeZone;
