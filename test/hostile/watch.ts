// The witness of what a page does: a script that ran, a request for another host, a window, a dialog, a new address.
import type { Page } from "playwright-core";

/** Watches all of the page's context from now on. What leaves for anywhere but `own` is stopped, and told. */
export async function watch(page: Page, own?: string): Promise<string[]> {
  const context = page.context();
  const seen: string[] = [];
  await context.exposeBinding("ran", () => void seen.push("a script ran"));
  await context.route(
    (url) => url.origin !== own,
    (route) => {
      seen.push(`a request for ${route.request().url()}`);
      return route.abort();
    },
  );
  context.on("page", () => seen.push("a window"));
  context.on("dialog", (dialog) => {
    seen.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("framenavigated", (frame) => {
    if (own === undefined || new URL(frame.url()).origin !== own) seen.push(`a page: ${frame.url()}`);
  });
  return seen;
}

/** What is in `place` (a selector) that may not be in an answer, with the page's own buttons for code left out. */
export function intruders(page: Page, place: string): Promise<string[]> {
  return page.evaluate(intrudersIn, place);
}

/** The same where the page is; it knows nothing from outside itself. */
export function intrudersIn(place: string): string[] {
  const elements =
    "a b blockquote br code del div em h3 h4 h5 h6 hr i ins kbd li mark ol p pre s small span strong sub sup table tbody td th thead tr u ul".split(
      " ",
    );
  const attributes = "align aria-live class dir href rel start tabindex target".split(" ");
  const colours = ["added", "comment", "keyword", "name", "number", "removed", "string"];
  const classes = [
    "",
    "code",
    "code-bar",
    "math",
    "math display",
    "table",
    ...colours.map((name) => `code-${name}`),
  ];
  const found: string[] = [];
  for (const node of document.querySelectorAll<HTMLElement>(`${place} *`)) {
    if (node.closest(".code-bar button") !== null) continue;
    // What a formula is drawn with (mathml.ts).
    if (node instanceof MathMLElement && node.closest(".math > math") !== null) {
      const names = node.getAttributeNames();
      if (names.some((name) => /^(id|on|src|xlink|href|action)/.test(name)))
        found.push(node.outerHTML.slice(0, 200));
      continue;
    }
    if (!elements.includes(node.localName) || node.namespaceURI !== document.body.namespaceURI)
      found.push(node.outerHTML.slice(0, 200));
    for (const { name, value } of node.attributes) {
      const isOurs = name !== "class" || classes.includes(value);
      if (!attributes.includes(name) || !isOurs) found.push(`${name}="${value}" on ${node.localName}`);
    }
    if (!(node instanceof HTMLAnchorElement) || !node.hasAttribute("href")) continue;
    const isLink = /^https?:$/.test(node.protocol) || (node.protocol === "mailto:" && node.search === "");
    const isApart = node.target === "_blank" && node.rel === "noopener noreferrer nofollow";
    if (!isLink || !isApart) found.push(node.outerHTML.slice(0, 200));
  }
  return found;
}

/** Where the page's own parts are, whether a finger would hit them, and what has been added that loads or asks. */
export function layout(page: Page) {
  return page.evaluate(() => {
    const places = ["header", "#scroller", "#composer", "#box"].map((part) => {
      const { x, width, bottom } = (document.querySelector(part) as Element).getBoundingClientRect();
      return [part, x, width, part === "header" ? bottom : innerHeight - bottom];
    });
    const box = document.querySelector("#box") as Element;
    const { left, top } = box.getBoundingClientRect();
    const isHit = document.elementFromPoint(left + 20, top + 10) === box;
    const { scrollWidth, scrollLeft } = document.documentElement;
    const loading = document.querySelectorAll("base, frame, iframe, img, link, meta, object, script, style");
    return { places, isHit, scrollWidth, scrollLeft, loading: loading.length };
  });
}
