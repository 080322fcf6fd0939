// What goes on by itself while the server is away: one small request now and then, and the page that could not begin.

import { request } from './api';
import { connection } from './connection.svelte';
import { authorization, door } from './door';
import { fleet } from './fleet.svelte';
import { session } from './session.svelte';

/** As long as the page lives. */
export function keepTrying(): void {
  connection.probe = async () => {
    // Any answer will do: one of a key that is refused is one too.
    await request('/v1/me', { headers: authorization(door.key) });
  };
  connection.watch();
  connection.onback = () => {
    if (fleet.link === 'reconnecting') fleet.retry();
  };
}

/** A page that could not begin begins as soon as it can, until `signal` says otherwise. */
export async function beginAgain(signal: AbortSignal): Promise<void> {
  for (let tries = 0; await connection.again(tries, signal); tries += 1) await session.retry('itself');
}
