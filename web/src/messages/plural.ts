// What a number makes of the words around it.

/** A text for each form that a language has; those it has not are left out. */
export type Forms = Partial<Record<Intl.LDMLPluralRule, string>> & { other: string };

/** The text for a number, in a language: English has `one` and `other`, others have `few` and `many` beside them. */
export function pluralOf(locale: string): (count: number, forms: Forms) => string {
  const rules = new Intl.PluralRules(locale);
  return (count, forms) => forms[rules.select(count)] ?? forms.other;
}
