// One module of the page in a real browser, on an empty page without any policy: what it does, it does alone.
import { join } from "node:path";
import type { Markdown } from "../public/markdown.ts";
import english from "../public/strings/en.json";
import { browser, page, type Window } from "./browser.ts";
import { repository } from "./support.ts";

/** What the server would have written into the page. */
const settings = { strings: english.page };

/** What is at hand there as `modules`. */
export type Modules = { Markdown: typeof Markdown };

/** An empty page on which one of the page's modules is at hand, as `modules`. */
export async function withModule(name: string, window: Window = {}) {
  const { outputs } = await Bun.build({ entrypoints: [join(repository, "public", name)], target: "browser" });
  const source = Buffer.from((await outputs[0]?.text()) ?? "").toString("base64");
  const opened = await page(await browser(), window);
  await opened.setContent(`<script type="application/json" id="page">${JSON.stringify(settings)}</script>`);
  await opened.evaluate(async (source) => {
    Object.assign(globalThis, { modules: await import(`data:text/javascript;base64,${source}`) });
  }, source);
  return opened;
}
