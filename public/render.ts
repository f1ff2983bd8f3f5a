// From Markdown's tokens to DOM. What a model writes is hostile input, so none of it ever becomes HTML: every element
// is made here by its name, a link leads to the web or to mail, and nothing loads, styles or submits.

import type { MarkedToken, Token, Tokens } from "marked";
import { codeBlock, segmentsOf } from "./code.ts";
import { element } from "./element.ts";
import { decoded } from "./entities.ts";
import { formulaPlace } from "./formula.ts";
import { highlight } from "./highlight.ts";
import { languageOf } from "./lexer.ts";
import { finishLink, isPlain } from "./links.ts";
import type { FormulaToken } from "./math.ts";

// The HTML that Markdown has no marks for, and that a model may mean as such.
const harmless = /^<(\/?)(br|del|ins|kbd|mark|s|sub|sup|u) *\/?>$/i;
const leads = /^(?:https?:\/\/|mailto:)/i;

// What is nested more deeply would slow down every frame of the page from then on.
const depthMost = 60;

type Known = MarkedToken | FormulaToken;

/**
 * Safe nodes for these blocks, which are `final` if they are never to be rendered again. `firstHeading` is the depth
 * of the answer's first heading, which is shown as `h3`.
 */
export function render(blocks: Token[], firstHeading: number, final = true): DocumentFragment {
  const fragment = document.createDocumentFragment();
  new Renderer(4 - firstHeading, final).blocks(fragment, blocks, 0);
  return fragment;
}

class Renderer {
  /** `headingBase` is the level that a `#` becomes: the page has the first two, and none may be skipped. */
  constructor(
    private readonly headingBase: number,
    private readonly final: boolean,
  ) {}

  blocks(parent: ParentNode, tokens: Token[], depth: number) {
    for (const [index, token] of tokens.entries()) {
      if (token.type === "text" && tokens[index - 1]?.type === "text") parent.append("\n");
      this.#block(parent, token as Known, depth + 1);
    }
  }

