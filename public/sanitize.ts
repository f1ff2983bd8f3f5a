// From Markdown to safe DOM. What a model writes is hostile input: only the elements and attributes named
// here come through, links only to the web and to mail, nothing that loads, styles or submits.

import createDOMPurify, { type Config } from "dompurify";
import { Marked, type Token, type TokensList } from "marked";
import { codeBlock } from "./code.ts";
import { element } from "./element.ts";

const marked = new Marked({ gfm: true, breaks: true });
const purify = createDOMPurify(window);

const tags =
  "a b blockquote br code del em h3 h4 h5 h6 hr i ins kbd li mark ol p pre s strong sub sup table tbody td th thead tr u ul";

// The HTML that Markdown has no marks for, and that a model may mean as such.
const harmless = /^<\/?(?:br|del|ins|kbd|mark|s|sub|sup|u) *\/?>$/i;

const allowed = {
  ALLOWED_TAGS: tags.split(" "),
  ALLOWED_ATTR: ["align", "data-language", "href", "start", "title"],
  ALLOW_ARIA_ATTR: false,
  ALLOW_DATA_ATTR: false,
  ALLOWED_URI_REGEXP: /^(?:https?:\/\/|mailto:)/i,
  ADD_URI_SAFE_ATTR: ["align", "data-language", "start", "title"],
} satisfies Config;

purify.addHook("afterSanitizeAttributes", (node) => {
  if (!node.hasAttribute("href")) return;
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer nofollow");
});

// Level of the heading that a `#` becomes. The page has the first two, and no level may be skipped.
let headingBase = 3;

marked.use({
  tokenizer: {
    // A single ~ stands for "about" far more often than for strike-through.
    del: (source) => (source.startsWith("~~") ? false : undefined),
  },
  renderer: {
    heading({ tokens, depth }) {
      const level = Math.min(Math.max(headingBase + depth - 1, 3), 6);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`;
    },
    // A picture would tell its host that this visitor is reading, so a link with its text stands for it.
    image({ href, text }) {
      return `<a href="${escaped(href)}">${escaped(text || href)}</a>`;
    },
    // Shown as what was written, so that a tag that is the subject of an answer does not vanish from it.
    html({ text, block }) {
      if (harmless.test(text)) return text;
      return block ? `<p>${escaped(text.trim())}</p>` : escaped(text);
    },
    checkbox({ checked }) {
      return checked ? "☑ " : "☐ ";
    },
    code({ text, lang = "" }) {
      return `<pre data-language="${escaped(languageOf(lang))}"><code>${escaped(text)}</code></pre>`;
    },
  },
});

export function lex(source: string): TokensList {
  return marked.lexer(source);
}

/** Safe nodes for these blocks. `firstHeading` is the depth of the answer's first heading, which is shown as `h3`. */
export function render(blocks: Token[], firstHeading: number): DocumentFragment {
  headingBase = 4 - firstHeading;
  const fragment = purify.sanitize(marked.parser(blocks), { ...allowed, RETURN_DOM_FRAGMENT: true });
  for (const code of fragment.querySelectorAll("pre")) {
    const block = codeBlock(code.dataset.language ?? "");
    block.code.append(code.textContent);
    code.replaceWith(block.element);
  }
  for (const table of fragment.querySelectorAll("table")) {
    const scroller = element("div", { class: "table", tabindex: "0" });
    table.replaceWith(scroller);
    scroller.append(table);
  }
  return fragment;
}

/** The first word after a fence: its language. */
export function languageOf(info: string): string {
  return info.trim().split(/\s/, 1)[0] ?? "";
}

function escaped(text: string): string {
  const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text.replace(/[&<>"]/g, (character) => entities[character] ?? "");
}
