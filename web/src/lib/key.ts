// The text of an API key: how it is read from what a person pasted, and where it is kept.

const SLOT = 'roadlake.key';
const SESSION_SLOT = 'roadlake.session';
const LEN_MAX = 512;

/** How long a key is kept: until its tabs are closed, or until somebody signs out. */
export type Keep = 'session' | 'device';

type Storage = Pick<globalThis.Storage, 'getItem' | 'setItem' | 'removeItem'>;
export interface Storages {
  session: Storage | undefined;
  device: Storage | undefined;
}

/** What was pasted as a key, or null where no key is like that: a header takes printable ASCII alone. */
export function readKey(text: string): string | null {
  const key = text.trim().replace(/^(authorization:\s*)?bearer\s+/i, '');
  return key.length <= LEN_MAX && /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(key) ? key : null;
}

/** The browser's storages; asking for one may be forbidden already. */
function browsers(): Storages {
  const one = (name: 'sessionStorage' | 'localStorage'): Storage | undefined => {
    try {
      return globalThis[name] ?? undefined;
    } catch {
      return undefined;
    }
  };
  return { session: one('sessionStorage'), device: one('localStorage') };
}

export class KeyBox {
  readonly #storages: Storages;

  constructor(storages: Storages = browsers()) {
    this.#storages = storages;
  }

  stored(): { key: string; keep: Keep } | null {
    for (const keep of ['session', 'device'] as const) {
      const key = this.#of(keep, (storage) => storage.getItem(SLOT));
      if (key && readKey(key) === key) return { key, keep };
    }
    return null;
  }

  /** Without a storage it is held by this tab alone, until it is closed. */
  store(key: string, keep: Keep): void {
    // What stays the same is not touched: other tabs hear of each step, and one that is taken away signs them out.
    this.#of(keep, (storage) => storage.getItem(SLOT) === key || storage.setItem(SLOT, key));
    this.#of(keep === 'device' ? 'session' : 'device', (storage) => storage.removeItem(SLOT));
  }

  clear(): void {
    for (const keep of ['session', 'device'] as const) this.#of(keep, (storage) => storage.removeItem(SLOT));
  }

  /** Whether a session of this browser was seen in any tab: its cookie is no script's to read. It opens nothing. */
  get hasSession(): boolean {
    return this.#of('device', (storage) => storage.getItem(SESSION_SLOT)) !== null;
  }

  set hasSession(is: boolean) {
    this.#of('device', (storage) => (is ? storage.setItem(SESSION_SLOT, '1') : storage.removeItem(SESSION_SLOT)));
  }

  /** Hears of what another tab stored or took away; null is taken away. */
  heard(listener: (key: string | null) => void): void {
    if (typeof window === 'undefined') return;
    window.addEventListener('storage', ({ key, newValue, storageArea }) => {
      if (storageArea === this.#storages.device && (key === SLOT || key === null)) listener(key === null ? null : newValue);
    });
  }

  #of<T>(keep: Keep, act: (storage: Storage) => T): T | null {
    try {
      const storage = this.#storages[keep];
      return storage ? act(storage) : null;
    } catch {
      return null;
    }
  }
}
