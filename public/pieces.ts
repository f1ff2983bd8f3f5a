// What the highlighter says of code, which it says in HTML, as a list of pieces, each with one of our few colours.

/** `isApart`: nothing that is found in the code reaches over it. */
export type Piece = { text: string; colour: string | undefined; isApart: boolean };

// By the scopes of highlight.js, of which the first part counts (`title function_` is a title).
const scopes = {
  comment: "comment quote",
  keyword: "keyword literal meta operator selector-tag section tag built_in doctag bullet",
  name: "title name class function selector-class selector-id type link",
  number: "number symbol variable attr attribute property template-variable selector-attr selector-pseudo",
  string: "string regexp char code",
  added: "addition",
  removed: "deletion",
};
const colourOf = new Map(
  Object.entries(scopes).flatMap(([colour, names]) =>
    names.split(" ").map((name) => [name, colour] as const),
  ),
);

const entities: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', "#x27": "'" };

/** The HTML is never shown: whatever is in it, only its text can come of it. */
export function piecesOf(html: string): Piece[] {
  const pieces: Piece[] = [];
  const open: (string | undefined)[] = [];
  for (const [, scope, text] of html.matchAll(/<span class="([\w-]+)[^"]*">|<\/span>|([^<]+)/g)) {
    const colour = open.at(-1);
    if (text !== undefined) pieces.push({ text: plain(text), colour, isApart: open.length === 0 });
    // What is computed inside a string is code again; a scope without a colour has that of what it is in.
    else if (scope !== undefined) open.push(scope === "subst" ? undefined : (colourOf.get(scope) ?? colour));
    else open.pop();
  }
  return pieces;
}

function plain(text: string): string {
  return text.replace(/&([^;]*);/g, (_, name) => entities[name] ?? "");
}
