import { afterEach, describe, expect, it, vi } from 'vitest';
import { fetchFile, fileName } from '../src/lib/download';

afterEach(() => vi.unstubAllGlobals());

/** A page that keeps what it is given. */
function page(answer: () => Response): { asked: [string, RequestInit][]; kept: { name: string; size: number }[] } {
  const asked: [string, RequestInit][] = [];
  const kept: { name: string; size: number }[] = [];
  let size = 0;
  vi.stubGlobal('fetch', (path: string, init: RequestInit) => (asked.push([path, init]), Promise.resolve(answer())));
  vi.stubGlobal('URL', { createObjectURL: (file: Blob) => ((size = file.size), 'blob:x'), revokeObjectURL: () => undefined });
  vi.stubGlobal('setTimeout', (then: () => void) => then());
  const link = { download: '', click: () => void kept.push({ name: link.download, size }), remove: () => undefined };
  vi.stubGlobal('document', { createElement: () => link, body: { append: () => undefined } });
  return { asked, kept };
}

describe('a file of the server', () => {
  it('has the name that the server gives, which is no path', () => {
    expect(fileName('attachment; filename="INV-1.pdf"')).toBe('INV-1.pdf');
    for (const none of [null, 'attachment', 'attachment; filename="../x"', 'attachment; filename="a\\b"']) expect(fileName(none)).toBeNull();
  });

  it('is kept by that name, or by the one that is asked', async () => {
    const { asked, kept } = page(() => new Response('%PDF-', { headers: { 'content-disposition': 'attachment; filename="INV-1.pdf"' } }));
    await fetchFile('/v1/invoices/inv_1/pdf');
    expect(kept).toEqual([{ name: 'INV-1.pdf', size: 5 }]);
    expect(asked[0]?.[0]).toBe('/v1/invoices/inv_1/pdf');
    const other = page(() => new Response('PAR1PAR1'));
    await fetchFile('/v1/sql', undefined, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' }, 'x.parquet');
    expect(other.kept).toEqual([{ name: 'x.parquet', size: 8 }]);
    expect(other.asked[0]?.[1]).toMatchObject({ method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } });
  });

  it('that is refused is told and not kept', async () => {
    const problem = JSON.stringify({ title: 'The request is not valid', detail: 'take the CSV', type: 'urn:roadlake:invalid' });
    const { kept } = page(() => new Response(problem, { status: 422 }));
    await expect(fetchFile('/v1/invoices/inv_1/pdf')).rejects.toMatchObject({ status: 422, detail: 'take the CSV' });
    expect(kept).toEqual([]);
  });

  it('that breaks off is told and not kept', async () => {
    const cut = new ReadableStream({ start: (controller) => controller.error(new Error('cut')) });
    const { kept } = page(() => new Response(cut));
    await expect(fetchFile('/v1/sql')).rejects.toMatchObject({ title: 'The file was cut off' });
    expect(kept).toEqual([]);
  });
});
