// Who is signed in, as /v1/me tells it, and words for why somebody is not, or no longer.

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

export const NOT_A_KEY: Words = { title: 'That is not a key', detail: 'A key is one line of letters, digits and signs. Paste it whole, and nothing beside it.' };

/** Why a key was not taken, in words; the key itself is in none of them. */
export function wordsOf(error: ApiError): Words {
  if (error.kind === 'key-expired') return { title: 'This key has expired', detail: 'Ask who made it for another, and sign in with that.' };
  if (error.kind === 'key-revoked') return { title: 'This key was revoked', detail: 'It opens nothing any more. Ask who made it for another.' };
  if (error.kind === 'key-inactive') return { title: 'This key’s person is no longer active', detail: 'An owner of the organization can make them active again under Admin, People.' };
  if (error.status === 401) return { title: 'This server does not know that key', detail: 'See that all of it was pasted, and that it is a key of this server.' };
  if (error.status === 429) return { title: 'Too many tries', detail: 'Wait some seconds, then try again.' };
  return { title: error.title, detail: error.detail };
}

/** Why a session ended that nobody signed out of here. */
export function wordsOfEnd(error: ApiError): Words {
  if (error.kind === 'session-inactive') return { title: 'You are no longer active', detail: 'An owner of the organization can make you active again under Admin, People.', isOfSession: true };
  return { title: 'Your session has ended', detail: 'It was open long enough, or was not used for a while, or somebody ended it.', isOfSession: true };
}

/** Why a page that waits does not go on with who signed in meanwhile. */
export function wordsOfOther(was: Me, comes: Me): Words {
  if (was.user_id === comes.user_id) return { title: 'You may do other things now', detail: 'This page was opened with what you could do before. Leave it and start anew.', isOfSession: true };
  return { title: 'That is somebody else', detail: `${nameOf(comes)} is signed in now, and this page is of ${nameOf(was)}. Sign in as ${nameOf(was)} to go on with it, or leave it.`, isOfSession: true };
}

export const bySession = (me: Me | null): boolean => me?.signed_in_by === 'oidc';

/** Whether who comes may see all that is on the page of who was there, and finish what they began. */
export const isSame = (was: Me, comes: Me): boolean =>
  was.organization_id === comes.organization_id && was.user_id === comes.user_id && was.role === comes.role && was.may.join() === comes.may.join();

/** What is shown of a caller. */
export const nameOf = (me: Me | null): string => me?.person_name ?? me?.key_name ?? me?.actor ?? '';
