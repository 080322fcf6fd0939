// Who is signed in. A key is proven by asking the server whose it is, kept for this tab or this device,
// and sent with every request; where it is refused later, requests wait until the same caller has signed in
// again, so that a page loses nothing. Another caller gets a page loaded anew: nothing of one is in memory
// for the next. Who has another key of the same person, organization and role is the same.
//
// A session that the identity provider vouches for is in a cookie, the same for all tabs: the browser sends
// it where no key is sent. Who it is of may change under an open page; the tabs tell each other.

import { type ApiError, request } from './api';
import { bySession, isSame, type Me, nameOf, NOT_A_KEY, type Words, wordsOf, wordsOfEnd, wordsOfOther } from './caller';
import { allows, authorization, door, routeOf } from './door';
import { KeyBox, readKey, type Keep } from './key';
import { forgetAll } from './once.svelte';
import type { Route } from './paths';
import { livesBy } from './roles';
import { endSession } from './single-sign-on';
import { type Channel, channelOfTabs, onSeen, type Told } from './tabs';
import { Waiting } from './waiting';

/** `away` is a server that does not answer. */
export type State = 'asking' | 'in' | 'out' | 'away';

interface Outside {
  box?: KeyBox;
  channel?: Channel | null;
  /** Loads the page anew, at a place or where it is. */
  leave?: (href?: string) => void;
}

