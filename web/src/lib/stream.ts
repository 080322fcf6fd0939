// A stream of server-sent events by fetch: the browser's own EventSource sends no key with its request.

import { messages as m } from '../messages';
import { ApiError, Cancelled, failureOf } from './api';
import { authorization, door } from './door';

/** The server says something every 15 s; a link that is silent for longer is dead and does not say so. */
const SILENT_MAX_MS = 45_000;

/** Bytes as they come, to events: the data of each, whole. */
export class EventReader {
  #line = '';
  #data: string[] = [];
  #decoder = new TextDecoder();

  push(bytes: Uint8Array): string[] {
    const events: string[] = [];
    const lines = (this.#line + this.#decoder.decode(bytes, { stream: true })).split(/\r\n|\n|\r(?!$)/);
    // What ends in the middle of a line, or between its CR and LF, goes on with the next bytes.
    this.#line = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (this.#data.length > 0) events.push(this.#data.join('\n'));
        this.#data = [];
      } else if (line.startsWith('data')) {
        const value = /^data(?::\s?(.*))?$/s.exec(line);
        if (value) this.#data.push(value[1] ?? '');
      }
    }
    return events;
  }
}

interface Listener {
  opened: () => void;
  event: (data: string) => void;
}

/** Listens until the stream ends or is aborted; an error where it cannot be opened. */
export async function listen(path: string, { opened, event }: Listener, signal: AbortSignal): Promise<void> {
  const silent = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const heard = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => silent.abort(), SILENT_MAX_MS);
  };
  const { key, turn } = door;
  try {
    heard();
    const response = await fetch(path, { signal: AbortSignal.any([signal, silent.signal]), cache: 'no-store', headers: { accept: 'text/event-stream', ...authorization(key) } });
    if (!response.ok || !response.body) {
      const failure = failureOf(path, response.status, await response.text());
      if (failure.status === 401 && (await door.anew(key, failure, signal, turn))) return;
      throw failure;
    }
    opened();
    const [body, reader] = [response.body.getReader(), new EventReader()];
    for (;;) {
      const { done, value } = await body.read();
      if (done) return;
      heard();
      for (const data of reader.push(value)) event(data);
    }
  } catch (cause) {
    if (signal.aborted) throw new Cancelled();
    throw cause instanceof ApiError ? cause : new ApiError(m.errors.streamCutOff, m.errors.streamEnded(path), 0);
  } finally {
    clearTimeout(timer);
  }
}
