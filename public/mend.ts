// Completing Markdown that is still being written, so that what shows only ever grows: what is open is closed,
// and what may yet turn out to be markup is held back until it is known. Only the last block needs it.

import { formulaAt, mayBecomeFormula } from "./math.ts";

/** The same Markdown, fit to be rendered now. */
export function mend(source: string): string {
  const known = withhold(source);
  if (endsInCode(known)) return known;
  const whole = withholdTable(known);
  const start = Math.max(lastRun(whole), displayMath(whole).ended);
  return whole.slice(0, start) + closeInline(whole.slice(start));
}

/** Without what may yet become a block of its own. */
export function withhold(source: string): string {
  const known = withholdMarkers(source);
  return known.slice(0, displayMath(known).begun);
}

/** Without a last line of markers alone, which may become a fence, a list item, a rule or an underlined heading. */
function withholdMarkers(source: string): string {
  const start = source.lastIndexOf("\n") + 1;
  const line = source.slice(start);
  const unknown =
    /^[\s>]*(?:(?:[-+*_=~`#|:]+|\d{1,9}[.)]?) *)?(?:\[[ xX]?\]? *)?$/.test(line) || fenceStart.test(line);
  return unknown ? source.slice(0, start) : source;
}

const fenceStart = /^[\s>]*(?:`{3}|~{3})/;

/** Whether the text ends inside a block of code, as of a list item: there is nothing to close in it. */
function endsInCode(source: string): boolean {
  return source.split("\n").filter((line) => fenceStart.test(line)).length % 2 === 1;
}

/** Where the last formula on lines of its own ended, and where one began that has not: its lines may look like others. */
function displayMath(source: string): { ended: number; begun: number | undefined } {
  let ended = 0;
  const start = /^[\s\S]*\n[ \t]*\n/.exec(source)?.[0].length ?? 0;
  for (const { index, 0: indent } of source.slice(start).matchAll(/^[ \t>]*(?=\$\$|\\\[)/gm)) {
    const at = start + index + indent.length;
    if (at < ended) continue;
    const rest = source.slice(at);
    const formula = formulaAt(rest);
    if (formula !== undefined) ended = at + formula.raw.length;
    else if (mayBecomeFormula(rest) && !endsInCode(source.slice(0, at)))
      return { ended, begun: start + index };
  }
  return { ended, begun: undefined };
}

/** A table is known to be one by its second line; until then it would show as text full of pipes. */
function withholdTable(source: string): string {
  const lines = source.split("\n");
  const isRow = (line: string, i: number) =>
    /^ {0,3}\|/.test(line) || (line === "" && i === lines.length - 1);
  const rows = lines.slice(lines.findLastIndex((line, i) => !isRow(line, i)) + 1);
  return rows.length > 2 ? source : source.slice(0, source.length - rows.join("\n").length);
}

/** Where the text begins in which inline marks can still be open: marks never cross a block, item or cell. */
function lastRun(source: string): number {
  const line = source.lastIndexOf("\n") + 1;
  if (source.startsWith("|", line)) return Math.max(line, source.lastIndexOf("|", source.length - 2)) + 1;
  const blocks = /\n[ \t]*\n|(?:^|\n)[ \t>]*(?:(?:[-+*]|\d{1,9}[.)]|#{1,6})[ \t]|(?:`{3}|~{3})[^\n]*\n)/g;
  let start = 0;
  for (const block of source.matchAll(blocks)) start = block.index + block[0].length;
  return start;
}

// A link, also one around a picture, is held back until it is one, but its text may show once an address of the web has begun.
const unfinishedLink =
  /^(?:!\[[^\]\n]*\]\([^()\s]*\))?[^\]\n]*(?:\](?:\((?:[^()\s]|\([^()\s]*\))*(?:\([^()\s]*)?(?:\s+(?:["'][^"']*["']?)?)?)?)?$/;
const addressBegun = /\]\((?:https?:|mailto:).*$/s;
// Longer than the text of a link tends to be; what is longer is an aside, and is not waited for.
const linkTextCharsMost = 60;
// Longer than a link is from its bracket to its end; what is longer is not looked through for every bracket.
const linkCharsMost = 2_000;
const pairs = /(\$\$?|\\[([])|\\[\s\S]|(`+)|(\*+|_+|~~)|!?\[/g;

/** Closes code, emphasis and strike-through, and holds back or closes a link or a formula that is still being written. */
function closeInline(source: string): string {
  // A tag, a mark or an escape that the text ends in may be half of something.
  let text = source.replace(
    /(?:<\/?(?:[a-zA-Z][^\s<>]*)? ?\/?|(?:(?<=\\[*_~])|(?<![\\*_~]))[*_~]+|\\|!)$/,
    "",
  );
  const open: string[] = [];
  pairs.lastIndex = 0;
  for (let found = pairs.exec(text); found !== null; found = pairs.exec(text)) {
    const [mark, math, ticks, emphasis] = found;
    const end = found.index + mark.length;
    if (math !== undefined) {
      const rest = text.slice(found.index);
      const before = text[found.index - 1];
      const formula = formulaAt(rest, before);
      // What follows a dollar at the end of the text may be a digit, with which it is that of a price.
      const isSure = formula !== undefined && (formula.raw !== rest || !math.startsWith("$"));
      if (isSure) pairs.lastIndex = found.index + formula.raw.length;
      else if (mayBecomeFormula(rest, before)) return closedBefore(text.slice(0, found.index), open);
    } else if (ticks !== undefined) {
      const close = closingTicks(text, ticks, end);
      if (close === -1) {
        return text.trimEnd().replace(/ *`+$/, "") + (end < text.length ? ticks : "") + closers(open);
      }
      pairs.lastIndex = close;
    } else if (emphasis !== undefined) {
      note(open, emphasis, text[found.index - 1] ?? " ", text[end] ?? " ");
    } else if (mark.endsWith("[")) {
      const rest = text.slice(end);
      if (rest.length > linkCharsMost || !unfinishedLink.test(rest)) continue;
      if (addressBegun.test(rest)) text = text.slice(0, found.index) + rest.replace(addressBegun, "");
      else if (rest.includes("]") || rest.length <= linkTextCharsMost) text = text.slice(0, found.index);
      else continue;
      pairs.lastIndex = found.index;
    }
  }
  return text.trimEnd() + closers(open);
}

/** The end of the run of backticks that closes a code span, or -1. */
function closingTicks(text: string, ticks: string, from: number): number {
  for (const run of text.slice(from).matchAll(/`+/g)) {
    if (run[0].length === ticks.length) return from + run.index + run[0].length;
  }
  return -1;
}

/** Keeps the stack of open marks, by the flanking rules of CommonMark (section 6.2) as far as they matter here. */
function note(open: string[], mark: string, before: string, after: string) {
  const canClose = !/\s/.test(before);
  const last = open.lastIndexOf(mark);
  if (canClose && last !== -1) open.length = last;
  else if (!/\s/.test(after) && !(mark.startsWith("_") && /\w/.test(before))) open.push(mark);
}

/** What comes before something held back, without marks that would be around nothing. */
function closedBefore(text: string, open: string[]): string {
  let known = text.trimEnd();
  for (let mark = open.at(-1); mark !== undefined && known.endsWith(mark); mark = open.at(-1)) {
    known = known.slice(0, -mark.length).trimEnd();
    open.pop();
  }
  return known + closers(open);
}

function closers(open: string[]): string {
  return open.toReversed().join("");
}
