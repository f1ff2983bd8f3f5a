// Tells thinking from answering: deltas go in, pieces of reasoning and text come out that PostgreSQL can
// store, none of them beginning or ending inside a character.

export type Kind = "reasoning" | "text";

const opening = "<think>";
const closing = "</think>";

/** Is given the pieces. */
export type Pieces = { append(kind: Kind, text: string): void };

/**
 * One answer. Some models think inside `<think>…</think>` in front of the text; anywhere else the tag is text.
 * The blanks around the tags are dropped, so that an empty thought leaves no reasoning at all.
 */
export class Splitter {
  /** Whether anything has come out yet: from then on the answer has begun for its readers. */
  appended = false;
  readonly #to: Pieces;
  #state: "start" | "thinking" | "answering" = "start";
  #blank = false; // right after a tag: blanks are dropped until something else comes
  #held = ""; // what may yet become a tag
  #halves: Record<Kind, string> | undefined; // surrogates whose other halves are still to come

  constructor(to: Pieces) {
    this.#to = to;
  }

  reasoning(delta: string): void {
    this.#emit("reasoning", delta);
  }

  text(delta: string): void {
    if (this.#blank) {
      delta = delta.trimStart();
      if (delta === "") return;
      this.#blank = false;
    }
    if (this.#state === "answering") this.#emit("text", delta);
    else if (this.#state === "thinking") this.#think(this.#held + delta);
    else this.#start(this.#held + delta);
  }

  /** No more will come: what was held back for a tag or a second half goes out as it is. */
  end(): void {
    this.#emit(this.#state === "thinking" ? "reasoning" : "text", this.#held);
    this.#held = "";
    for (const kind of ["reasoning", "text"] as const)
      if (this.#halves?.[kind]) this.#to.append(kind, "\uFFFD");
    this.#halves = undefined;
  }

  #start(text: string): void {
    const said = text.trimStart();
    if (said.startsWith(opening)) this.#enter("thinking", said.slice(opening.length));
    else if (opening.startsWith(said)) this.#held = text;
    else {
      this.#held = "";
      this.#state = "answering";
      this.#emit("text", text);
    }
  }

  #think(text: string): void {
    const end = text.indexOf(closing);
    if (end !== -1) {
      this.#emit("reasoning", text.slice(0, end));
      this.#enter("answering", text.slice(end + closing.length));
      return;
    }
    // The tag has one "<", at its front, so only the last "<" can begin it.
    const last = text.lastIndexOf("<");
    const keep = last !== -1 && closing.startsWith(text.slice(last)) ? last : text.length;
    this.#emit("reasoning", text.slice(0, keep));
    this.#held = text.slice(keep);
  }

  #enter(state: "thinking" | "answering", rest: string): void {
    this.#held = "";
    this.#state = state;
    this.#blank = true;
    this.text(rest);
  }

  #emit(kind: Kind, text: string): void {
    if (this.#halves) {
      text = this.#halves[kind] + text;
      this.#halves[kind] = "";
    }
    if ((text.charCodeAt(text.length - 1) & 0xfc00) === 0xd800) {
      this.#halves ??= { reasoning: "", text: "" };
      this.#halves[kind] = text.slice(-1);
      text = text.slice(0, -1);
    }
    if (text === "") return;
    this.appended = true;
    this.#to.append(kind, isSurelyStorable(text) ? text : text.toWellFormed().replaceAll("\0", "\uFFFD"));
  }
}

/** jsonb takes neither half a character nor U+0000. Most text has no surrogate at all, and looking is cheaper than replacing. */
function isSurelyStorable(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === 0 || (unit & 0xf800) === 0xd800) return false;
  }
  return true;
}
