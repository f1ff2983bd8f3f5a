// The page's renderer of Markdown in a real browser, against text made at random of what it may not let through.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { intrudersIn, watch } from "./hostile/watch.ts";
import { type Modules, withModule } from "./module.ts";

declare const modules: Modules;

describe("the renderer", () => {
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
    const window = await withModule("markdown.ts");
    const seen = await watch(window);
    await window.evaluate(`globalThis.intrudersIn = ${intrudersIn}`);
    const check = (texts: string[]) =>
      window.evaluate(
        (texts) =>
          texts.filter((text) => {
            const markdown = new modules.Markdown();
            markdown.append(text);
            markdown.end();
            document.body.replaceChildren(...markdown.element.childNodes);
            return intrudersIn("body").length > 0;
          }),
        texts,
      );
    await fc.assert(
      fc.asyncProperty(fc.array(hostile, { minLength: 20, maxLength: 40 }), async (texts) => {
        expect(await check(texts)).toEqual([]);
      }),
      { numRuns: 60 },
    );
    expect(seen).toEqual([]);
  });
});