/** One session of the browser, told from the next without what opens it. */
const sessionOf = (me: Me): string => `${me.user_id ?? me.actor} ${me.ends_at ?? ''}`;

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
  /** Signing out is on its way: what is refused meanwhile is no news. */
  #leaving = false;
  readonly #waiting = new Waiting();
  readonly #box: KeyBox;
  readonly #channel: Channel | null;
  readonly #leave: (href?: string) => void;

  constructor({ box = new KeyBox(), channel = channelOfTabs(), leave = reload }: Outside = {}) {
    this.#box = box;
    this.#channel = channel;
    this.#leave = leave;
  }

  /** What is shown of the caller. */
  get name(): string {
    return nameOf(this.me);
  }

  /** What they are who ask, for words of refusal. */
  get who(): string {
    return door.who;
  }

  /** Whether there is anything to sign out of. */
  get isSignedIn(): boolean {
    return this.state === 'in' && this.me?.actor !== 'local';
  }

  /** Whether a key is in use. */
  get hasKey(): boolean {
    return this.isSignedIn && !bySession(this.me);
  }

  /** Whether it is a session of the browser that opens the page, or opened it. */
  get isOfProvider(): boolean {
    return bySession(this.me);
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
    door.anew = (refused, why, signal, turn) => this.#anew(refused, why, signal, turn);
    door.changed = () => void this.#ask();
    this.#box.heard((key) => this.#stored(key));
    if (this.#channel) this.#channel.onmessage = ({ data }) => this.#told(data);
    onSeen(() => this.#look());
    await this.retry();
  }

  async retry(by: 'person' | 'itself' = 'person'): Promise<void> {
    // What is tried by itself leaves in view why.
    if (by === 'person') this.state = 'asking';
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
        if (error.status === 401) this.#box.hasSession = false;
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
        this.#box.store(key, keep);
        this.#change();
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

  /**
   * Of this browser altogether: its key, its session and that at the provider. What went wrong where it is not
   * ended: then everything is as it was.
   */
  async signOut(): Promise<ApiError | null> {
    if (this.busy) return null;
    let href = '/';
    // Who signs out by a key leaves no session behind that lets the next in.
    if (this.isOfProvider || this.#box.hasSession) {
      this.busy = this.#leaving = true;
      try {
        href = (await endSession()) ?? href;
        this.#box.hasSession = false;
      } catch (cause) {
        if (this.isOfProvider) {
          this.#leaving = false;
          this.#waiting.release();
          return cause as ApiError;
        }
      } finally {
        this.busy = false;
      }
    }
    // Not before the server knows: the others would be let in again.
    this.#channel?.postMessage({ kind: 'out' } satisfies Told);
    this.#end(href);
    return null;
  }

  /** Gives up a page that waits to be signed in to again. */
  startAnew(): void {
    // A session is over, and the browser may have another's by now, or another tab a key: theirs to end.
    if (this.isOfProvider) return this.#change('/');
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
      if (this.state !== 'in' || door.key !== key) return;
      // The browser's session is of somebody else now: nothing of who was here is theirs to see.
      if (this.isOfProvider && this.me?.user_id !== me.user_id) return this.#change();
      this.#admit(me, key, this.#keep);
    } catch (cause) {
      // Of a key, the next call tells.
      if (this.isOfProvider && this.state === 'in' && (cause as ApiError).status === 401) {
        this.#leaving = false;
        this.#pause(wordsOfEnd(cause as ApiError));
      }
    } finally {
      this.#asking = false;
    }
  }

  #admit(me: Me, key: string, keep: Keep): void {
    this.#routes = me.may.map(routeOf);
    Object.assign(door, { key, routes: this.#routes, who: `${me.organization_name ? `${me.organization_name}’s ` : ''}${me.role.replace('_', ' ')}` });
    this.#keep = keep;
    const isNew = this.state !== 'in';
    this.me = me;
    this.why = null;
    this.state = 'in';
    if (isNew) {
      door.turn += 1;
      if (this.isOfProvider) {
        this.#box.hasSession = true;
        this.#channel?.postMessage({ kind: 'session', of: sessionOf(me) } satisfies Told);
      }
    }
    this.#waiting.release();
  }

  #out(why: Words | null): void {
    this.why = why;
    this.state = 'out';
  }

  async #anew(refused: string, why: ApiError, signal?: AbortSignal | null, turn = door.turn): Promise<boolean> {
    // Somebody signed in while the answer was under way.
    if (this.state === 'in' && (door.key !== refused || door.turn !== turn)) return true;
    if (this.state === 'in' && !this.#leaving) this.#pause(this.isOfProvider ? wordsOfEnd(why) : refused ? wordsOf(why) : null);
    return this.state === 'out' || this.#leaving ? this.#waiting.hold(signal) : false;
  }

  #pause(why: Words | null): void {
    // A key that another tab keeps on this device has not been refused.
    if (!this.isOfProvider) this.#box.clear();
    this.#out(why);
    this.#channel?.postMessage({ kind: 'asked' } satisfies Told);
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
    if (told.kind === 'session') this.#look(told.of);
    if (told.kind === 'out' && this.me && this.me.actor !== 'local') this.#end();
  }

  /** Whether the browser's session is still the one of this page, or one that this page waits for. */
  #look(of?: string): void {
    if (this.state === 'in' && this.isOfProvider && (!this.me || of !== sessionOf(this.me))) void this.#ask();
    else if (this.state === 'out' && (of !== undefined || this.#box.hasSession)) void this.#followSession();
  }

  async #followSession(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    try {
      const me = await this.#prove('');
      if (!bySession(me)) return;
      if (!this.me || isSame(this.me, me)) this.#admit(me, '', 'session');
      else this.why = wordsOfOther(this.me, me);
    } catch (cause) {
      // There is none, or the server is away; what is shown stays.
      if ((cause as ApiError).status === 401) this.#box.hasSession = false;
    } finally {
      this.busy = false;
    }
  }

  /** As another tab did; where the key is of no use here, what is shown stays. */
  async #follow(key: string, keep: Keep): Promise<void> {
    const why = this.why;
    if (!(await this.signIn(key, keep, 'tab'))) this.why = why;
  }

  #end(href?: string): void {
    this.#box.clear();
    door.key = '';
    this.#change(href);
  }

  #change(href?: string): void {
    forgetAll();
    this.#leave(href);
  }
}

export const session = new Session();
