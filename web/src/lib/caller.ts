// Who is signed in, as /v1/me tells it, and words for why somebody is not, or no longer.

import { messages as m } from '../messages';
import type { ApiError } from './api';
import type { Role } from './roles';

export interface Me {
  actor: string;
  key_name: string | null;
  user_id: string | null;
  person_name: string | null;
  role: Role;
  organization_id: string | null;
  organization_name: string | null;
  expires_at: string | null;
  may: string[];
  /** `oidc` is a session that the browser holds in a cookie; a server from before that does not tell. */
  signed_in_by?: string | null;
  email?: string | null;
  /** When such a session is over at the latest. */
  ends_at?: string | null;
}

export interface Words {
  title: string;
  detail: string;
  /** It is about who is signed in, and not about a key that was given. */
  isOfSession?: boolean;
}

export const NOT_A_KEY: Words = { title: m.signIn.refused.notKey, detail: m.signIn.refused.notKeyWhy };

/** Why a key was not taken, in words; the key itself is in none of them. */
export function wordsOf(error: ApiError): Words {
  if (error.kind === 'key-expired') return { title: m.signIn.refused.keyExpired, detail: m.signIn.refused.keyExpiredWhy };
  if (error.kind === 'key-revoked') return { title: m.signIn.refused.keyRevoked, detail: m.signIn.refused.keyRevokedWhy };
  if (error.kind === 'key-inactive') return { title: m.signIn.refused.personInactive, detail: m.signIn.refused.personInactiveWhy };
  if (error.status === 401) return { title: m.signIn.refused.keyUnknown, detail: m.signIn.refused.keyUnknownWhy };
  if (error.status === 429) return { title: m.signIn.refused.tooMany, detail: m.signIn.refused.tooManyWhy };
  return { title: error.title, detail: error.detail };
}

/** Why a session ended that nobody signed out of here. */
export function wordsOfEnd(error: ApiError): Words {
  if (error.kind === 'session-inactive') return { title: m.signIn.refused.inactive, detail: m.signIn.refused.inactiveWhy, isOfSession: true };
  return { title: m.signIn.refused.ended, detail: m.signIn.refused.endedWhy, isOfSession: true };
}

/** Why a page that waits does not go on with who signed in meanwhile. */
export function wordsOfOther(was: Me, comes: Me): Words {
  if (was.user_id === comes.user_id) return { title: m.signIn.refused.otherRole, detail: m.signIn.refused.otherRoleWhy, isOfSession: true };
  return { title: m.signIn.refused.somebodyElse, detail: m.signIn.refused.somebodyElseWhy(nameOf(comes), nameOf(was)), isOfSession: true };
}

export const bySession = (me: Me | null): boolean => me?.signed_in_by === 'oidc';

/** Whether who comes may see all that is on the page of who was there, and finish what they began. */
export const isSame = (was: Me, comes: Me): boolean =>
  was.organization_id === comes.organization_id && was.user_id === comes.user_id && was.role === comes.role && was.may.join() === comes.may.join();

/** What is shown of a caller. */
export const nameOf = (me: Me | null): string => me?.person_name ?? me?.key_name ?? me?.actor ?? '';
