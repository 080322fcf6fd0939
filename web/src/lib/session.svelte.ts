// Who is signed in. A key is proven by asking the server whose it is, kept for this tab or this device,
// and sent with every request; where it is refused later, requests wait until the same caller has signed in
// again, so that a page loses nothing. Another caller gets a page loaded anew: nothing of one is in memory
// for the next. Who has another key of the same person, organization and role is the same.

import { type ApiError, Cancelled, request } from './api';
import { allows, authorization, door, routeOf } from './door';
import { KeyBox, readKey, type Keep } from './key';
import { forgetAll } from './once.svelte';
import type { Route } from './paths';
import { livesBy, type Role } from './roles';

export interface Me {
  actor: string;
  key_name: string | null;
  user_id: string | null;
  person_name: string | null;
  role: Role;
  organization_id: string | null;
  organization_name: string | null;
  expires_at: string | null;
  may: string[];
}

/** `away` is a server that does not answer. */
export type State = 'asking' | 'in' | 'out' | 'away';

/** Between tabs: whether any has a key, one that has, and that somebody signed out. */
type Told = { kind: 'asked' } | { kind: 'key'; key: string } | { kind: 'out' };
type Channel = Pick<BroadcastChannel, 'postMessage'> & { onmessage: ((event: MessageEvent<Told>) => void) | null };

interface Outside {
  box?: KeyBox;
  channel?: Channel | null;
  /** Loads the page anew, at a place or where it is. */
  leave?: (href?: string) => void;
}

interface Words {
  title: string;
  detail: string;
}

const NOT_A_KEY: Words = { title: 'That is not a key', detail: 'A key is one line of letters, digits and signs. Paste it whole, and nothing beside it.' };

/** Why a key was not taken, in words; the key itself is in none of them. */
export function wordsOf(error: ApiError): Words {
  if (error.kind === 'key-expired') return { title: 'This key has expired', detail: 'Ask who made it for another, and sign in with that.' };
  if (error.kind === 'key-revoked') return { title: 'This key was revoked', detail: 'It opens nothing any more. Ask who made it for another.' };
  if (error.kind === 'key-inactive') return { title: 'This key’s person is no longer active', detail: 'An owner of the organization can make them active again under Admin, People.' };
  if (error.status === 401) return { title: 'This server does not know that key', detail: 'See that all of it was pasted, and that it is a key of this server.' };
  if (error.status === 429) return { title: 'Too many tries', detail: 'Wait some seconds, then try again.' };
  return { title: error.title, detail: error.detail };
}

/** Whether who comes may see all that is on the page of who was there, and finish what they began. */
const isSame = (was: Me, comes: Me): boolean =>
  was.organization_id === comes.organization_id && was.user_id === comes.user_id && was.role === comes.role && was.may.join() === comes.may.join();

function browsers(): Channel | null {
  return typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel('roadlake.session');
}

const reload = (href?: string): void => (href === undefined ? location.reload() : location.assign(href));

export class Session {
  state = $state<State>('asking');
  me = $state.raw<Me | null>(null);
  /** Why there is a page to sign in, or why the last key was not taken. */
  why = $state.raw<Words | null>(null);
  busy = $state(false);
  #keep: Keep = 'session';
  #asking = false;
  #routes: ReturnType<typeof routeOf>[] = [];
  #waiting: ((same: boolean) => void)[] = [];
  readonly #box: KeyBox;
  readonly #channel: Channel | null;
  readonly #leave: (href?: string) => void;

  constructor({ box = new KeyBox(), channel = browsers(), leave = reload }: Outside = {}) {
    this.#box = box;
    this.#channel = channel;
    this.#leave = leave;
  }

  /** What is shown of the caller. */
  get name(): string {
    return this.me?.person_name ?? this.me?.key_name ?? this.me?.actor ?? '';
  }

  /** What they are who ask, for words of refusal. */
  get who(): string {
    return door.who;
  }

  /** Whether a key is in use: else there is nothing to sign out of. */
  get hasKey(): boolean {
    return this.state === 'in' && this.me?.actor !== 'local';
  }

  may(method: string, path: string): boolean {
    return this.me !== null && allows(this.#routes, method, path);
  }

  /** Whether there is anything for the key on a page. */
  mayOpen(route: Route): boolean {
    const call = livesBy(route);
    return call === null || this.may(...call);
  }

  /** At the start of the page: by the key that is kept, or without one where the server lets this machine in. */
  async start(): Promise<void> {
    door.anew = (refused, why, signal) => this.#anew(refused, why, signal);
    door.changed = () => void this.#ask();
    this.#box.heard((key) => this.#stored(key));
    if (this.#channel) this.#channel.onmessage = ({ data }) => this.#told(data);
    await this.retry();
  }

  async retry(): Promise<void> {
    this.state = 'asking';
    const kept = this.#box.stored();
    let refused: ApiError | null = null;
    try {
      if (kept) {
        const me = await this.#prove(kept.key).catch((cause: ApiError) => {
          if (cause.status !== 401) throw cause;
          refused = cause;
        });
        if (me) return this.#admit(me, kept.key, kept.keep);
        this.#box.clear();
      }
      // A key that was kept may be of another server that had this address; this one may ask for none.
      this.#admit(await this.#prove(''), '', 'session');
    } catch (cause) {
      const error = cause as ApiError;
      if (error.status === 401 || error.status === 403) {
        const why = refused ?? (error.status === 403 ? error : null);
        this.#out(why && wordsOf(why));
        this.#channel?.postMessage({ kind: 'asked' } satisfies Told);
      } else {
        this.why = { title: error.title, detail: error.detail };
        this.state = 'away';
      }
    }
  }

