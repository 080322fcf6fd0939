import { afterEach, describe, expect, it, vi } from 'vitest';
import { api, ApiError, Cancelled } from '../src/lib/api';

afterEach(() => vi.unstubAllGlobals());

/** An answer whose body never ends unless the request is aborted. */
function endless(signal: AbortSignal | null | undefined, start: string): Response {
  return new Response(
    new ReadableStream({
      start(control) {
        control.enqueue(new TextEncoder().encode(start));
        signal?.addEventListener('abort', () => control.error(signal.reason));
      },
    }),
  );
}
const failure = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => 'an answer', (cause: unknown) => cause);

describe('a call', () => {
  it('aborted in the middle of its body is taken back, not broken', async () => {
    let began: () => void = () => undefined;
    const reading = new Promise<void>((resolve) => (began = resolve));
    vi.stubGlobal('fetch', (_: string, init: RequestInit) => (began(), Promise.resolve(endless(init.signal, '{"data":['))));
    const stop = new AbortController();
    const asked = failure(api.trips({}, stop.signal));
    await reading;
    stop.abort();
    expect(await asked).toBeInstanceOf(Cancelled);
  });
  it('aborted while it waits for its turn is taken back too', async () => {
    vi.stubGlobal('fetch', (_: string, init: RequestInit) => Promise.resolve(endless(init.signal, '')));
    const [one, two, three] = [new AbortController(), new AbortController(), new AbortController()];
    const asked = [one, two, three].map((own) => failure(api.sql('SELECT 1', { signal: own.signal })));
    three.abort();
    expect(await asked[2]).toBeInstanceOf(Cancelled);
    one.abort();
    two.abort();
    expect(await Promise.all(asked.slice(0, 2))).toEqual([new Cancelled(), new Cancelled()]);
  });
  it('whose connection ends in the body says so', async () => {
    vi.stubGlobal('fetch', () => Promise.resolve(new Response(new ReadableStream({ start: (control) => control.error(new TypeError('reset')) }))));
    expect(await failure(api.fleet())).toMatchObject({ title: 'The answer was cut off' });
    vi.stubGlobal('fetch', () => Promise.resolve(new Response('<html>')));
    expect(await failure(api.fleet())).toMatchObject({ title: 'The answer cannot be read' });
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('refused')));
    expect(await failure(api.fleet())).toMatchObject({ title: 'The server cannot be reached' });
  });
  it('tells what the server says of a fault', async () => {
    vi.stubGlobal('fetch', () => Promise.resolve(new Response(JSON.stringify({ title: 'No', detail: 'because', errors: [{ field: 'limit', message: 'too many' }] }), { status: 422 })));
    const cause = await failure(api.trips({}));
    expect(cause).toBeInstanceOf(ApiError);
    expect(cause).toMatchObject({ title: 'No', detail: 'because\nlimit: too many', status: 422 });
    vi.stubGlobal('fetch', () => Promise.resolve(new Response('busy', { status: 503 })));
    expect(await failure(api.trips({}))).toMatchObject({ status: 503, detail: '/v1/trips answered 503.' });
  });
  it('names every column once, and asks for no more rows than the operator allows', async () => {
    const asked: number[] = [];
    vi.stubGlobal('fetch', (_: string, init: RequestInit) => {
      const { max_rows } = JSON.parse(String(init.body)) as { max_rows: number };
      asked.push(max_rows);
      return Promise.resolve(
        max_rows > 500
          ? new Response(JSON.stringify({ title: 'Invalid', errors: [{ field: 'max_rows', message: 'must be 1 to 500' }] }), { status: 422 })
          : new Response(JSON.stringify({ columns: [{ name: 'a', data_type: 'Utf8' }, { name: 'a', data_type: 'Utf8' }], rows: [], is_truncated: false, lake_versions: {}, elapsed_ms: 1 })),
      );
    });
    expect((await api.sql('SELECT 1')).columns.map(({ name }) => name)).toEqual(['a', 'a_2']);
    await api.sql('SELECT 2');
    expect(asked).toEqual([10_000, 500, 500]);
  });
});
