import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiError, Cancelled } from '../src/lib/api';
import { door } from '../src/lib/door';
import { EventReader, listen } from '../src/lib/stream';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('events', () => {
  it('are the same however the bytes are cut', () => {
    const text = ': keep\n\ndata: {"a":1}\n\nevent: vehicle\r\ndata: zwölf\r\ndata: lines\r\n\r\nid: 3\n\ndata\n\ndata:none\r\r';
    const whole = new EventReader().push(bytes(`${text}:`));
    expect(whole).toEqual(['{"a":1}', 'zwölf\nlines', '', 'none']);
    const all = bytes(`${text}:`);
    for (const size of [1, 2, 3, 7]) {
      const reader = new EventReader();
      const events: string[] = [];
      for (let at = 0; at < all.length; at += size) events.push(...reader.push(all.slice(at, at + size)));
      expect(events).toEqual(whole);
    }
  });
  it('that are not over yet are not told', () => {
    const reader = new EventReader();
    expect(reader.push(bytes('data: one\n'))).toEqual([]);
    expect(reader.push(bytes('database: no\n\n'))).toEqual(['one']);
  });
});

describe('a stream', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
    Object.assign(door, { key: '', anew: () => Promise.resolve(false) });
  });
  /** A stream that says `text`, and then what the test makes it do. */
  function streaming(text: string) {
    let control: ReadableStreamDefaultController<Uint8Array> | undefined;
    const asked: RequestInit[] = [];
    vi.stubGlobal('fetch', (_: string, init: RequestInit) => {
      asked.push(init);
      const body = new ReadableStream<Uint8Array>({ start: (own) => ((control = own), own.enqueue(bytes(text))) });
      init.signal?.addEventListener('abort', () => control?.error(init.signal?.reason));
      return Promise.resolve(new Response(body));
    });
    return { asked, end: () => control?.close() };
  }
  const heard = () => ({ events: [] as string[], opened: 0 });
  const into = (to: ReturnType<typeof heard>) => ({ opened: () => (to.opened += 1), event: (data: string) => to.events.push(data) });

  it('carries the key in its head and not in its address', async () => {
    door.key = 'open sesame';
    const [source, to] = [streaming('data: 1\n\n'), heard()];
    const done = listen('/v1/tracking', into(to), new AbortController().signal);
    await vi.advanceTimersByTimeAsync(1);
    expect([to.events, to.opened]).toEqual([['1'], 1]);
    expect(source.asked[0]?.headers).toMatchObject({ authorization: 'Bearer open sesame' });
    source.end();
    await done;
  });
  it('that is silent for too long is given up, as a dead link does not say so', async () => {
    const to = heard();
    streaming('');
    const done = listen('/v1/tracking', into(to), new AbortController().signal).catch((cause: unknown) => cause);
    await vi.advanceTimersByTimeAsync(44_000);
    expect(await Promise.race([done, Promise.resolve('open')])).toBe('open');
    await vi.advanceTimersByTimeAsync(2_000);
    expect(await done).toMatchObject({ title: 'The stream was cut off' });
  });
  it('is taken back by its page, and is no failure then', async () => {
    streaming('');
    const page = new AbortController();
    const done = listen('/v1/tracking', into(heard()), page.signal).catch((cause: unknown) => cause);
    await vi.advanceTimersByTimeAsync(1);
    page.abort();
    expect(await done).toBeInstanceOf(Cancelled);
  });
  it('that is refused for its key waits for another, and else says why', async () => {
    vi.stubGlobal('fetch', () => Promise.resolve(new Response('{"title":"Unauthorized"}', { status: 401 })));
    const refused: string[] = [];
    Object.assign(door, { key: 'old', anew: (key: string) => (refused.push(key), Promise.resolve(true)) });
    await listen('/v1/tracking', into(heard()), new AbortController().signal);
    expect(refused).toEqual(['old']);
    door.anew = () => Promise.resolve(false);
    await expect(listen('/v1/tracking', into(heard()), new AbortController().signal)).rejects.toBeInstanceOf(ApiError);
  });
});
