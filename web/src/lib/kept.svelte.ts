// What this browser keeps for the console. Two tabs share it: a change is made of what is stored now, not
// of what this tab read when it was opened, and the other tab hears of it. Where the storage is full or
// forbidden, all goes on in memory, and `failed` says so.

type Stored = Pick<Storage, 'getItem' | 'setItem'>;

/** The browser's storage; asking for it may be forbidden already. */
function browsers(): Stored | undefined {
  try {
    return typeof localStorage === 'undefined' ? undefined : localStorage;
  } catch {
    return undefined;
  }
}

export class Kept<T> {
  value: T;
  /** The last change is in this tab's memory alone. */
  failed = $state(false);
  readonly #key: string;
  readonly #read: (text: string | null) => T;
  readonly #storage: Stored | undefined;

  constructor(key: string, read: (text: string | null) => T, storage: Stored | undefined = browsers()) {
    this.#key = key;
    this.#read = read;
    this.#storage = storage;
    this.value = $state.raw(this.#stored() ?? read(null));
    if (typeof window === 'undefined') return;
    window.addEventListener('storage', ({ key: changed, newValue }) => {
      // Null is all of the storage at once, cleared.
      if (changed === key || changed === null) this.heard(changed === null ? null : newValue);
    });
  }

  /** Another tab stored this. */
  heard(text: string | null): void {
    this.value = this.#read(text);
    this.failed = false;
  }

  change(make: (now: T) => T): void {
    // What could not be stored before is in memory alone: then that is what is changed.
    const now = this.failed ? this.value : (this.#stored() ?? this.value);
    this.value = make(now);
    try {
      if (!this.#storage) throw new Error('no storage');
      this.#storage.setItem(this.#key, JSON.stringify(this.value));
      this.failed = false;
    } catch {
      this.failed = true;
    }
  }

  #stored(): T | undefined {
    try {
      return this.#storage ? this.#read(this.#storage.getItem(this.#key)) : undefined;
    } catch {
      return undefined;
    }
  }
}

/** The items of a stored array that are what they should be, one a key. */
export function listOf<T>(isOne: (value: unknown) => value is T, keyOf: (value: T) => string): (text: string | null) => T[] {
  return (text) => {
    let found: unknown;
    try {
      found = JSON.parse(text ?? '[]');
    } catch {
      return [];
    }
    if (!Array.isArray(found)) return [];
    const seen = new Set<string>();
    return found.filter(isOne).filter((item) => !seen.has(keyOf(item)) && seen.add(keyOf(item)));
  };
}
