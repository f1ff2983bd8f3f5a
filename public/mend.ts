// Completing Markdown that is still being written, so that what shows only ever grows: what is open is closed,
// and what may yet turn out to be markup is held back until it is known. Only the last block needs it.

/** The same Markdown, fit to be rendered now. */
export function mend(source: string): string {
  const known = withholdMarkers(source);
  if (endsInCode(known)) return known;
  const whole = withholdTable(known);
  const start = lastRun(whole);
  return whole.slice(0, start) + closeInline(whole.slice(start));
}

/** A last line of markers alone may become a fence, a list item, a rule or an underlined heading. */
function withholdMarkers(source: string): string {
  const start = source.lastIndexOf("\n") + 1;
  const line = source.slice(start);
  const unknown = /^[\s>]*(?:[-+*_=~`#|:]+|\d{1,9}[.)]?)? *$/.test(line) || fenceStart.test(line);
  return unknown ? source.slice(0, start) : source;
}

const fenceStart = /^[\s>]*(?:`{3}|~{3})/;

/** Whether the text ends inside a block of code, as of a list item: there is nothing to close in it. */
function endsInCode(source: string): boolean {
  return source.split("\n").filter((line) => fenceStart.test(line)).length % 2 === 1;
}

/** A table is known to be one by its second line; until then it would show as text full of pipes. */
function withholdTable(source: string): string {
  const rows = /(?:^|\n)((?: {0,3}\|[^\n]*(?:\n|$))+)$/.exec(source)?.[1] ?? "";
  return rows.split("\n").length > 2 ? source : source.slice(0, source.length - rows.length);
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

const unfinishedLink = /^[^\]\n]*(?:\](?:\((?:[^()\s]|\([^()]*\)?)*(?:\s[^)]*)?)?)?$/;
const pairs = /\\[\s\S]|(`+)|(\*+|_+|~~)|!?\[/g;

/** Closes code, emphasis and strike-through, and shows a link that is still being written as its text. */
function closeInline(source: string): string {
  // A tag, a mark or an escape that the text ends in may be half of something.
  let text = source.replace(/(?:<\/?[a-zA-Z]{0,4} ?\/?|(?<!\\)[*_~]+|\\|!)$/, "");
  const open: string[] = [];
  pairs.lastIndex = 0;
  for (let found = pairs.exec(text); found !== null; found = pairs.exec(text)) {
    const [mark, ticks, emphasis] = found;
    const end = found.index + mark.length;
    if (ticks !== undefined) {
      const close = closingTicks(text, ticks, end);
      if (close === -1) {
        return text.trimEnd().replace(/ *`+$/, "") + (end < text.length ? ticks : "") + closers(open);
      }
      pairs.lastIndex = close;
    } else if (emphasis !== undefined) {
      note(open, emphasis, text[found.index - 1] ?? " ", text[end] ?? " ");
    } else if (mark.endsWith("[")) {
      const rest = text.slice(end);
      // What is counted or indexed is more often meant as it stands: a[0], as shown in [2].
      if (unfinishedLink.test(rest) && !/\w$/.test(text.slice(0, found.index)) && !/^\d/.test(rest)) {
        text = text.slice(0, found.index) + rest.replace(/\](?:\(.*)?$/s, "");
        pairs.lastIndex = found.index;
      }
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

function closers(open: string[]): string {
  return open.toReversed().join("");
}
