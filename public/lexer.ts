// Reads Markdown into tokens: GitHub's flavour with line breaks as written, and formulas. It has an end, whatever is
// written.

import { Marked, type TokensList } from "marked";
import { mathMarks } from "./math.ts";

// More marks of emphasis than any sentence has; what they cost grows with the square of their number.
const tangled = /^[^*_]*(?:[*_]+[^*_]+){500}/;

const marked = new Marked(
  { gfm: true, breaks: true },
  {
    tokenizer: {
      // A single ~ stands for "about" far more often than for strike-through.
      del: (source) => (source.startsWith("~~") ? false : undefined),
      emStrong: (_source, masked) => (tangled.test(masked) ? undefined : false),
    },
  },
  mathMarks,
);

export function lex(source: string): TokensList {
  try {
    return marked.lexer(source);
  } catch {
    // Nested more deeply than the stack: it is shown as it is written.
    const text = { type: "text", raw: source, text: source };
    return Object.assign([{ type: "paragraph", raw: source, text: source, tokens: [text] }], { links: {} });
  }
}

/** The first word after a fence: its language, as far as one could be named so. */
export function languageOf(info: string): string {
  return /^[\w+#./-]{1,30}/.exec(info.trim())?.[0] ?? "";
}