  #block(parent: ParentNode, token: Known, depth: number) {
    if (depth > depthMost) return parent.append(token.raw);
    switch (token.type) {
      case "paragraph":
        return this.#inline(add(parent, "p"), token.tokens, depth);
      case "text":
        return this.#inline(parent, token.tokens ?? [token], depth);
      case "heading": {
        const level = Math.min(Math.max(this.headingBase + token.depth - 1, 3), 6) as 3 | 4 | 5 | 6;
        return this.#inline(add(parent, `h${level}`), token.tokens, depth);
      }
      case "code":
        return this.#code(parent, token);
      case "blockquote":
        return this.blocks(add(parent, "blockquote"), token.tokens, depth);
      case "list":
        return this.#list(parent, token, depth);
      case "table":
        return this.#table(parent, token, depth);
      case "hr":
        return add(parent, "hr");
      case "html":
        return this.#html(parent, token);
      case "checkbox":
        return parent.append(token.checked ? "☑ " : "☐ ");
      case "formulaBlock":
        return parent.append(formulaPlace({ raw: token.raw.trim(), display: token.display }));
    }
  }

  #code(parent: ParentNode, { text, lang = "" }: Tokens.Code) {
    const language = languageOf(lang);
    const block = codeBlock(language);
    block.code.append(...segmentsOf(text));
    parent.append(block.element);
    if (this.final) highlight(block.code, language);
  }

  #list(parent: ParentNode, { ordered, start, items }: Tokens.List, depth: number) {
    const list = ordered
      ? add(parent, "ol", { start: start === 1 ? undefined : String(start) })
      : add(parent, "ul");
    for (const item of items) this.blocks(add(list, "li"), item.tokens, depth + 1);
  }

  #table(parent: ParentNode, { header, rows }: Tokens.Table, depth: number) {
    const table = add(add(parent, "div", { class: "table", tabindex: "0" }), "table");
    const head = add(add(table, "thead"), "tr");
    for (const cell of header) this.#cell(head, "th", cell, depth);
    if (rows.length === 0) return;
    const body = add(table, "tbody");
    for (const cells of rows) {
      const row = add(body, "tr");
      for (const cell of cells) this.#cell(row, "td", cell, depth);
    }
  }

  #cell(row: ParentNode, tag: "th" | "td", { tokens, align }: Tokens.TableCell, depth: number) {
    this.#inline(add(row, tag, { align: align ?? undefined }), tokens, depth);
  }

  /** Shown as what was written, so that a tag that is the subject of an answer does not vanish from it. */
  #html(parent: ParentNode, { text }: Tokens.HTML | Tokens.Tag) {
    if (!harmless.test(text.trim())) add(parent, "p").append(text.trim());
  }

  #inline(parent: ParentNode, tokens: Token[], depth: number) {
    const open: HTMLElement[] = [];
    for (const token of tokens as Known[]) {
      const place = open.at(-1) ?? parent;
      const within = depth + open.length + 1;
      if (within > depthMost) place.append(token.raw);
      else if (token.type === "html") this.#tag(place, open, token);
      else this.#span(place, token, within);
    }
  }

  /** A tag that opens stays open until its own closes, or the text ends. */
  #tag(place: ParentNode, open: HTMLElement[], { text }: Tokens.HTML | Tokens.Tag) {
    const [, slash, name] = harmless.exec(text) ?? [];
    if (name === undefined) return place.append(text);
    const tag = name.toLowerCase() as "br" | "kbd";
    if (tag === "br") return add(place, tag);
    if (slash === "") return open.push(add(place, tag));
    const opened = open.findLastIndex((node) => node.localName === tag);
    if (opened !== -1) open.length = opened;
  }

  #span(parent: ParentNode, token: Known, depth: number) {
    switch (token.type) {
      case "text":
        return parent.append(decoded(token.text));
      case "escape":
        return parent.append(token.text);
      case "strong":
      case "em":
      case "del":
        return this.#inline(add(parent, token.type), token.tokens, depth);
      case "codespan":
        return add(parent, "code").append(token.text);
      case "br":
        return add(parent, "br");
      case "link":
        return this.#link(parent, token, depth);
      // A picture would tell its host that this visitor is reading, so a link with its text stands for it.
      case "image":
        return this.#anchor(parent, token.href, (link) => link.append(decoded(token.text || token.href)));
      case "checkbox":
        return parent.append(token.checked ? "☑ " : "☐ ");
      case "formula":
        return parent.append(formulaPlace(token));
    }
  }

  #link(parent: ParentNode, { raw, text, href, tokens }: Tokens.Link, depth: number) {
    // A bare address that is still being written would change what it says of its host with every letter.
    if (raw === text && !isPlain(text) && !href.startsWith("mailto:")) return parent.append(text);
    // A link cannot be in a link.
    for (const token of tokens) if (token.type === "image") token.type = "text";
    this.#anchor(parent, href, (link) => this.#inline(link, tokens, depth));
  }

  #anchor(parent: ParentNode, href: string, fill: (link: HTMLAnchorElement) => void) {
    const address = addressOf(decoded(href));
    const link = add(parent, "a", { href: leads.test(address) ? address : undefined });
    fill(link);
    if (link.hasAttribute("href")) finishLink(link);
  }
}

/** With what cannot stand in an address percent-encoded, as CommonMark has it; empty where that cannot be done. */
function addressOf(href: string): string {
  try {
    return encodeURI(href).replace(/%25/g, "%");
  } catch {
    return "";
  }
}

function add<Tag extends keyof HTMLElementTagNameMap>(
  parent: ParentNode,
  tag: Tag,
  attributes: Record<string, string | undefined> = {},
): HTMLElementTagNameMap[Tag] {
  const made = element(tag, attributes);
  parent.append(made);
  return made;
}
