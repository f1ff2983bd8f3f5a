// The page's Markdown in a real browser: what shows only ever grows, and nothing gets past the allow-list.
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import fc from "fast-check";
import type { Markdown } from "../public/markdown.ts";
import type { lex, render } from "../public/sanitize.ts";
import { browser, page } from "./browser.ts";
import { repository } from "./support.ts";

// A block of code that grew is in segments, which look the same.
const segment = /<\/?span>/g;

type Modules = { Markdown: typeof Markdown; lex: typeof lex; render: typeof render };
declare const modules: Modules;

/** An empty page on which one of the page's modules is at hand, as `modules`. */
async function withModule(name: string) {
  const { outputs } = await Bun.build({ entrypoints: [join(repository, "public", name)], target: "browser" });
  const source = Buffer.from((await outputs[0]?.text()) ?? "").toString("base64");
  const window = await page(await browser());
  await window.evaluate(async (source) => {
    Object.assign(globalThis, { modules: await import(`data:text/javascript;base64,${source}`) });
  }, source);
  return window;
}

const samples = [
  "Sure, here is **how to install** it with a [link to the docs](https://example.com/docs) and `inline code`.",
  "***both*** and **bold with *nested* it** and _under_ and snake_case_name and 2 * 3 * 4 and ~~old~~ done",
  "A list:\n\n- **one** thing\n- two `x`\n  - nested *em*\n1. First **b**\n2. Second [l](http://x.y/z_(a))\n\nend",
  "Title\n\nPara text\nsecond line\n\n---\n\nMore `a **b` and ``x ` y`` end",
  "| a | b |\n|---|:-:|\n| **c** | `d` |\n| e [f](http://g.h) | h |\n\nafter",
  "Intro:\n\n| Plan | Price |\n| --- | --- |\n| Free | €0 |",
  "> quote **bold** and\n> more\n\nArray a[0] and [1] note [x][y] fine!\n\nWow! ![alt text](http://pic.example) done",
  "# Heading *one*\n\nText\n## Two\nafter\n\n```js\nconst a = `x`; // **no**\n```\n\n~~~\ntilde\n~~~\nbye",
  "Price is 5 * 3 = 15 and **total: `15 €`** ok. Use `**` to bold. C:\\dir\\*x* end",
  "Mail <me@x.yz> or see <https://example.com/a>, https://example.com/path?a=b_c_d&e=*f* ok.<br>x <u>y</u>",
  "About ~5 minutes, ~10 at most; H~2~O is a<b and c>d, x < y, Array<string>, </end> and <done",
  "An [aside] and [a longer aside, with words] here, f[x](y), [NOTE] (later), - [ ] none [x](see there) and [y] (z).",
  "1. **Bold:** text\n\n   para in item with **b**\n\n2. next\n\n   ```sh\n   ls -la *\n   ```\n3. last",
  '- [x] done\n- [ ] open\n\nSee [the _fine_ `docs`](https://example.com/a "title") and [mail](mailto:a@b.c).',
  "Это **важно**: _курсив_, `код` и [ссылка](https://пример.рф/a) — всё. 👩‍👩‍👧 🙂",
];

describe("an answer that grows", () => {
  test("never takes back what it has shown", async () => {
    const window = await withModule("markdown.ts");
    for (const sample of samples) {
      const broken = await window.evaluate((sample) => {
        const markdown = new modules.Markdown();
        const shown = () => markdown.element.textContent.replace(/\s+/g, "");
        const broken: string[] = [];
        let before = "";
        const compare = () => {
          if (!shown().startsWith(before)) broken.push(`${before.slice(-30)} → ${shown().slice(-30)}`);
          before = shown();
        };
        for (const character of sample) {
          markdown.append(character);
          markdown.render();
          compare();
        }
        markdown.end();
        compare();
        return broken;
      }, sample);
      expect([sample, broken]).toEqual([sample, []]);
    }
  });

  test("ends as if it had come at once, whatever pieces it comes in", async () => {
    const window = await withModule("markdown.ts");
    const text = samples.join("\n\n");
    const written = (pieces: string[]) =>
      window.evaluate((pieces) => {
        const markdown = new modules.Markdown();
        for (const piece of pieces) {
          markdown.append(piece);
          markdown.render();
        }
        markdown.end();
        return markdown.element.innerHTML;
      }, pieces);
    const atOnce = (await written([text])).replace(segment, "");
    const same = async (pieces: string[]) =>
      expect((await written(pieces)).replace(segment, "")).toBe(atOnce);
    await same([...text]);
    const cuts = fc.uniqueArray(fc.nat(text.length), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(cuts, async (cuts) => {
        const ends = [...cuts.toSorted((a, b) => a - b), text.length];
        await same(ends.map((end, i) => text.slice(ends[i - 1] ?? 0, end)));
      }),
      { numRuns: 50 },
    );
  });

  test("is shown in no time, however it is made to be slow", async () => {
    const window = await withModule("markdown.ts");
    const slow = [`[x](${"(aaaa".repeat(800)} b`, "[".repeat(4000), "*a".repeat(2000), "`a``".repeat(1000)];
    const tookMs = await window.evaluate((slow) => {
      const begun = performance.now();
      for (const text of slow) {
        const markdown = new modules.Markdown();
        markdown.append(text);
        markdown.render();
      }
      return performance.now() - begun;
    }, slow);
    expect(tookMs).toBeLessThan(3_000);
  });

  test("says what is left open at its end as what it is", async () => {
    const window = await withModule("markdown.ts");
    const ends = [
      "**bold",
      "a [link](https://exam",
      "`code",
      "- [",
      "| a | b",
      "```js\nlet x",
      "1",
      "<b",
      "![x",
    ];
    const shown = await window.evaluate(
      (ends) =>
        ends.map((text) => {
          const markdown = new modules.Markdown();
          markdown.append(text);
          markdown.render();
          markdown.end();
          return markdown.element.textContent.trim();
        }),
      ends,
    );
    expect(shown).toEqual([
      "**bold",
      "a [link](https://exam",
      "`code",
      "[",
      "| a | b",
      "jslet x",
      "1",
      "<b",
      "![x",
    ]);
  });
});

