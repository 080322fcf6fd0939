// Finds the texts of a source that a person would see or hear, and that are written in it and not in the messages.

import { parse } from 'svelte/compiler';

/** What is read or heard of an element. */
const SPOKEN_ATTRIBUTES = new Set(['title', 'alt', 'placeholder', 'label', 'aria-label', 'aria-valuetext', 'aria-description', 'aria-roledescription']);
/** What is not, of a component of ours: names of things, looks and links. Every other prop is taken for a text. */
const SILENT_PROPS = new Set(['id', 'name', 'param', 'kind', 'tone', 'state', 'to', 'of', 'href', 'here', 'across', 'class']);
/** Elements whose text is no language: code, and keys as they are printed on. */
const CODE = new Set(['code', 'kbd', 'script', 'style']);
/** Properties and calls that take names: a GeoJSON's type, a key of the keyboard, the beginning of a type's name. */
const NAMING_PROPERTIES = new Set(['type', 'key']);
const NAMING_CALLS = new Set(['startsWith', 'endsWith', 'includes', 'closest', 'querySelector', 'matchMedia']);
const TYPES = /^(TSTypeAliasDeclaration|TSInterfaceDeclaration|TSTypeAnnotation|TSTypeParameter.*|TSLiteralType|TSUnionType)$/;

const WORD = /\p{L}{2,}/u;
const SENTENCE = /\p{L}{2,}[,.;:!?…)”’]* ["“(]?\p{L}/u;
const CAPITALIZED = /^\p{Lu}\p{Ll}+…?$/u;
const SQL = /\b(SELECT|FROM|WHERE|AND|NULL|INTERVAL)\b/;
const CSS = /var\(--|gradient\(/;
const MARKUP = /^\s*<[?\w]/;

/** Whether a string of the code, of which nobody knows where it goes, is one for people. */
const looksSpoken = (text) => (SENTENCE.test(text) || CAPITALIZED.test(text)) && !SQL.test(text) && !CSS.test(text);
/** The same of a template: it has a word that stands for itself. */
const looksSpokenAround = (quasis) => {
  const text = quasis.join('\0');
  return quasis.some((quasi) => /\s\p{L}{2,}|\p{L}{2,}[,.;:]?\s/u.test(quasi)) && !SQL.test(text) && !CSS.test(text) && !MARKUP.test(text);
};

/**
 * @param {string} source
 * @param {string} name of the file, `.svelte` or `.ts`: the one parser reads both, and so the rules are the same
 * @returns {{ line: number, text: string }[]}
 */
export function spoken(source, name) {
  const text = name.endsWith('.svelte') ? source : `<script lang="ts">${source}\n</script>`;
  const root = parse(text, { modern: true });
  const found = [];
  const add = ({ start, end }, said = text.slice(start, end)) => found.push({ line: text.slice(0, start + said.search(/\S/)).split('\n').length, text: said.replace(/\s+/g, ' ').trim() });

  /** An expression whose value is shown: every word in it is. */
  function shown(node) {
    switch (node?.type) {
      case 'Literal':
        if (typeof node.value === 'string' && WORD.test(node.value)) add(node, node.value);
        return;
      case 'TemplateLiteral':
        if (node.quasis.some(({ value }) => WORD.test(value.cooked))) add(node);
        return node.expressions.forEach(shown);
      case 'ConditionalExpression':
        code(node.test);
        return [node.consequent, node.alternate].forEach(shown);
      case 'LogicalExpression':
        if (node.operator === '&&') code(node.left);
        else shown(node.left);
        return shown(node.right);
      case 'TSAsExpression':
      case 'TSNonNullExpression':
        return shown(node.expression);
      case 'BinaryExpression':
        if (node.operator === '+') return [node.left, node.right].forEach(shown);
    }
    code(node);
  }

  /** Any other code: what goes to people is told by the look of it. */
  function code(node) {
    if (Array.isArray(node)) return node.forEach(code);
    if (!node || typeof node !== 'object' || node.type === 'ImportDeclaration' || TYPES.test(node.type ?? '')) return;
    switch (node.type) {
      case 'Literal':
        if (typeof node.value === 'string' && looksSpoken(node.value)) add(node, node.value);
        return;
      case 'TemplateLiteral':
        if (looksSpokenAround(node.quasis.map(({ value }) => value.cooked))) add(node);
        return code(node.expressions);
      case 'BinaryExpression':
        if (/^[!=]==?$/.test(node.operator)) return code([node.left, node.right].filter(({ type }) => type !== 'Literal'));
        break;
      case 'SwitchCase':
        return code(node.consequent);
      case 'CallExpression':
        if (NAMING_CALLS.has(node.callee.property?.name ?? node.callee.name)) return code(node.callee);
        break;
      case 'Property':
        if (!node.computed && NAMING_PROPERTIES.has(node.key.name) && (node.value.expression ?? node.value).type === 'Literal') return;
        return code(node.computed ? [node.key, node.value] : node.value);
    }
    for (const [key, value] of Object.entries(node)) if (!/^(loc|metadata|leadingComments|trailingComments)$/.test(key)) code(value);
  }

  function attribute(owner, node) {
    if (node.type !== 'Attribute') return code(node);
    if (node.value === true || node.name === 'class') return;
    const speaks = owner.type === 'Component' ? !SILENT_PROPS.has(node.name) && !node.name.startsWith('data-') : SPOKEN_ATTRIBUTES.has(node.name);
    const parts = [node.value].flat();
    if (!speaks) return parts.forEach(({ expression }) => code(expression));
    if (parts.some(({ type, data }) => type === 'Text' && WORD.test(data))) add({ start: parts[0].start, end: parts.at(-1).end });
    parts.forEach(({ expression }) => shown(expression));
  }

  function markup(node) {
    if (node.type === 'Text') return WORD.test(node.data) ? add(node, node.data) : undefined;
    if (node.type === 'ExpressionTag' || node.type === 'HtmlTag') return shown(node.expression);
    if (node.type === 'Comment') return;
    node.attributes?.forEach((item) => attribute(node, item));
    // A block's key is compared and not shown.
    if (node.type !== 'KeyBlock') code([node.expression, node.test, node.declaration, node.parameters]);
    for (const part of [node.fragment, node.body, node.consequent, node.alternate, node.fallback, node.pending, node.then, node.catch]) {
      if (part?.type !== 'Fragment') continue;
      for (const child of part.nodes) if (child.type !== 'Text' || !CODE.has(node.name)) markup(child);
    }
  }

  code([root.module?.content, root.instance?.content]);
  root.fragment.nodes.forEach(markup);
  return found;
}
