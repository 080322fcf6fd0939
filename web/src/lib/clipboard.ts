// What a person copies. A browser has no clipboard over plain HTTP from another machine, and may refuse it anywhere.

/** Whether the text is on the clipboard. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
