// A wish that must be done once: a booking, or money that moves. It is sent under an Idempotency-Key, which
// is kept with what was sent until the server has said yes or no. So a double tap sends once, and what is
// sent again after a lost answer, or a page that was loaded anew, is the same wish and not a second one.

import { messages as m } from '../messages';
import { ApiError, post } from './api';

interface Sent {
  path: string;
  body: string;
  key: string;
}

const SLOT = 'roadlake.once.';

type Storage = Pick<globalThis.Storage, 'getItem' | 'setItem' | 'removeItem'>;

/** This tab's storage; asking for it may be forbidden already. */
function tabs(): Storage | undefined {
  try {
    return typeof sessionStorage === 'undefined' ? undefined : sessionStorage;
  } catch {
    return undefined;
  }
}

/** 128 random bits. `randomUUID` is there for https alone, and a depot's box may have none. */
const newKey = (): string => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');

/** Whether this answer tells that nothing was done, and nothing will be. */
const isNo = ({ status }: ApiError): boolean => status >= 400 && status < 500 && status !== 408 && status !== 429;

/** What another caller must not find: wishes that had no answer. */
export function forgetAll(storage: Storage | undefined = tabs()): void {
  for (const slot of Object.keys(storage ?? {})) if (slot.startsWith(SLOT)) storage?.removeItem(slot);
}

export class Once<T> {
  busy = $state(false);
  error = $state.raw<ApiError | null>(null);
  /** It was sent, and whether it was done is not known. */
  unsure = $state(false);
  #sent: Sent | undefined;
  readonly #slot: string;
  readonly #storage: Storage | undefined;

  /** `name` parts the wishes of one tab from each other. */
  constructor(name: string, storage: Storage | undefined = tabs()) {
    this.#slot = SLOT + name;
    this.#storage = storage;
    this.#sent = this.#stored();
    this.unsure = this.#sent !== undefined;
  }

  /** Send it, or send what is still unanswered once more where it is the same. Null where it was not done, or is on its way. */
  async send(path: string, value?: unknown): Promise<T | null> {
    const body = value === undefined ? '' : JSON.stringify(value);
    const same = this.#sent?.path === path && this.#sent.body === body;
    return this.#go(same && this.#sent ? this.#sent : { path, body, key: newKey() });
  }

  /** Ask again for what had no answer. */
  async again(): Promise<T | null> {
    return this.#sent ? this.#go(this.#sent) : null;
  }

  /** What had no answer, as it was sent. */
  get pending(): unknown {
    return this.#sent?.body ? (JSON.parse(this.#sent.body) as unknown) : null;
  }

  forget(): void {
    this.error = null;
    this.#keep(undefined);
  }

  async #go(sent: Sent): Promise<T | null> {
    if (this.busy) return null;
    this.busy = true;
    this.error = null;
    this.#keep(sent);
    try {
      const answer = await post<T>(sent.path, sent.body, { 'idempotency-key': sent.key });
      this.#keep(undefined);
      return answer;
    } catch (cause) {
      this.error = cause instanceof ApiError ? cause : new ApiError(m.errors.pageFailed, String(cause), 0);
      if (isNo(this.error)) this.#keep(undefined);
      return null;
    } finally {
      this.busy = false;
    }
  }

  #keep(sent: Sent | undefined): void {
    this.#sent = sent;
    this.unsure = sent !== undefined;
    try {
      if (sent) this.#storage?.setItem(this.#slot, JSON.stringify(sent));
      else this.#storage?.removeItem(this.#slot);
    } catch {
      // In memory it goes on; only a reload would not know of it.
    }
  }

  #stored(): Sent | undefined {
    try {
      const found = JSON.parse(this.#storage?.getItem(this.#slot) ?? 'null') as Partial<Sent> | null;
      return found && typeof found.path === 'string' && typeof found.body === 'string' && typeof found.key === 'string' ? (found as Sent) : undefined;
    } catch {
      return undefined;
    }
  }
}
