import { afterEach, describe, expect, it, vi } from 'vitest';
import { agents, type Command, commandOf, commandTone, hasMore, linkText, needsConfirmation, needsVersion, reasonOf, TASK_KINDS, taskText, VERSION_PATTERN, wordingOf } from '../src/lib/agents';

const NOW = '2026-11-28T12:00:00Z';
const command: Command = {
  id: 'cmd_1', vehicle_id: 'van-7', task: { kind: 'send_log', bytes_max: 65_536 }, sequence: 1, state: 'waiting', issued_at: NOW, expires_at: NOW, published_at: null, reply: null,
};
const reply = { outcome: 'done', reason: '', replied_at: NOW, dtcs: [], log: '' };

describe('commands', () => {
  it('that change something are asked about first', () => {
    expect(TASK_KINDS.filter(needsConfirmation)).toEqual(['clear_dtcs', 'restart', 'apply_update']);
    for (const kind of TASK_KINDS.filter(needsConfirmation)) expect(wordingOf(kind).yes).toMatch(/^Yes, /);
    expect(TASK_KINDS.filter(needsVersion)).toEqual(['apply_update']);
  });
  it('are sent as the server reads them', () => {
    expect(commandOf('van-7', 'read_dtcs', '9')).toEqual({ vehicle_id: 'van-7', task: { kind: 'read_dtcs' } });
    expect(commandOf('van-7', 'apply_update', ' 1.2.3 ')).toEqual({ vehicle_id: 'van-7', task: { kind: 'apply_update', version: '1.2.3' } });
  });
  it('have words, those of a later release too', () => {
    expect(taskText({ kind: 'apply_update', version: '1.2.3' })).toBe('Apply update 1.2.3');
    expect(taskText(command.task)).toBe('Send log');
    expect(taskText({ kind: 'dance' as never })).toBe('dance');
    expect(commandTone('dancing' as never)).toBe('offline');
  });
  it('tell why they are as they are', () => {
    expect(reasonOf(command)).toBe('Not sent yet');
    expect(reasonOf({ ...command, published_at: NOW })).toContain('when it is there');
    expect(reasonOf({ ...command, state: 'expired' })).toContain('No answer came in time');
    expect(reasonOf({ ...command, state: 'refused', reply: { ...reply, outcome: 'refused', reason: 'ignition is off' } })).toBe('ignition is off');
    expect(reasonOf({ ...command, state: 'done', reply })).toBe('');
  });
  it('have more to look at where codes were read, none too, or a log came', () => {
    expect(hasMore(command)).toBe(false);
    expect(hasMore({ ...command, reply: { ...reply, log: 'x' } })).toBe(true);
    expect(hasMore({ ...command, task: { kind: 'restart' }, reply })).toBe(false);
    expect(hasMore({ ...command, task: { kind: 'read_dtcs' }, reply })).toBe(true);
    expect(hasMore({ ...command, task: { kind: 'read_dtcs' }, reply: { ...reply, outcome: 'refused' } })).toBe(false);
  });
});

describe('a version', () => {
  // As a browser reads a pattern.
  const isVersion = (version: string): boolean => new RegExp(`^(?:${VERSION_PATTERN})$`, 'v').test(version);
  it('is as the server takes it', () => {
    expect(['1', '1.2.3-rc.1+b~2_x', 'x'.repeat(64)].every(isVersion)).toBe(true);
    expect(['', '-1', '1 2', '1/2', 'x'.repeat(65)].some(isVersion)).toBe(false);
  });
});

describe('a unit', () => {
  afterEach(() => vi.unstubAllGlobals());
  const answering = (status: number) => vi.stubGlobal('fetch', () => Promise.resolve(new Response(JSON.stringify({ title: 'Not Found', detail: 'there is no agent' }), { status })));
  it('that was never heard of is none, and no failure', async () => {
    answering(404);
    expect(await agents.of('van-7')).toBeNull();
  });
  it('that cannot be read is a failure', async () => {
    answering(500);
    await expect(agents.of('van-7')).rejects.toMatchObject({ status: 500 });
  });
  it('that is gone has no way to the cloud, whatever it told last', () => {
    expect(linkText({ is_online: true, link: 'catching_up' })).toBe('Catching up');
    expect(linkText({ is_online: false, link: 'live' })).toBe('No way to the cloud');
  });
});
