// One thing that is open on a page and changed there: what it is, a change that is saved, and what to do where
// another changed it meanwhile.

import { Load } from './load.svelte';

type Change<T> = (was: T) => Promise<T>;

export class Edited<T> {
  readonly found = new Load<T>();
  readonly saving = new Load<T>();
  /** What another made of it, and every other look. */
  readonly again = new Load<T>();
  /** What became of the last change. */
  told = $state('');
  #sent: { change: Change<T>; then: string } | null = null;
  readonly #read: (signal: AbortSignal) => Promise<T>;
  readonly #taken: (then: string) => void;

  /** `taken` is called with each state that a person made or took. */
  constructor(read: (signal: AbortSignal) => Promise<T>, taken: (then: string) => void) {
    this.#read = read;
    this.#taken = taken;
  }

  get isStale(): boolean {
    return this.saving.error?.kind === 'stale';
  }

  load(): void {
    void this.found.run(this.#read);
  }

  /** Look at intervals: an older look that is still under way is waited for. */
  look(): void {
    if (!this.again.busy && !this.saving.busy) void this.renew();
  }

  /** Look once more. A failure changes nothing: what is shown stays. */
  async renew(): Promise<void> {
    if (!this.found.value) return;
    if ((await this.again.run(this.#read)) && this.again.value) this.found.value = this.again.value;
  }

  /** Whether it was saved. */
  async save(was: T, change: Change<T>, then: string): Promise<boolean> {
    this.told = '';
    this.#sent = { change, then };
    if (!(await this.saving.run(() => change(was))) || !this.saving.value) return false;
    this.take(this.saving.value, then);
    return true;
  }

  /** What is there now. */
  take(now: T, then: string): void {
    this.again.stop();
    this.found.value = now;
    this.saving.error = null;
    this.told = then;
    this.#taken(then);
  }

  /** What another made of it meanwhile: taken, or gone over with what was changed here. */
  async meet(how: 'take' | 'keep'): Promise<void> {
    if (!(await this.again.run(this.#read, 'clear', 'once')) || !this.again.value) return;
    if (how === 'keep' && this.#sent) await this.save(this.again.value, this.#sent.change, this.#sent.then);
    else this.take(this.again.value, '');
  }

  /** Something else is to be done with it: what was told of the last thing is over. */
  clear(): void {
    this.told = '';
    this.saving.error = null;
  }

  stop(): void {
    for (const load of [this.found, this.saving, this.again]) load.stop();
  }
}
