// Whose things are: an organization's, or the operator's. Who is of no organization chooses whose a new one is;
// anybody else's are their own.

import { messages as m } from '../messages';
import { organizations, type Organization } from './bookings';
import { Load } from './load.svelte';
import { session } from './session.svelte';

export class Owners {
  readonly isOperator = session.me?.organization_id == null;
  /** Whose a new one is to be; empty for the operator's. */
  chosen = $state('');
  readonly #found = new Load<Organization[]>();

  constructor() {
    if (this.isOperator && session.may('GET', '/v1/organizations')) void this.#found.run((signal) => organizations(signal));
  }

  get all(): readonly Organization[] {
    return this.#found.value ?? [];
  }

  /** Whose a new one is: null for the operator's. */
  get owner(): string | null {
    return this.isOperator ? this.chosen || null : (session.me?.organization_id ?? null);
  }

  readonly nameOf = (id: string | null): string => {
    if (id === null) return m.common.ofOperator;
    return this.all.find((item) => item.id === id)?.name ?? (id === session.me?.organization_id ? session.me.organization_name : null) ?? id;
  };

  stop(): void {
    this.#found.stop();
  }
}
