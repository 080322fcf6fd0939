// The editors: CodeMirror with SQL for the workbench and with TOML for campaigns, in the colours of the design
// system. A chunk of its own, loaded when one of them is first opened.

import { acceptCompletion, autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { PostgreSQL, sql } from '@codemirror/lang-sql';
import { bracketMatching, HighlightStyle, StreamLanguage, syntaxHighlighting } from '@codemirror/language';
import { Compartment, EditorState, type Extension, Prec, StateEffect, StateField } from '@codemirror/state';
import { Decoration, type DecorationSet, drawSelection, EditorView, keymap, lineNumbers } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import { messages as m } from '../messages';
import type { ErrorPlace } from './sql';
import { toml } from './toml';
import type { Table } from './workbench.svelte';

/** Where something is in a text. */
type Span = Pick<ErrorPlace, 'from' | 'to'>;

export interface TextEditor {
  set: (text: string) => void;
  setError: (place: Span | null) => void;
  focus: () => void;
  destroy: () => void;
}

export interface Editor extends TextEditor {
  insert: (text: string) => void;
  setTables: (tables: readonly Table[]) => void;
}

const look = EditorView.theme({
  '&': { color: 'var(--ink)', backgroundColor: 'transparent', fontSize: 'var(--text-m)', height: '100%' },
  '&.cm-focused': { outline: '2px solid var(--focus)', outlineOffset: '-2px' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.6' },
  '.cm-content': { caretColor: 'var(--ink)', padding: '10px 0' },
  '.cm-cursor': { borderLeftColor: 'var(--ink)' },
  '.cm-gutters': { backgroundColor: 'transparent', color: 'var(--ink-3)', border: 'none' },
  '.cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground': { backgroundColor: 'var(--selected)' },
  '&.cm-focused .cm-matchingBracket': { backgroundColor: 'var(--selected)', outline: '1px solid var(--line-strong)' },
  '.cm-tooltip': { backgroundColor: 'var(--raised)', color: 'var(--ink)', border: '1px solid var(--line-strong)', borderRadius: 'var(--radius-s)', boxShadow: 'var(--shadow)' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { backgroundColor: 'var(--accent)', color: 'var(--accent-ink)' },
  '.cm-completionDetail': { color: 'inherit', opacity: '0.75', fontStyle: 'normal', marginLeft: '1em' },
  '.cm-fault': { textDecoration: 'underline wavy var(--bad)', textUnderlineOffset: '3px', backgroundColor: 'var(--bad-soft)' },
});

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: 'var(--accent)', fontWeight: '560' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--moving)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--idling)' },
  { tag: tags.comment, color: 'var(--ink-3)', fontStyle: 'italic' },
  { tag: [tags.typeName, tags.standard(tags.name), tags.propertyName], color: 'var(--series-4)' },
]);

const putError = StateEffect.define<Span | null>();
const faults = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(marks, transaction) {
    // A mark is of the text that ran: the first change takes it away.
    let next = transaction.docChanged ? Decoration.none : marks;
    for (const effect of transaction.effects) {
      if (!effect.is(putError)) continue;
      const place = effect.value;
      const end = transaction.newDoc.length;
      const from = place ? Math.min(place.from, Math.max(0, end - 1)) : 0;
      const to = place ? Math.min(end, Math.max(place.to, from + 1)) : 0;
      next = to > from ? Decoration.set([Decoration.mark({ class: 'cm-fault' }).range(from, to)]) : Decoration.none;
    }
    return next;
  },
  provide: (field) => EditorView.decorations.from(field),
});

const languageOf = (tables: readonly Table[]) =>
  sql({
    dialect: PostgreSQL,
    upperCaseKeywords: true,
    schema: Object.fromEntries(tables.map(({ name, columns }) => [name, columns.map((column) => ({ label: column.name, detail: column.type, type: 'property' }))])),
  });

/** What both editors have; `first` comes before all keys. */
function viewOf(parent: HTMLElement, text: string, label: string, change: (text: string) => void, [first, more]: [Extension, Extension]): EditorView {
  return new EditorView({
    parent,
    state: EditorState.create({
      doc: text,
      extensions: [
        first, lineNumbers(), history(), drawSelection(), bracketMatching(), closeBrackets(), more,
        keymap.of([...closeBracketsKeymap, ...completionKeymap, ...historyKeymap, ...defaultKeymap]),
        faults, look, syntaxHighlighting(colours), EditorView.lineWrapping,
        // What scrolls must be reached by keyboard, and checkers do not count what can be edited as that.
        EditorView.contentAttributes.of({ 'aria-label': label, spellcheck: 'false', tabindex: '0' }),
        EditorView.updateListener.of((update) => update.docChanged && change(update.state.doc.toString())),
      ],
    }),
  });
}

const actsOf = (view: EditorView): TextEditor => ({
  set: (next) => {
    if (next !== view.state.doc.toString()) view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: next } });
  },
  setError: (place) => view.dispatch({ effects: putError.of(place), ...(place ? { selection: { anchor: Math.min(place.from, view.state.doc.length) } } : {}) }),
  focus: () => view.focus(),
  destroy: () => view.destroy(),
});

export function createTomlEditor(parent: HTMLElement, text: string, label: string, change: (text: string) => void): TextEditor {
  return actsOf(viewOf(parent, text, label, change, [[], StreamLanguage.define(toml)]));
}

export function createEditor(parent: HTMLElement, text: string, on: { change: (text: string) => void; run: () => void }): Editor {
  const language = new Compartment();
  const columnsOf = new Compartment();
  const view = viewOf(parent, text, m.sql.query, on.change, [
    Prec.highest(keymap.of([{ key: 'Mod-Enter', run: () => (on.run(), true) }])),
    // Tab leaves the editor unless a completion is open: nobody is caught in it.
    [autocompletion({ icons: false }), keymap.of([{ key: 'Tab', run: acceptCompletion }]), language.of(languageOf([])), columnsOf.of([])],
  ]);
  return {
    ...actsOf(view),
    insert: (piece) => {
      view.dispatch(view.state.replaceSelection(piece));
      view.focus();
    },
    setTables: (tables) => {
      // Columns are offered without their table too, as a query names few tables.
      const known = new Map(tables.flatMap((table) => table.columns.map((column) => [column.name, { label: column.name, detail: column.type, type: 'property', boost: -20 }])));
      const source = PostgreSQL.language.data.of({
        autocomplete: (context: { matchBefore: (pattern: RegExp) => { from: number; to: number; text: string } | null }) => {
          const word = context.matchBefore(/[\w.]+/);
          return !word || word.text.includes('.') ? null : { from: word.from, options: [...known.values()], validFor: /^\w*$/ };
        },
      });
      view.dispatch({ effects: [language.reconfigure(languageOf(tables)), columnsOf.reconfigure(source)] });
    },
  };
}
