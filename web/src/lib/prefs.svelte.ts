// What the reader prefers: light or dark, units, time zone. Kept in this browser; told to nobody.

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

const storage = typeof localStorage === 'undefined' ? undefined : localStorage;

class Prefs {
  theme = $state<Theme>('system');
  units = $state<Units>('metric');
  /** An IANA zone, or empty for this machine's. */
  zone = $state('');
  /** What is shown now: `theme`, with the system's choice in place of `system`. */
  scheme = $state<'light' | 'dark'>('light');

  constructor() {
    const { theme, units, zone } = readPrefs(storage?.getItem(KEY) ?? null);
    this.theme = theme ?? 'system';
    this.units = units ?? 'metric';
    this.zone = zone ?? '';
    if (typeof matchMedia === 'undefined') return;
    this.#dark = matchMedia('(prefers-color-scheme: dark)');
    this.#dark.addEventListener('change', () => this.#apply());
    this.#apply();
  }

  #dark: MediaQueryList | undefined;

  set(change: Stored): void {
    if (change.theme) this.theme = change.theme;
    if (change.units) this.units = change.units;
    if (change.zone !== undefined && (change.zone === '' || isZone(change.zone))) this.zone = change.zone;
    try {
      storage?.setItem(KEY, JSON.stringify({ theme: this.theme, units: this.units, zone: this.zone }));
    } catch {
      // A full or forbidden storage: the choice holds until the page is closed.
    }
    this.#apply();
  }

  #apply(): void {
    this.scheme = this.theme === 'system' ? (this.#dark?.matches ? 'dark' : 'light') : this.theme;
    if (typeof document !== 'undefined') document.documentElement.dataset.theme = this.scheme;
  }
}

export const prefs = new Prefs();

/** The zone times are shown in; undefined is this machine's. */
export const zone = (): string | undefined => prefs.zone || undefined;
