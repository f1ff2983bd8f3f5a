// Code in colours, in a real browser: loaded when an answer has code, the text untouched, readable in every theme.
import { beforeAll, describe, expect, test } from "bun:test";
import type { Page } from "playwright-core";
import { known } from "../public/highlight.ts";
import type { colour } from "../public/highlighter.ts";
import { openChat, violations } from "./chat.ts";
import { answer } from "./model.ts";
import { withModule } from "./module.ts";
import { type Site, startSite } from "./site.ts";
import { until } from "./support.ts";

declare const modules: { colour: typeof colour };

let site: Site;
beforeAll(async () => {
  site = await startSite();
});

const fenced = (language: string, code: string) => `\`\`\`${language}\n${code}\n\`\`\``;
/** The scripts that the page has asked for since. */
const scriptsOf = (page: Page) => {
  const names: string[] = [];
  page.on("request", (request) => {
    const name = /assets\/(\w+)-\w+\.js$/.exec(request.url())?.[1];
    if (name !== undefined) names.push(name);
  });
  return names;
};
const coloured = (page: Page) => page.locator(".code [class^=code-]:not(.code-bar)");

async function answered(text: string) {
  const chat = await openChat(site.url);
  const scripts = scriptsOf(chat.page);
  site.model.next(answer(text));
  await chat.ask("Show me");
  await chat.idle();
  return { ...chat, scripts };
}

const script = `// Says hello.
export async function hello(name: string): Promise<void> {
  const words = ["Hello", \`dear \${name}\`, 42, /x+/g];
  /* and
     goodbye */
  await say(words, { loud: true });
}`;

describe("code", () => {
  test("gets its colours, and its text stays as it is, also when it is copied", async () => {
    const chat = await answered(`Like so:\n\n${fenced("ts", script)}\n\nDone.`);
    await coloured(chat.page).first().waitFor();
    const code = chat.page.locator(".code code");
    expect(await code.textContent()).toBe(script);
    expect(await code.getAttribute("aria-live")).toBe("off");
    const told = await coloured(chat.page).evaluateAll((spans) =>
      spans.map((span) => `${span.className} ${span.textContent}`),
    );
    expect(told).toEqual(
      expect.arrayContaining([
        "code-comment // Says hello.",
        "code-keyword async",
        "code-name hello",
        'code-string "Hello"',
        "code-number 42",
        "code-comment /* and\n     goodbye */",
      ]),
    );
    await chat.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await chat.button("Copy code").click();
    expect(await chat.page.evaluate(() => navigator.clipboard.readText())).toBe(script);
    expect(chat.scripts).not.toContain("grammars");
    expect(await violations(chat.page)).toEqual([]);
  });

  test("gets them when a block is closed, once, and not while it is being written", async () => {
    const chat = await openChat(site.url);
    const lines = Array.from({ length: 120 }, (_, i) => `let line${i} = ${i};\n`);
    const { release, releaseAll } = site.hold([
      { text: `\`\`\`js\n${lines.slice(0, 60).join("")}` },
      { text: lines.slice(60).join("") },
      { text: "```\n\nAnd" },
      { text: " so on." },
    ]);
    const code = chat.page.locator(".code code");
    const shows = (line: number) =>
      until(async () => (await code.textContent())?.endsWith(`line${line} = ${line};\n`), "it is shown");
    await chat.ask("Count");
    await shows(59);
    release();
    await shows(119);
    expect(await coloured(chat.page).count()).toBe(0);
    await code.evaluate((code) => {
      const added: string[] = [];
      Object.assign(globalThis, { added });
      new MutationObserver((changes) => {
        for (const { addedNodes } of changes)
          added.push(...[...addedNodes].map((node) => node.textContent ?? ""));
      }).observe(code, { childList: true, subtree: true });
    });
    release();
    await until(async () => (await coloured(chat.page).count()) === 240, "all of it is coloured");
    releaseAll();
    await chat.idle();
    const added = await chat.page.evaluate(() =>
      (globalThis as unknown as { added: string[] }).added.join(""),
    );
    expect(added).toBe(lines.join("").trimEnd());
  });

  test("in a language that is asked for less brings its grammar along", async () => {
    const chat = await answered(fenced("rust", 'fn main() { println!("hi"); }'));
    await coloured(chat.page).first().waitFor();
    expect(chat.scripts).toEqual(expect.arrayContaining(["highlighter", "grammars"]));
  });

  test.each([
    ["none at all", "Just **words** and `code` in them."],
    ["a language unknown", fenced("klingon", "let x = 1")],
    ["no language", fenced("", "let x = 1")],
    ["more than anybody reads", fenced("js", "let x = 1;\n".repeat(5_000))],
    ["a line that was written by a program", fenced("js", "let x=1;".repeat(300))],
  ])("of which there is %s asks for nothing", async (_, text) => {
    const chat = await answered(text);
    expect(chat.scripts.filter((name) => /highlighter|grammars|typeset/.test(name))).toEqual([]);
    expect(await coloured(chat.page).count()).toBe(0);
  });

  test("stays plain where the colours cannot be loaded", async () => {
    const chat = await openChat(site.url, { expected: [/ERR_FAILED/] });
    const refused = chat.page.waitForEvent("requestfailed", (request) =>
      request.url().includes("highlighter"),
    );
    await chat.page.route("**/highlighter-*", (route) => route.abort());
    site.model.next(answer(fenced("ts", script)));
    await chat.ask("Show me");
    await refused;
    await chat.idle();
    expect(await chat.page.locator(".code code").textContent()).toBe(script);
  });

  test("has a grammar for each language that it is said to have", async () => {
    const window = await withModule("highlighter.ts");
    const failed = await window.evaluate(async (known) => {
      const failed: string[] = [];
      const code = document.createElement("code");
      code.textContent = "x";
      for (const name of known)
        await modules
          .colour(code, name)
          .then((steps) => steps.next())
          .catch(() => failed.push(name));
      return failed;
    }, known);
    expect(failed).toEqual([]);
  });
});

