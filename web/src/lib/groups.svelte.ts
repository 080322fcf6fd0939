// Who of the live fleet is in the group that a page is cut to. The stream is one for all of the console, so it is not
// cut itself: a page shows those of it that the server says are in the group.

import { api } from './api';
import { Load } from './load.svelte';

export class Members {
  readonly load = new Load<{ group: string; ids: ReadonlySet<string> }>();

  /** Asks who is in it now. A failure changes nothing: what is shown stays. */
  look(group: string): void {
    void this.load.run(async (signal) => ({ group, ids: new Set((await api.fleet(signal, { group_id: group })).data.map(({ vehicle_id }) => vehicle_id)) }), 'keep');
  }

  /** Whether that is known of this group. */
  isOf(group: string): boolean {
    return this.load.value?.group === group;
  }

  has(group: string, vehicle: string): boolean {
    return this.isOf(group) && this.load.value?.ids.has(vehicle) === true;
  }

  stop(): void {
    this.load.stop();
  }
}
