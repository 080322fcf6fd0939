import { describe, expect, it } from 'vitest';
import { Gate } from '../src/lib/gate';

describe('the gate', () => {
  it('lets so many in at once, in order, and goes on after a failure', async () => {
    const gate = new Gate(2);
    const ends: (() => void)[] = [];
    const began: number[] = [];
    const runs = [0, 1, 2, 3].map((index) =>
      gate.run(() => {
        began.push(index);
        return new Promise<number>((resolve, reject) => ends.push(() => (index === 0 ? reject(new Error('failed')) : resolve(index))));
      }),
    );
    expect(began).toEqual([0, 1]);
    ends[0]?.();
    await expect(runs[0]).rejects.toThrow('failed');
    expect(began).toEqual([0, 1, 2]);
    ends[1]?.();
    await runs[1];
    expect(began).toEqual([0, 1, 2, 3]);
    ends[2]?.();
    ends[3]?.();
    expect(await Promise.all(runs.slice(2))).toEqual([2, 3]);
  });
  it('whoever is aborted in the queue never begins, and takes no place', async () => {
    const gate = new Gate(1);
    let end: () => void = () => undefined;
    const first = gate.run(() => new Promise<void>((resolve) => (end = resolve)));
    const stop = new AbortController();
    const second = gate.run(() => Promise.resolve('never'), stop.signal);
    const third = gate.run(() => Promise.resolve('third'));
    stop.abort();
    await expect(second).rejects.toThrow('taken back');
    end();
    await first;
    expect(await third).toBe('third');
    expect(await gate.run(() => Promise.resolve('fourth'))).toBe('fourth');
  });
});
