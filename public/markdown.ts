// An answer's Markdown while it grows. Blocks that can no longer change are rendered once and never looked at
// again; only the last one is rendered anew, so the work for a chunk does not grow with the answer.

import type { Token, Tokens } from "marked";
import { Fence } from "./code.ts";
import { element } from "./element.ts";
import { languageOf, lex } from "./lexer.ts";
import { mend, withhold } from "./mend.ts";
import { render } from "./render.ts";

// A list is one block however long it gets; beyond this length its finished items are taken off it.
const listCharsMost = 2_000;

// Of Unicode's marks of direction those that override or enclose: what they turn around could be a link's host.
const turning = /[\u202a-\u202e\u2066-\u2069]/g;

export class Markdown {
  readonly element = element("div", { class: "markdown", dir: "auto" });
  #source = "";
  #fresh = ""; // received, not yet rendered
  #open = ""; // the source of the last block
  #tail: ChildNode[] = []; // what the last block was rendered to
  #fence: Fence | undefined;
  #firstHeading = 0;
  #hasReferences = false;

  append(text: string) {
    const unified = text.replaceAll("\r\n", "\n").replaceAll("\r", "\n").replace(turning, "");
    this.#source += unified;
    this.#fresh += unified;
  }

  get source(): string {
    return this.#source;
  }

  /** Shows what has been appended since the last time. */
  render() {
    const fresh = this.#fresh;
    this.#fresh = "";
    if (this.#fence === undefined) {
      this.#open += fresh;
    } else {
      const rest = this.#fence.take(fresh);
      if (rest === undefined) return;
      this.#fence = undefined;
      this.#open = rest;
    }
    this.#clearTail();
    this.#seal();
    if (this.#fence === undefined) this.#showTail(mend(this.#open), false);
  }

  /** Nothing will follow: what was held back as unfinished markup is shown as what it is. */
  end() {
    this.render();
    if (this.#hasReferences) {
      // A link may have been written before the address it refers to.
      this.element.replaceChildren(this.#nodes(lex(this.#source)));
    } else if (this.#fence === undefined) {
      this.#clearTail();
      this.#showTail(this.#open, true);
    } else {
      this.#fence.end();
    }
  }

  /** Renders for good all but the last block of what is open. */
  #seal() {
    // The number of a list's next item would look like a paragraph, and so end the list.
    const blocks: Token[] = lex(withhold(this.#open));
    const last = blocks.findLastIndex((block) => block.type !== "space");
    if (last === -1) return;
    const finished = blocks.slice(0, last);
    this.#hasReferences ||= blocks.some((block) => block.type === "def");
    this.#open = this.#open.slice(finished.reduce((length, block) => length + block.raw.length, 0));

    const fence = /^ {0,3}(`{3,}|~{3,})([^\n]*)\n/.exec(this.#open);
    const block = blocks[last] as Token;
    if (block.type === "list") this.#cutList(block as Tokens.List, finished);
    if (finished.length > 0) this.element.append(this.#nodes(finished));
    if (fence === null || block.type !== "code") return;

    const [opening, mark = "", info = ""] = fence;
    this.#fence = new Fence(mark, languageOf(info));
    this.element.append(this.#fence.element);
    const rest = this.#fence.take(this.#open.slice(opening.length));
    if (rest === undefined) return;
    this.#fence = undefined;
    this.#open = rest;
    this.#seal();
  }

  #cutList(list: Tokens.List, finished: Token[]) {
    if (list.raw.length < listCharsMost || list.items.length < 2) return;
    const items = list.items.slice(0, -1);
    const raw = items.map((item) => item.raw).join("");
    if (!this.#open.startsWith(raw)) return;
    finished.push({ ...list, raw, items });
    this.#open = this.#open.slice(raw.length);
  }

  #showTail(source: string, final: boolean) {
    const fragment = this.#nodes(lex(source), final);
    this.#tail = [...fragment.childNodes];
    this.element.append(fragment);
  }

  #clearTail() {
    for (const node of this.#tail) node.remove();
    this.#tail = [];
  }

  #nodes(blocks: Token[], final = true): DocumentFragment {
    if (this.#firstHeading === 0) {
      const heading = blocks.find((block) => block.type === "heading") as Tokens.Heading | undefined;
      this.#firstHeading = heading?.depth ?? 0;
    }
    return render(blocks, this.#firstHeading, final);
  }
}
