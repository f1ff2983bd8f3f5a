// The chat without a mouse and without eyes: what the keys do, where the focus goes, and what is read out.
import { beforeAll, describe, expect, test } from "bun:test";
import type { Page } from "playwright-core";
import { browser, page } from "./browser.ts";
import { chatIn, openChat } from "./chat.ts";
import { type Site, startSite } from "./site.ts";
import { until } from "./support.ts";

let site: Site;
beforeAll(async () => {
  site = await startSite();
});

/** What has the focus, by its name, on the page or in the chat on it. */
async function focused(window: Page): Promise<string> {
  for (const frame of window.frames().toReversed()) {
    const name = await frame.evaluate(() => {
      let node = document.activeElement;
      while (node?.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
      if (!node || !document.hasFocus() || node.matches("body, iframe")) return "";
      return node.ariaLabel || node.textContent?.trim() || node.localName;
    });
    if (name) return name;
  }
  return "";
}

describe("the keys", () => {
  test("go through everything there is, in the order it is seen", async () => {
    const chat = await openChat(site.url);
    const { release } = site.hold([
      { text: "A [link](https://example.com) and\n\n```\ncode\n```" },
      { drop: true },
    ]);
    await chat.ask("Hello");
    await chat.turns.getByRole("link").waitFor();
    release();
    await chat.idle();
    await chat.page.reload();
    await chat.button("Try again").waitFor();
    await chat.button("Bad answer").waitFor();
    await chat.button("Conversations").focus();
    const order = [await focused(chat.page)];
    for (let i = 0; i < 12; i += 1) {
      await chat.page.keyboard.press("Tab");
      order.push(await focused(chat.page));
    }
    expect(order).toEqual([
      "Conversations",
      "New conversation",
      "Conversation",
      "Edit message",
      "link (example.com)",
      "Copy code",
      "code",
      "Try again",
      "Copy answer",
      "Good answer",
      "Bad answer",
      "Message",
      "Send message",
    ]);
    await chat.page.keyboard.press("Shift+Tab");
    expect(await focused(chat.page)).toBe("Message");
  });

  test("Enter sends, Shift+Enter begins a line, and neither sends nothing", async () => {
    const chat = await openChat(site.url);
    await chat.box.focus();
    const { keyboard } = chat.page;
    for (const key of ["Enter", "Space", "Enter"]) await keyboard.press(key);
    expect(await chat.turns.count()).toBe(0);
    await keyboard.type("One");
    await keyboard.press("Shift+Enter");
    await keyboard.type("Two");
    expect((await chat.box.inputValue()).trim()).toBe("One\nTwo");
    await keyboard.press("Enter");
    await chat.shows("echo: One\nTwo");
    expect(await chat.box.inputValue()).toBe("");
    expect(await focused(chat.page)).toBe("Message");
  });

  test("Enter that ends an input method's composition does not send", async () => {
    const chat = await openChat(site.url);
    await chat.box.focus();
    const debug = await chat.page.context().newCDPSession(chat.page);
    await debug.send("Input.imeSetComposition", { text: "にほん", selectionStart: 3, selectionEnd: 3 });
    await chat.page.keyboard.press("Enter");
    expect(await chat.turns.count()).toBe(0);
    await debug.send("Input.insertText", { text: "日本" });
    expect(await chat.box.inputValue()).toContain("日本");
    await chat.page.keyboard.press("Enter");
    await chat.shows("echo: 日本");
  });

  test("send, stop and try again without a mouse", async () => {
    const chat = await openChat(site.url);
    site.hold([{ text: "As far" }, { text: "" }]);
    await chat.box.focus();
    const { keyboard } = chat.page;
    await keyboard.type("Go");
    await keyboard.press("Tab");
    await keyboard.press("Enter");
    await chat.shows("As far");
    expect(await focused(chat.page)).toBe("Stop answer");
    await keyboard.press("Space");
    await chat.idle();
    await chat.button("Try again").focus();
    await keyboard.press("Enter");
    await chat.shows("echo: Go");
  });

  test("open the chat on a site, and Escape closes it and leads back", async () => {
    const window = await page(await browser());
    await window.goto(site.url);
    const launcher = window.getByRole("button", { name: "Open chat" });
    const chat = chatIn(window.frameLocator("cip-chat iframe"));
    await launcher.focus();
    await window.keyboard.press("Enter");
    await chat.inFocus();
    await window.keyboard.type("Hello");
    await window.keyboard.press("Enter");
    await chat.shows("echo: Hello");
    await window.keyboard.press("Escape");
    await launcher.waitFor();
    expect(await focused(window)).toBe("Open chat");
    expect(await chat.box.isVisible()).toBeFalse();

    await window.keyboard.press("Space");
    await until(async () => (await focused(window)) === "Message", "the focus is where it was");
    // From the site's own side, too.
    await window.getByRole("button", { name: "Close chat" }).last().focus();
    await window.keyboard.press("Escape");
    await launcher.waitFor();
    expect(await focused(window)).toBe("Open chat");
  });
});

describe("a screen reader", () => {
  test("finds a log of messages under headings, a labelled box, and is told what goes on", async () => {
    const chat = await openChat(site.url);
    const { releaseAll } = site.hold([{ text: "Half" }, { text: " and whole" }]);
    const log = chat.page.getByRole("log", { name: "Conversation" });
    expect(await log.getAttribute("aria-live")).toBe("polite");
    await chat.ask("Well?");
    await chat.shows("Half");
    // Not read out word by word, but once it is whole.
    expect(await log.getAttribute("aria-busy")).toBe("true");
    await chat.page
      .getByRole("status")
      .getByText("The answer is being written")
      .waitFor({ state: "attached" });
    releaseAll();
    await chat.idle();
    expect(await log.getAttribute("aria-busy")).toBe("false");
    await chat.page.getByRole("status").getByText("Answer complete").waitFor({ state: "attached" });
    await chat.button("Bad answer").waitFor();
    expect(await log.ariaSnapshot()).toContain(
      `
- article:
  - heading "You" [level=2]
  - paragraph: Well?
  - button "Edit message"
  - heading "Answer" [level=2]
  - paragraph: Half and whole
  - button "Copy answer"
  - button "Answer again"
  - button "Good answer"
  - button "Bad answer"`
        .trim()
        .replaceAll("\n", "\n  "),
    );
  });

  test("is told of a refusal at once, and the box leads to it", async () => {
    const chat = await openChat(site.url);
    await chat.ask("x".repeat(8001));
    await chat.refusal.getByText("This message is too long.").waitFor();
    expect(await chat.box.evaluate((node) => node.getAttribute("aria-describedby"))).toContain("error");
  });
});
