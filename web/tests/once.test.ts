import { afterEach, describe, expect, it, vi } from 'vitest';
import { Once } from '../src/lib/once.svelte';

function storage() {
  const kept = new Map<string, string>();
  return { kept, getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value), removeItem: (key: string) => void kept.delete(key) };
}

/** A server whose answers come when the test gives them. */
function server() {
  const keys: string[] = [];
  const answers: ((answer: { status: number; body: unknown } | Error) => void)[] = [];
  vi.stubGlobal('fetch', (_: string, init: RequestInit) => {
    keys.push((init.headers as Record<string, string>)['idempotency-key'] ?? '');
    return new Promise((resolve, reject) => {
      answers.push((answer) => (answer instanceof Error ? reject(answer) : resolve(new Response(JSON.stringify(answer.body), { status: answer.status }))));
    });
  });
  return { keys, answer: (index: number, answer: { status: number; body: unknown } | Error) => answers[index]?.(answer) };
}
const refused = { status: 409, body: { title: 'Conflict', detail: 'taken' } };

afterEach(() => vi.unstubAllGlobals());

describe('a wish that must be done once', () => {
  it('is sent once, however often it is tapped', async () => {
    const { keys, answer } = server();
    const once = new Once<{ id: string }>('a', storage());
    const first = once.send('/v1/x', { n: 1 });
    expect(await once.send('/v1/x', { n: 1 })).toBeNull();
    answer(0, { status: 201, body: { id: 'b' } });
    expect(await first).toEqual({ id: 'b' });
    expect(keys).toHaveLength(1);
    expect(once.unsure).toBe(false);
  });
  it('is sent again under its key after a lost answer, also by a page that was loaded anew', async () => {
    const { keys, answer } = server();
    const kept = storage();
    const once = new Once('a', kept);
    const first = once.send('/v1/x', { n: 1 });
    answer(0, new TypeError('network'));
    await first;
    expect(once.unsure).toBe(true);
    const anew = new Once<{ id: string }>('a', kept);
    expect(anew.unsure).toBe(true);
    expect(anew.pending).toEqual({ n: 1 });
    const second = anew.again();
    answer(1, { status: 201, body: { id: 'b' } });
    expect(await second).toEqual({ id: 'b' });
    expect(keys[1]).toBe(keys[0]);
    expect(kept.kept.size).toBe(0);
  });
  it('that the server refused is over: what is sent next is another', async () => {
    const { keys, answer } = server();
    const once = new Once('a', storage());
    const first = once.send('/v1/x', { n: 1 });
    answer(0, refused);
    await first;
    expect(once.error?.detail).toBe('taken');
    expect(once.unsure).toBe(false);
    const second = once.send('/v1/x', { n: 1 });
    answer(1, refused);
    await second;
    expect(keys[1]).not.toBe(keys[0]);
  });
  it('is not over by an answer that leaves it open', async () => {
    const { answer } = server();
    for (const [index, status] of [500, 503, 429].entries()) {
      const once = new Once('a', storage());
      const sent = once.send('/v1/x');
      answer(index, { status, body: {} });
      await sent;
      expect(once.unsure).toBe(true);
    }
  });
  it('goes on in memory where nothing can be stored', async () => {
    const { answer } = server();
    const once = new Once<{ id: string }>('a', { getItem: () => { throw new Error('forbidden'); }, setItem: () => { throw new Error('full'); }, removeItem: () => { throw new Error('full'); } });
    const sent = once.send('/v1/x');
    answer(0, { status: 200, body: { id: 'b' } });
    expect(await sent).toEqual({ id: 'b' });
  });
});
