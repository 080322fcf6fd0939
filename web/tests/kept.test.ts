import { describe, expect, it } from 'vitest';
import { Kept, listOf } from '../src/lib/kept.svelte';
import { named } from '../src/lib/workbench.svelte';

const read = listOf((value): value is { name: string; query: string } => typeof (value as { name?: unknown }).name === 'string', ({ name }) => name);
function memory(full = false) {
  const held = new Map<string, string>();
  return {
    held,
    full,
    getItem: (key: string) => held.get(key) ?? null,
    setItem(key: string, text: string): void {
      if (this.full) throw new Error('QuotaExceededError');
      held.set(key, text);
    },
  };
}
const one = (name: string) => ({ name, query: `SELECT '${name}'` });
const names = (kept: Kept<{ name: string }[]>): string[] => kept.value.map(({ name }) => name);

describe('what a browser keeps', () => {
  it('loses nothing of two tabs that write', () => {
    const storage = memory();
    const [here, there] = [new Kept('k', read, storage), new Kept('k', read, storage)];
    here.change((now) => named(now, one('a')));
    there.change((now) => named(now, one('b')));
    expect(names(there)).toEqual(['a', 'b']);
    here.change((now) => named(now, one('c')));
    expect(names(here)).toEqual(['a', 'b', 'c']);
    there.heard(storage.getItem('k'));
    expect(names(there)).toEqual(['a', 'b', 'c']);
    there.heard(null);
    expect(names(there)).toEqual([]);
  });
  it('goes on in memory where the storage is full, and says so', () => {
    const storage = memory(true);
    const kept = new Kept('k', read, storage);
    kept.change((now) => named(now, one('a')));
    kept.change((now) => named(now, one('b')));
    expect([names(kept), kept.failed]).toEqual([['a', 'b'], true]);
    storage.full = false;
    kept.change((now) => named(now, one('c')));
    expect([names(kept), kept.failed]).toEqual([['a', 'b', 'c'], false]);
    expect(read(storage.getItem('k')).map(({ name }) => name)).toEqual(['a', 'b', 'c']);
  });
  it('goes on where the storage is forbidden', () => {
    const forbidden = {
      getItem: (): string => {
        throw new Error('SecurityError');
      },
      setItem: (): void => {
        throw new Error('SecurityError');
      },
    };
    const kept = new Kept('k', read, forbidden);
    kept.change((now) => named(now, one('a')));
    kept.change((now) => named(now, one('b')));
    expect([names(kept), kept.failed]).toEqual([['a', 'b'], true]);
  });
  it('is read as far as it is of use, one a name', () => {
    expect(read('[{"name":"a","query":"1"},{"name":"a","query":"2"},{"x":1}]')).toEqual([{ name: 'a', query: '1' }]);
    for (const text of [null, 'nonsense', '{}', 'null']) expect(read(text)).toEqual([]);
  });
});
