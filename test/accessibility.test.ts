// axe finds nothing wrong with the chat in any of its states, light and dark, from a narrow phone to a desktop.
import { beforeAll, describe, expect, test } from "bun:test";
import type { Frame, Page } from "playwright-core";
import { browser, page } from "./browser.ts";
import { chatIn, openChat, violations } from "./chat.ts";
import { answer } from "./model.ts";
import { type Site, startSite } from "./site.ts";

const looks = [
  ["phone, light", 390, 844, "light"],
  ["phone, dark", 390, 844, "dark"],
  ["desktop, dark", 1280, 800, "dark"],
  ["narrow, light", 320, 640, "light"],
] as const;

const rich = `## Plans

Some **bold**, *emphasis*, ~~struck~~ and \`code\` with a [link](https://example.com) to a page.

1. First
2. Second
   - inner

> A quote

\`\`\`js
const line = "that is long enough to be wider than any phone is, and then some more of it";
\`\`\`

| Plan | Messages | Price of it | Whom it is for |
|:-----|:--------:|------:|---|
| Free | 100 | €0 | averyveryverylongwordthatdoesnotbreak |

### Averyveryverylongwordthatdoesnotbreakanywhereatallinaheading

- [x] done
- [ ] open`;

let site: Site;
beforeAll(async () => {
  site = await startSite();
});

/** Every violation in each size and theme, and whatever does not fit in the width. */
async function complaints(window: Page): Promise<string[]> {
  const found: string[] = [];
  for (const [name, width, height, colorScheme] of looks) {
    await window.setViewportSize({ width, height });
    await window.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    for (const frame of window.frames()) {
      const all = [...(await violations(frame)), ...(await tooWide(frame))];
      found.push(...all.map((complaint) => `${name}: ${complaint}`));
    }
  }
  return found;
}

function tooWide(frame: Frame): Promise<string[]> {
  return frame.evaluate(() =>
    [document.documentElement, ...document.querySelectorAll("#scroller")]
      .filter((node) => node.scrollWidth > node.clientWidth)
      .map((node) => `${node.id || node.localName} is ${node.scrollWidth} wide, not ${node.clientWidth}`),
  );
}

describe("the chat", () => {
  test("before its first message", async () => {
    const chat = await openChat(site.url);
    expect(await complaints(chat.page)).toEqual([]);
  });

  test("while an answer streams, and when it is done", async () => {
    const chat = await openChat(site.url);
    const { release, releaseAll } = site.hold([
      { reasoning: "Let me think" },
      { text: rich.slice(0, 300) },
      { text: rich.slice(300) },
    ]);
    await chat.ask("Which plans are there?");
    await chat.turns.getByText("Thinking…").first().waitFor();
    expect(await complaints(chat.page)).toEqual([]);
    release();
    await chat.turns.getByRole("heading", { name: "Plans" }).waitFor();
    expect(await complaints(chat.page)).toEqual([]);
    releaseAll();
    await chat.idle();
    await chat.turns.getByText("Thoughts").click();
    expect(await complaints(chat.page)).toEqual([]);
  });

  test("when an answer failed and a message is too long", async () => {
    const chat = await openChat(site.url);
    const { release } = site.hold([{ text: "Half an ans" }, { drop: true }]);
    await chat.ask("Hello");
    await chat.shows("Half an ans");
    release();
    await chat.idle();
    await chat.ask("x".repeat(8001));
    await chat.refusal.waitFor();
    expect(await complaints(chat.page)).toEqual([]);
  });
});

test("axe finds a colour too faint and a name missing where there is one", async () => {
  const chat = await openChat(site.url);
  site.model.next([{ text: "Cut" }, { finish: "length" }, { done: true }]);
  await chat.ask("Hello");
  await chat.idle();
  await chat.page.evaluate(() => {
    document.documentElement.style.setProperty("--soft", "#aaa");
    document.querySelector("#box")?.removeAttribute("aria-label");
  });
  const found = (await violations(chat.page)).join("\n");
  expect(found).toContain("color-contrast: .note");
  expect(found).toMatch(/label.*: #box/);
});

describe("the demo site", () => {
  test("with the chat closed and open", async () => {
    const window = await page(await browser());
    await window.goto(site.url);
    await window.getByRole("button", { name: "Open chat" }).waitFor();
    expect(await complaints(window)).toEqual([]);
    await window.setViewportSize({ width: 1280, height: 800 });
    await window.getByRole("button", { name: "Open chat" }).click();
    const chat = chatIn(window.frameLocator("cip-chat iframe"));
    site.model.next(answer(rich));
    await chat.ask("Which plans are there?");
    await chat.idle();
    expect(await complaints(window)).toEqual([]);
  });
});