  /** Whether the key was taken. */
  async signIn(text: string, keep: Keep, by: 'person' | 'tab' = 'person'): Promise<boolean> {
    if (this.busy) return false;
    const key = readKey(text);
    if (key === null) {
      this.why = NOT_A_KEY;
      return false;
    }
    this.busy = true;
    try {
      const me = await this.#prove(key);
      if (this.me && !isSame(this.me, me)) {
        // Somebody else in another tab: the page that waits here is not theirs to end.
        if (by === 'tab') return false;
        forgetAll();
        this.#box.store(key, keep);
        this.#leave();
        return true;
      }
      this.#box.store(key, keep);
      this.#admit(me, key, keep);
      // What is kept on the device, other tabs hear of by the storage.
      if (keep === 'session') this.#channel?.postMessage({ kind: 'key', key } satisfies Told);
      return true;
    } catch (cause) {
      this.why = wordsOf(cause as ApiError);
      return false;
    } finally {
      this.busy = false;
    }
  }

  signOut(): void {
    this.#channel?.postMessage({ kind: 'out' } satisfies Told);
    this.#end('/');
  }

  async #prove(key: string): Promise<Me> {
    return request<Me>('/v1/me', { headers: authorization(key) });
  }

  /** What the key may now; a page that is open stays, and what it offers is what is left. */
  async #ask(): Promise<void> {
    const { key } = door;
    if (this.state !== 'in' || this.#asking) return;
    this.#asking = true;
    try {
      const me = await this.#prove(key);
      if (this.state === 'in' && door.key === key) this.#admit(me, key, this.#keep);
    } catch {
      // The next call tells.
    } finally {
      this.#asking = false;
    }
  }

  #admit(me: Me, key: string, keep: Keep): void {
    this.#routes = me.may.map(routeOf);
    Object.assign(door, { key, routes: this.#routes, who: `${me.organization_name ? `${me.organization_name}’s ` : ''}${me.role.replace('_', ' ')}` });
    this.#keep = keep;
    this.me = me;
    this.why = null;
    this.state = 'in';
    for (const go of this.#waiting.splice(0)) go(true);
  }

  #out(why: Words | null): void {
    this.why = why;
    this.state = 'out';
  }

  async #anew(refused: string, why: ApiError, signal?: AbortSignal | null): Promise<boolean> {
    // Somebody signed in while the answer was under way.
    if (this.state === 'in' && door.key !== refused) return true;
    if (this.state === 'in') {
      this.#box.clear();
      this.#out(refused ? wordsOf(why) : null);
      this.#channel?.postMessage({ kind: 'asked' } satisfies Told);
    }
    if (this.state !== 'out') return false;
    return new Promise((resolve, reject) => {
      const gone = (): void => {
        this.#waiting = this.#waiting.filter((item) => item !== go);
        reject(new Cancelled());
      };
      const go = (same: boolean): void => {
        signal?.removeEventListener('abort', gone);
        resolve(same);
      };
      if (signal?.aborted) return gone();
      signal?.addEventListener('abort', gone, { once: true });
      this.#waiting.push(go);
    });
  }

  /** Another tab kept a key on this device, or took it away. */
  #stored(key: string | null): void {
    if (key === null) {
      // Refused there, or cleared with all of the site; where somebody signed out, that is told as well.
      if (this.hasKey && this.#keep === 'device') this.#out(null);
    } else if (this.state === 'out') void this.#follow(key, 'device');
  }

  #told(told: Told): void {
    if (told.kind === 'asked' && this.hasKey && this.#keep === 'session') this.#channel?.postMessage({ kind: 'key', key: door.key } satisfies Told);
    if (told.kind === 'key' && this.state === 'out') void this.#follow(told.key, 'session');
    if (told.kind === 'out' && this.me && this.me.actor !== 'local') this.#end();
  }

  /** As another tab did; where the key is of no use here, what is shown stays. */
  async #follow(key: string, keep: Keep): Promise<void> {
    const why = this.why;
    if (!(await this.signIn(key, keep, 'tab'))) this.why = why;
  }

  #end(href?: string): void {
    this.#box.clear();
    forgetAll();
    door.key = '';
    this.#leave(href);
  }
}

export const session = new Session();
