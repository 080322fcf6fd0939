// Files: made in the browser, or the server's.

import { messages as m } from '../messages';
import { ApiError, Cancelled, failureOf } from './api';
import { authorization, door } from './door';

/** A file may take the server longer than an answer: it ends it after 30 s and says so. */
const TIMEOUT_MS = 40_000;

export function download(name: string, type: string, text: string): void {
  keep(name, new Blob([text], { type }));
}

/** What is asked for, where that is more than a path. */
interface Asked {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
}

/** Keep a file of the server under the name it gives, or else `name`. A key that is refused meanwhile is asked for anew. */
export async function fetchFile(path: string, signal?: AbortSignal, init: Asked = {}, name = 'download'): Promise<void> {
  for (;;) {
    const { key, turn } = door;
    const response = await asked(path, key, init, signal);
    if (response.ok) return keep(fileName(response.headers.get('content-disposition')) ?? name, await whole(path, response, signal));
    const failure = failureOf(path, response.status, await response.text().catch(() => ''));
    if (failure.status === 403) door.changed();
    if (failure.status !== 401 || !(await door.anew(key, failure, signal, turn))) throw failure;
  }
}

async function asked(path: string, key: string, init: Asked, signal?: AbortSignal): Promise<Response> {
  const late = AbortSignal.timeout(TIMEOUT_MS);
  try {
    return await fetch(path, { ...init, signal: signal ? AbortSignal.any([signal, late]) : late, headers: { ...init.headers, ...authorization(key) } });
  } catch {
    if (signal?.aborted) throw new Cancelled();
    if (late.aborted) throw new ApiError(m.errors.noAnswer, m.errors.noFileFrom(path, TIMEOUT_MS / 1000), 0);
    throw new ApiError(m.errors.unreachable, m.errors.unreachableWhy, 0);
  }
}

async function whole(path: string, response: Response, signal?: AbortSignal): Promise<Blob> {
  try {
    return await response.blob();
  } catch {
    if (signal?.aborted) throw new Cancelled();
    throw new ApiError(m.errors.fileCutOff, m.errors.fileCutOffFrom(path), 0);
  }
}

/** The name in a `Content-Disposition`. */
export const fileName = (header: string | null): string | null => /filename="([^"/\\]+)"/.exec(header ?? '')?.[1] ?? null;

function keep(name: string, file: Blob): void {
  const url = URL.createObjectURL(file);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  // The browser has read the address by the next turn.
  setTimeout(() => URL.revokeObjectURL(url));
}
