// TOML as the editor colours it: comments, headings, keys, texts and numbers. What it does not know stays plain;
// whether a text is right, the server says.

import type { StreamParser } from '@codemirror/language';

interface State {
  /** The quotes that end a text of several lines, while in one. */
  until: string;
}

export const toml: StreamParser<State> = {
  name: 'toml',
  startState: () => ({ until: '' }),
  token(stream, state) {
    if (state.until) {
      if (!stream.skipTo(state.until)) stream.skipToEnd();
      else {
        stream.match(state.until);
        state.until = '';
      }
      return 'string';
    }
    const isFirst = stream.sol() || /^\s*$/.test(stream.string.slice(0, stream.pos));
    if (stream.eatSpace()) return null;
    if (stream.match(/^#.*/)) return 'comment';
    const long = stream.match(/^("""|''')/);
    if (long && typeof long === 'object') {
      state.until = long[0];
      return 'string';
    }
    if (isFirst && stream.match(/^\[\[?[\w\s."'-]+\]\]?(?=\s*(#|$))/)) return 'keyword';
    if (stream.match(/^([\w-]+|"[^"]*"|'[^']*')(?=\s*(\.[\w\s.-]+)?=)/)) return 'propertyName';
    if (stream.match(/^("(\\.|[^"\\])*"?|'[^']*'?)/)) return 'string';
    if (stream.match(/^(true|false)\b/)) return 'bool';
    if (stream.match(/^[+-]?\d[\w.:+-]*/)) return 'number';
    stream.next();
    return null;
  },
  languageData: { commentTokens: { line: '#' }, closeBrackets: { brackets: ['[', '{', '"', "'"] } },
};
