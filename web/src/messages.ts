// The texts of the console, in the reader's language where it is here and in English else.
//
// To add a language: copy messages/en.ts to, say, messages/de.ts, translate it as `export const de: Messages`, and put
// `de` in the list below. The compiler tells what is missing. What the api answers, and sample queries, stay as they are.

import { en } from './messages/en';

export type Messages = typeof en;

const LANGUAGES: readonly Messages[] = [en];

const languageOf = (locale: string): string => locale.split('-')[0] ?? locale;
const wanted = (globalThis.navigator?.languages ?? []).map((locale) => LANGUAGES.find((one) => languageOf(one.locale) === languageOf(locale)));

export const messages: Messages = wanted.find(Boolean) ?? en;
