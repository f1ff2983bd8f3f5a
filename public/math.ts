// What of an answer's Markdown is math: what stands in TeX's marks, but between dollars only what nobody writes of
// prices. Of a mark that is open it is known whether it may become math, and once it may not it never will.

import type { MarkedExtension } from "marked";

export type Formula = { raw: string; display: boolean };

// Longer than any formula that is meant to be read; none holds code or a blank line.
const charsMost = 4_000;
const forms = {
  "\\[": /^\\\[(?:[^\\`]|\\[^\]`])+?\\\]/,
  "\\(": /^\\\((?:[^\\`]|\\[^)`])+?\\\)/,
  $$: /^\$\$(?!\$)(?:[^\\$`]|\\[^`])+?\$\$(?!\$)/,
  $: /^\$(?![\s$])(?:[^\\$`\n]|\\[^`\n])*?(?:[^\s\\$`=,;:(&|/]|\\[^\s`])\$(?![$\d])/,
};
const blank = /\n[ \t]*\n/;

/** The formula that `source` begins with; `before` is what stands before it. */
export function formulaAt(source: string, before = ""): Formula | undefined {
  const opening = openingOf(source, before);
  if (opening === undefined) return undefined;
  const near = source.slice(0, charsMost);
  if (!near.includes(closingOf(opening), opening.length)) return undefined;
  const raw = forms[opening].exec(near)?.[0];
  if (raw === undefined || blank.test(raw)) return undefined;
  if (opening.startsWith("$") && !isMeant(texOf(raw))) return undefined;
  return { raw, display: opening === "$$" || opening === "\\[" };
}

/** Whether what stands open at the end of a text, which `source` is the rest of, may become a formula. */
export function mayBecomeFormula(source: string, before = ""): boolean {
  const opening = openingOf(source, before);
  if (opening === undefined || source.length > charsMost || /`|\n[ \t]*\n/.test(source)) return false;
  const inside = source.slice(opening.length);
  if (!opening.startsWith("$")) return !inside.includes(closingOf(opening));
  const [, tex, closing] = /^((?:[^\\$]|\\[\s\S])*\\?)(\$*)$/.exec(inside) ?? [];
  if (tex === undefined || isProse(tex)) return false;
  if (opening === "$" && (/^\s/.test(tex) || tex.includes("\n"))) return false;
  return closing === "" || formulaAt(source, before)?.raw === source || (opening === "$$" && closing === "$");
}

/** The same for a formula that is a block of its own. */
function blockAt(source: string): Formula | undefined {
  const indent = /^ {0,3}/.exec(source)?.[0] ?? "";
  const formula = formulaAt(source.slice(indent.length));
  if (formula?.display !== true) return undefined;
  const before = indent + formula.raw;
  const lineEnd = /^[ \t]*(?:\n|$)/.exec(source.slice(before.length));
  return lineEnd ? { raw: before + lineEnd[0], display: true } : undefined;
}

/** What is between the marks of a formula. */
export function texOf(formula: string): string {
  const marks = /^\$(?!\$)/.test(formula) ? 1 : 2;
  return formula.slice(marks, -marks);
}

/** For `marked`: formulas come before all other marks, as tokens of their own. */
export const mathMarks: MarkedExtension = {
  hooks: { emStrongMask: masked },
  extensions: [
    {
      name: "formulaBlock",
      level: "block",
      start: blockIn,
      tokenizer: (source) => tokenOf("formulaBlock", blockAt(source)),
    },
    {
      name: "formula",
      level: "inline",
      start: (source) => source.indexOf("$"),
      tokenizer: (source, tokens) => tokenOf("formula", formulaAt(source, tokens.at(-1)?.raw)),
    },
  ],
};

/** A formula as it stands among the tokens of `marked`. */
export type FormulaToken = Formula & { type: "formula" | "formulaBlock" };

function tokenOf(type: FormulaToken["type"], formula: Formula | undefined): FormulaToken | undefined {
  return formula && { type, ...formula };
}

/** Where a block of math ends the paragraph that `source` begins with. */
function blockIn(source: string): number | undefined {
  const paragraph = source.slice(0, source.search(blank) + 1 || undefined);
  for (const { index } of paragraph.matchAll(/\n(?= {0,3}(?:\$\$|\\\[))/g))
    if (blockAt(source.slice(index + 1))) return index;
  return undefined;
}

/** The text with formulas made unreadable, so that no mark of emphasis is looked for in them. */
function masked(source: string): string {
  const marks = /\\.|\$/gs;
  let text = "";
  for (let found = marks.exec(source); found !== null; found = marks.exec(source)) {
    const formula = formulaAt(source.slice(found.index), source[found.index - 1]);
    if (formula === undefined) continue;
    marks.lastIndex = found.index + formula.raw.length;
    text += source.slice(text.length, found.index) + "a".repeat(formula.raw.length);
  }
  return text + source.slice(text.length);
}

function openingOf(source: string, before: string): keyof typeof forms | undefined {
  const opening = /^(?:\\[[(]|\$\$?)/.exec(source)?.[0] as keyof typeof forms | undefined;
  // A dollar after a letter, a number or another dollar is a currency's or a variable's.
  return opening?.startsWith("$") && /[\p{L}\p{N}$\\]$/u.test(before) ? undefined : opening;
}

function closingOf(opening: keyof typeof forms): string {
  return opening === "\\[" ? "\\]" : opening === "\\(" ? "\\)" : opening;
}

function isMeant(tex: string): boolean {
  return /[\p{L}\p{N}]/u.test(tex) && !isProse(tex);
}

// Commands, indices and what belongs to them, where words are no sign of prose.
const told = /\\[a-zA-Z]+\*?(?:\s*\{[^{}]*(?:\}|$))*|[_^]\{[^{}]*(?:\}|$)/g;
const prose = [
  /(?<!\p{L})(?![A-Z]{3}(?!\p{L}))\p{L}{3}/u, // a word that is no name of a triangle
  /\p{L}\s+(?!d)\p{L}{2}|(?<!\p{L})(?!d)\p{L}{2}\s+\p{L}/u, // two of them, and not `dx dy`
  /^[^([]*\)/, // out of a bracket and perhaps into the next
  /^\d(?:.*\p{L}{2}|.*\d\s+\p{L})/su, // a price, and on
];

/** Whether what stands between two dollars is, or has become, the text between two prices. */
function isProse(tex: string): boolean {
  const bare = tex.replace(told, "+");
  return !tex.startsWith("\n") && prose.some((sign) => sign.test(bare));
}