describe("the colours of code", () => {
  const all = [fenced("ts", script), fenced("diff", "-old\n+new"), fenced("css", "a { color: red }")].join(
    "\n\n",
  );
  const names = ["added", "comment", "keyword", "name", "number", "removed", "string"];

  test.each(["light", "dark"] as const)("can be read in the %s theme", async (colorScheme) => {
    const chat = await openChat(site.url);
    await chat.page.emulateMedia({ colorScheme });
    site.model.next(answer(all));
    await chat.ask("Show me");
    await until(async () => (await coloured(chat.page).count()) > 20, "it is coloured");
    const ratios = await chat.page.evaluate(() => {
      const light = (colour: string) => {
        const [r = 0, g = 0, b = 0] = (colour.match(/[\d.]+/g) ?? []).map(Number).map((part) => {
          const share = part / 255;
          return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
      };
      const block = document.querySelector(".code") as Element;
      const ground = light(getComputedStyle(block).backgroundColor);
      const plain = getComputedStyle(block.querySelector("code") as Element).color;
      return [...document.querySelectorAll("[class^=code-]:not(.code-bar)")].map((span) => {
        const colour = getComputedStyle(span).color;
        const ink = light(colour);
        return [span.className, Math.max(ink, ground) / Math.min(ink, ground), colour !== plain] as const;
      });
    });
    expect([...new Set(ratios.map(([name]) => name.slice(5)))].sort()).toEqual(names);
    expect(ratios.filter(([, ratio, differs]) => ratio < 4.5 || !differs)).toEqual([]);
  });

  test("give way to those that a visitor forces", async () => {
    const chat = await openChat(site.url);
    await chat.page.emulateMedia({ forcedColors: "active" });
    site.model.next(answer(all));
    await chat.ask("Show me");
    await until(async () => (await coloured(chat.page).count()) > 20, "it is coloured");
    const colours = await chat.page
      .locator(".code code, .code code span")
      .evaluateAll((nodes) => [...new Set(nodes.map((node) => getComputedStyle(node).color))]);
    expect(colours).toHaveLength(1);
  });
});
