// What every request to the server carries, and what becomes of one that is refused for its key.
// session.svelte.ts holds the door; api.ts and stream.ts go through it.

import type { ApiError } from './api';

export interface Door {
  /** Sent as `Authorization: Bearer`; empty where this machine needs none, or the browser's session is sent. */
  key: string;
  /** How often somebody signed in on this page: where no key is sent, it tells an old refusal from a new one. */
  turn: number;
  /** What the key may call, as /v1/me tells it; null is everything, and the server has the last word. */
  routes: readonly Route[] | null;
  /** What they are who ask, for words of refusal. */
  who: string;
  /** Waits for a key in place of the one that was refused; false where none of the same caller comes. */
  anew: (refused: string, why: ApiError, signal?: AbortSignal | null, turn?: number) => Promise<boolean>;
  /** The server refused what the key was said to be allowed: its person's role is another now. */
  changed: () => void;
}

interface Route {
  method: string;
  path: RegExp;
}

export const door: Door = { key: '', turn: 0, routes: null, who: '', anew: () => Promise.resolve(false), changed: () => undefined };

/** `GET /v1/trips/{id}` as what it matches. */
export function routeOf(text: string): Route {
  const [method = '', path = ''] = text.split(' ');
  const literal = path.split(/\{\w+\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return { method, path: new RegExp(`^${literal.join('[^/]+')}$`) };
}

/** Whether the key may; of a route with an id, as far as that is known before it is asked. */
export function allows(routes: readonly Route[] | null, method: string, path: string): boolean {
  const [bare = ''] = path.split('?');
  return routes === null || routes.some((route) => route.method === method && route.path.test(bare));
}

export const authorization = (key: string): Record<string, string> => (key ? { authorization: `Bearer ${key}` } : {});
