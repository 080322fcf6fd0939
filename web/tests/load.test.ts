import { describe, expect, it } from 'vitest';
import { ApiError, Cancelled } from '../src/lib/api';
import { Load, Paged } from '../src/lib/load.svelte';
import type { Page } from '../src/lib/types';

/** A request whose answer comes when the test says so. */
function held<T>() {
  let give: (value: T) => void = () => undefined;
  let fail: (cause: unknown) => void = () => undefined;
  const answer = new Promise<T>((resolve, reject) => ([give, fail] = [resolve, reject]));
  return { answer, give: (value: T) => give(value), fail: (cause: unknown) => fail(cause) };
}

describe('a request', () => {
  it('that a newer one replaced is aborted, and its answer dropped', async () => {
    const load = new Load<string>();
    const [old, next] = [held<string>(), held<string>()];
    let signal: AbortSignal | undefined;
    const first = load.run((own) => ((signal = own), old.answer));
    const second = load.run(() => next.answer);
    expect(signal?.aborted).toBe(true);
    next.give('new');
    expect(await second).toBe(true);
    old.give('old');
    expect(await first).toBe(false);
    expect(load.value).toBe('new');
    expect(load.busy).toBe(false);
  });
  it('that is taken back is no error', async () => {
    const load = new Load<string>();
    const { answer, fail } = held<string>();
    const run = load.run(() => answer);
    load.stop();
    expect([load.busy, load.cancelled]).toEqual([false, true]);
    fail(new Cancelled());
    await run;
    expect(load.error).toBeNull();
    await load.run(() => Promise.reject(new Cancelled()));
    expect(load.error).toBeNull();
    await load.run(() => Promise.reject(new ApiError('Broken', 'x', 500)));
    expect([load.error?.title, load.cancelled]).toEqual(['Broken', false]);
  });
});

describe('a list in pages', () => {
  const page = (ids: string[], next_cursor?: string): Page<{ id: string }> => ({ data: ids.map((id) => ({ id })), next_cursor });

  it('keeps the cursor of the filter that is shown, though an older answer comes later', async () => {
    const list = new Paged<{ id: string }>();
    const [all, one] = [held<Page<{ id: string }>>(), held<Page<{ id: string }>>()];
    const first = list.refresh(() => all.answer);
    const second = list.refresh(() => one.answer);
    one.give(page(['b'], 'after-b'));
    await second;
    all.give(page(['a'], 'after-a'));
    await first;
    expect(list.items.map(({ id }) => id)).toEqual(['b']);
    expect(list.cursor).toBe('after-b');
  });
  it('a next page that comes after the filter changed is not added', async () => {
    const list = new Paged<{ id: string }>();
    const late = held<Page<{ id: string }>>();
    await list.refresh((_, after) => (after ? late.answer : Promise.resolve(page(['a'], 'x'))));
    const more = list.next();
    await list.refresh(() => Promise.resolve(page(['c'])));
    late.give(page(['b'], 'y'));
    await more;
    expect([list.items.map(({ id }) => id), list.cursor]).toEqual([['c'], null]);
  });
  it('asks with its own cursor, and has what moved between pages once', async () => {
    const list = new Paged<{ id: string }>();
    const asked: (string | undefined)[] = [];
    const read = (_: AbortSignal, after?: string) => (asked.push(after), Promise.resolve(after ? page(['b', 'c']) : page(['a', 'b'], 'n')));
    await list.refresh(read);
    await list.next();
    await list.next();
    expect(asked).toEqual([undefined, 'n']);
    expect(list.items.map(({ id }) => id)).toEqual(['a', 'b', 'c']);
  });
  it('is renewed in place: what is new is first, what was read after the first page stays', async () => {
    const list = new Paged<{ id: string }>();
    let first = page(['b', 'c'], 'after-c');
    await list.refresh((_, after) => Promise.resolve(after ? page(['d']) : first));
    await list.next();
    first = page(['a', 'b', 'c'], 'after-c');
    const renewing = list.renew();
    expect([list.items.map(({ id }) => id), list.first.busy]).toEqual([['b', 'c', 'd'], false]);
    await renewing;
    expect([list.items.map(({ id }) => id), list.cursor]).toEqual([['a', 'b', 'c', 'd'], null]);
  });
  it('is another list where nothing that was shown is left, with its own cursor', async () => {
    const list = new Paged<{ id: string }>();
    let first = page(['b'], 'after-b');
    await list.refresh(() => Promise.resolve(first));
    first = page(['a'], 'after-a');
    await list.renew();
    expect([list.items.map(({ id }) => id), list.cursor]).toEqual([['a'], 'after-a']);
    first = page([]);
    await list.renew();
    expect([list.items, list.cursor]).toEqual([[], null]);
  });
  it('whose rows change places has each of them once', async () => {
    const list = new Paged<{ id: string }>();
    let first = page(['a', 'b', 'c'], 'after-c');
    await list.refresh(() => Promise.resolve(first));
    first = page(['c', 'a', 'b'], 'after-b');
    await list.renew('change places');
    expect([list.items.map(({ id }) => id), list.cursor]).toEqual([['c', 'a', 'b'], 'after-b']);
  });
  it('keeps what it shows where renewing fails, and where the filter changes meanwhile', async () => {
    const list = new Paged<{ id: string }>();
    const late = held<Page<{ id: string }>>();
    let answer: () => Promise<Page<{ id: string }>> = () => Promise.resolve(page(['a']));
    await list.refresh(() => answer());
    answer = () => Promise.reject(new ApiError('Broken', 'x', 500));
    await list.renew();
    expect([list.items.map(({ id }) => id), list.first.error]).toEqual([['a'], null]);
    answer = () => late.answer;
    const renewing = list.renew();
    await list.refresh(() => Promise.resolve(page(['c'])));
    late.give(page(['b']));
    await renewing;
    expect(list.items.map(({ id }) => id)).toEqual(['c']);
  });
  it('that failed has no next page', async () => {
    const list = new Paged<{ id: string }>();
    await list.refresh(() => Promise.reject(new ApiError('Broken', 'x', 500)));
    await list.next();
    expect([list.first.error?.title, list.items, list.cursor]).toEqual(['Broken', [], null]);
  });
});