describe("the sanitizer", () => {
  const names =
    "a b br script img svg math style iframe form input p div table td mtext mglyph template noscript title".split(
      " ",
    );
  const attributes = [
    "onerror=ran()",
    "onload='ran()'",
    'style="background:url(//evil.example)"',
    "src=//evil.example/x",
    'srcset="//evil.example/x 2x"',
    'href="javascript:ran()"',
    "href='java&#x0a;script:ran()'",
    "href=data:text/html,x",
    "href=https://good.example",
    "xlink:href=//evil.example",
    "class=x",
    "id=log",
    "name=body",
    "data-language=x",
    "title='<img src=x onerror=ran()>'",
    "align=left",
    "is=x-y",
    "slot=x",
    "formaction=javascript:ran()",
  ];
  const name = fc.constantFrom(...names);
  const tag = fc.oneof(
    fc
      .tuple(name, fc.array(fc.constantFrom(...attributes), { maxLength: 3 }))
      .map((parts) => `<${parts.flat().join(" ")}>`),
    name.map((name) => `</${name}>`),
  );
  const markup = fc.constantFrom(
    ..."<!-- --> <![CDATA[ ]]> ` ``` ~~~ ** _ [x](javascript:ran()) ![x](//evil.example/p) [x] ]( | - # > \\ & &lt; \" ' <".split(
      " ",
    ),
    "\n",
    "\n\n",
    "    ",
    "|---|\n",
    "\n[x]: javascript:ran()\n",
    "\0",
  );
  const hostile = fc
    .array(fc.oneof(tag, markup, fc.string({ maxLength: 8 })), { minLength: 1, maxLength: 25 })
    .map((parts) => parts.join(""));

  test("lets nothing through but what it names, whatever is written", async () => {
    const window = await withModule("sanitize.ts");
    const elsewhere: string[] = [];
    await window.route(/^https?:/, (route) => {
      elsewhere.push(route.request().url());
      return route.abort();
    });
    const check = (texts: string[]) =>
      window.evaluate((texts) => {
        const harmless =
          "a,b,blockquote,br,code,del,div,em,h3,h4,h5,h6,hr,i,ins,kbd,li,mark,ol,p,pre,s,span,strong,sub,sup,table,tbody,td,th,thead,tr,u,ul";
        const allowed = ["align", "class", "dir", "href", "rel", "start", "tabindex", "target", "title"];
        const own = ["code", "code-bar", "table"];
        return texts.filter((text) => {
          document.body.replaceChildren(modules.render(modules.lex(text), 1));
          return [...document.body.querySelectorAll("*")].some((node) => {
            const href = node.getAttribute("href");
            return (
              !node.matches(harmless) ||
              node.getAttributeNames().some((name) => !allowed.includes(name)) ||
              (node.className !== "" && !own.includes(node.className)) ||
              (href !== null && !/^(https?:\/\/|mailto:)/i.test(href)) ||
              (href !== null && !/noopener/.test(node.getAttribute("rel") ?? ""))
            );
          });
        });
      }, texts);
    await window.evaluate(() =>
      Object.assign(globalThis, { ran: () => Object.assign(globalThis, { hasRun: true }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(hostile, { minLength: 20, maxLength: 40 }), async (texts) => {
        expect(await check(texts)).toEqual([]);
      }),
      { numRuns: 60 },
    );
    expect(await window.evaluate(() => "hasRun" in globalThis)).toBeFalse();
    expect(elsewhere).toEqual([]);
  });
});
