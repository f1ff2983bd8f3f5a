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

/** Without a last line of markers alone, which may become a fence, a list item, a rule or an underlined heading. */
export function withholdMarkers(source: string): string {
  const start = source.lastIndexOf("\n") + 1;
  const line = source.slice(start);
  const unknown =
    /^[\s>]*(?:[-+*_=~`#|:]+|\d{1,9}[.)]?)? *(?:\[[ xX]?\]? *)?$/.test(line) || fenceStart.test(line);
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

// A link is held back until it is one, but its text may show once an address of the web has begun.
const unfinishedLink =
  /^[^\]\n]*(?:\](?:\((?:[^()\s]|\([^()\s]*\))*(?:\([^()\s]*)?(?:\s+(?:["'][^"']*["']?)?)?)?)?$/;
const addressBegun = /\]\((?:https?:|mailto:).*$/s;
// Longer than the text of a link tends to be; what is longer is an aside, and is not waited for.
const linkTextCharsMost = 60;
const pairs = /\\[\s\S]|(`+)|(\*+|_+|~~)|!?\[/g;

/** Closes code, emphasis and strike-through, and holds back or closes a link that is still being written. */
function closeInline(source: string): string {
  // A tag, a mark or an escape that the text ends in may be half of something.
  let text = source.replace(/(?:<\/?(?:[a-zA-Z][^\s<>]*)? ?\/?|(?<!\\)[*_~]+|\\|!)$/, "");
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
      if (!unfinishedLink.test(rest)) continue;
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

function closers(open: string[]): string {
  return open.toReversed().join("");
}
