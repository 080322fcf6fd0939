import { describe, expect, it } from 'vitest';
import { ApiError } from '../src/lib/api';
import { Edited } from '../src/lib/edited.svelte';

interface It {
  name: string;
  version: number;
}
const stale = (): ApiError => new ApiError('Stale', 'Another changed it', 412, 'stale');
const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
};

/** A server's one thing: a change is taken of the version that it is at. */
function opened(name = 'first') {
  const there = { now: { name, version: 1 } as It, isAway: false };
  const taken: string[] = [];
  const edited = new Edited<It>(() => (there.isAway ? Promise.reject(new ApiError('Away', 'x', 0)) : Promise.resolve(there.now)), (then) => taken.push(then));
  const to = (next: string) => (was: It): Promise<It> => {
    if (was.version !== there.now.version) return Promise.reject(stale());
    there.now = { name: next, version: was.version + 1 };
    return Promise.resolve(there.now);
  };
  return { there, taken, edited, to };
}

describe('what is changed', () => {
  it('is shown as it is then, and told', async () => {
    const { edited, taken, to } = opened();
    edited.load();
    await settled();
    expect(await edited.save(edited.found.value as It, to('mine'), 'It is changed.')).toBe(true);
    expect([edited.found.value?.name, edited.told, taken]).toEqual(['mine', 'It is changed.', ['It is changed.']]);
    edited.clear();
    expect(edited.told).toBe('');
  });
  it('by another meanwhile is taken, or gone over', async () => {
    for (const [how, name] of [['take', 'theirs'], ['keep', 'mine']] as const) {
      const { edited, there, taken, to } = opened();
      edited.load();
      await settled();
      there.now = { name: 'theirs', version: 2 };
      expect(await edited.save(edited.found.value as It, to('mine'), 'It is changed.')).toBe(false);
      expect([edited.isStale, edited.found.value?.name, taken.length]).toEqual([true, 'first', 0]);
      await edited.meet(how);
      expect([edited.isStale, edited.found.value?.name, taken.length]).toEqual([false, name, 1]);
    }
  });
  it('by another again is stale again, and one that cannot be read stays as it is', async () => {
    const { edited, there, to } = opened();
    edited.load();
    await settled();
    there.now = { name: 'theirs', version: 2 };
    await edited.save(edited.found.value as It, to('mine'), '');
    there.isAway = true;
    await edited.meet('take');
    expect([edited.isStale, edited.again.error?.title, edited.found.value?.name]).toEqual([true, 'Away', 'first']);
  });
  it('is looked at again, and a failure of that changes nothing', async () => {
    const { edited, there } = opened();
    await edited.renew();
    expect(edited.found.value).toBeNull();
    edited.load();
    await settled();
    there.now = { name: 'theirs', version: 2 };
    await edited.renew();
    expect(edited.found.value?.name).toBe('theirs');
    there.isAway = true;
    await edited.renew();
    expect([edited.found.value?.name, edited.found.error]).toEqual(['theirs', null]);
  });
});
