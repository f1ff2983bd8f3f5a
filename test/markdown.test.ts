// The page's Markdown in a real browser: what shows only ever grows, and no text makes the page slow.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Modules, withModule } from "./module.ts";

// A block of code that grew is in segments, which look the same.
const segment = /<\/?span>/g;

declare const modules: Modules;

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
  "[![badge](https://i.example/b.svg)](https://ci.example/x) and ![alt](https://a.example/p), https://p.example@q.example!",
  "[p.example](https://q.example) [q.example](https://q.example/a) www.q.example/b?c=d <https://p.example@q.example> end",
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
    const slow = [
      `[x](${"(aaaa".repeat(800)} b`,
      "[".repeat(4000),
      "*a".repeat(2000),
      "*a_".repeat(8000),
      "`a``".repeat(1000),
      `${" ".repeat(20_000)}x`,
      `${"*".repeat(10_000)}x`,
      `${"|a\n".repeat(2000)}x`,
    ];
    const tookMs = await window.evaluate((slow) => {
      const begun = performance.now();
      for (const text of slow) {
        const markdown = new modules.Markdown();
        markdown.append(text);
        markdown.render();
      }
      return performance.now() - begun;
    }, slow);
    expect(tookMs).toBeLessThan(10_000);
  });

  test("is never so deep that every frame of the page would take longer from then on", async () => {
    const window = await withModule("markdown.ts");
    const depths = await window.evaluate(
      (deep) =>
        deep.map((text) => {
          const markdown = new modules.Markdown();
          markdown.append(text);
          markdown.end();
          const depthOf = (node: Element | null): number =>
            node === null ? 0 : 1 + depthOf(node.parentElement);
          return Math.max(...[...markdown.element.querySelectorAll("*")].map(depthOf));
        }),
      ["<s><u>".repeat(300), "> ".repeat(200), "- ".repeat(20), "> ".repeat(9000)].map((deep) => `${deep}x`),
    );
    expect(depths).toEqual([61, 61, 41, 2]);
  });

  test("says of code what language it is in, and nothing else", async () => {
    const window = await withModule("markdown.ts");
    const languages = await window.evaluate(
      (languages) =>
        languages.map((language) => {
          const markdown = new modules.Markdown();
          markdown.append(`\`\`\`${language}\nx\n\`\`\``);
          markdown.end();
          return markdown.element.querySelector(".code-bar span")?.textContent;
        }),
      ["c++ title=x", 'html"><img>', "{.js}", "\u0300\u0301", "x".repeat(40), "objective-c", ""],
    );
    expect(languages).toEqual(["c++", "html", "", "", "x".repeat(30), "objective-c", ""]);
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
