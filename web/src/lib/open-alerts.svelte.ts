// How many alerts are open and nobody has taken on: the number beside their name in the navigation.

import { type Alert, alerts } from './alerts';
import { Load } from './load.svelte';
import type { Page } from './types';

/** More are not counted. */
const COUNTED_MAX = 99;

export class OpenAlerts {
  /** Null before it is known. */
  count = $state<number | null>(null);
  readonly #looking = new Load<Page<Alert>>();

  /** As it is shown: `3`, `99+`; empty for none. */
  get text(): string {
    if (!this.count) return '';
    return this.count > COUNTED_MAX ? `${COUNTED_MAX}+` : String(this.count);
  }

  /** Look once. A failure changes nothing: the page itself tells of it. */
  async look(): Promise<void> {
    const asked = await this.#looking.run((signal) => alerts.list({ status: 'open', is_acknowledged: 'false', limit: COUNTED_MAX + 1 }, signal), 'keep');
    if (asked && !this.#looking.error && this.#looking.value) this.count = this.#looking.value.data.length;
  }

  stop(): void {
    this.#looking.stop();
  }
}

export const openAlerts = new OpenAlerts();
