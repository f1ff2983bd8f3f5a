// The chat as its reader has the system: from right to left, with more space, in colours of its own, read aloud.
import { beforeAll, describe, expect, test } from "bun:test";
import { openChat, violations } from "./chat.ts";
import { answer } from "./model.ts";
import { type Site, startSite } from "./site.ts";
import { answered, complaints, rich, tooWide } from "./wcag.ts";

let site: Site;
beforeAll(async () => {
  site = await startSite();
});

describe("from right to left", () => {
  test("the chat and its conversations are a mirror image, in which code and formulas stay as they are", async () => {
    site.model.next([{ reasoning: "هم" }, ...answer(`مرحبا\n\n${rich}`)]);
    const chat = await answered(site.url, "default?locale=ar");
    await chat.turns.locator("math").waitFor();
    expect(await complaints(chat.page)).toEqual([]);
    const middleOf = async (selector: string) => {
      const box = await chat.page.locator(selector).first().boundingBox();
      return (box?.x ?? 0) + (box?.width ?? 0) / 2;
    };
    expect(await middleOf("#send")).toBeLessThan(await middleOf("#box"));
    expect(await middleOf("#menu")).toBeLessThan(await middleOf("h1"));
    expect(await middleOf(".question p")).toBeLessThan(await middleOf(".answer"));
    const directionOf = (selector: string) =>
      chat.page
        .locator(selector)
        .first()
        .evaluate((node) => getComputedStyle(node).direction);
    expect(await directionOf(".markdown")).toBe("rtl");
    expect(await directionOf(".markdown pre")).toBe("ltr");
    expect(await directionOf(".markdown p code")).toBe("ltr");
    expect(await directionOf(".markdown math")).toBe("ltr");
    // Each message by its own letters: the question above is English.
    expect(await directionOf(".question p")).toBe("ltr");
    await chat.page.locator("#menu").click();
    await chat.page.locator(".entry").first().waitFor();
    expect(await complaints(chat.page)).toEqual([]);
    expect((await chat.page.getByRole("dialog").boundingBox())?.x).toBeGreaterThan(500);
  });

  test("arrows between versions point the other way", async () => {
    const chat = await answered(site.url, "default?locale=ar");
    await chat.page.locator(".tools .small-icon").nth(1).click();
    const icon = chat.page.locator(".versions .icon").first();
    await icon.waitFor();
    expect(await icon.evaluate((node) => getComputedStyle(node).transform)).toBe("matrix(-1, 0, 0, 1, 0, 0)");
  });
});

describe("a reader's own settings", () => {
  test("for the space between letters, words and lines hide nothing (1.4.12)", async () => {
    site.model.next(answer(rich));
    const chat = await answered(site.url);
    await chat.page.setViewportSize({ width: 320, height: 640 });
    await chat.page.evaluate(() => {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(
        "* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important } p { margin-block-end: 2em !important }",
      );
      document.adoptedStyleSheets.push(sheet);
    });
    expect(await tooWide(chat.page)).toEqual([]);
    const cut = await chat.page.evaluate(() =>
      [...document.querySelectorAll("button, p, h1, h3, summary, li, textarea")]
        .filter((node) => node.checkVisibility() && !node.matches(".hidden, .hidden *"))
        .filter((node) => node.scrollHeight > node.clientHeight + 2 && node.clientHeight > 0)
        .map((node) => node.outerHTML.slice(0, 80)),
    );
    expect(cut).toEqual([]);
  });

  test("for colours leave every button an edge, and the focus a ring", async () => {
    const chat = await answered(site.url);
    await chat.page.emulateMedia({ forcedColors: "active" });
    const edges = await chat.page.evaluate(() =>
      [...document.querySelectorAll<HTMLElement>("button")]
        .filter(
          (node) => node.checkVisibility() && Number.parseFloat(getComputedStyle(node).borderTopWidth) === 0,
        )
        .map((node) => node.outerHTML.slice(0, 80)),
    );
    expect(edges).toEqual([]);
    await chat.page.keyboard.press("Shift+Tab");
    const ring = await chat.page.evaluate(
      () => getComputedStyle(document.activeElement as Element).outlineStyle,
    );
    expect(ring).toBe("solid");
    expect(await violations(chat.page)).toEqual([]);
  });
});

test("a screen reader is told little of a long answer: that it comes, and that it is there", async () => {
  const chat = await openChat(site.url);
  await chat.page.evaluate(() => {
    const heard: string[] = [];
    Object.assign(window, { heard });
    // What is in a live region that is not busy is read out.
    const note = () => {
      for (const region of document.querySelectorAll("[role=status], [role=alert]"))
        if (region.textContent && region.textContent !== heard.at(-1)) heard.push(region.textContent);
    };
    new MutationObserver(note).observe(document.body, {
      subtree: true,
      childList: true,
      characterData: true,
    });
    const log = document.querySelector("#log") as Element;
    new MutationObserver(() => {
      if (log.getAttribute("aria-busy") !== "true" && log.querySelector(".waiting")) heard.push("a part");
    }).observe(log, { subtree: true, childList: true, characterData: true });
  });
  site.model.next(Array.from({ length: 200 }, (_, i) => ({ text: `Word ${i}. ` })).concat(answer() as never));
  await chat.ask("Tell me all");
  await chat.page.getByRole("status").getByText("Answer complete").waitFor({ state: "attached" });
  expect(await chat.page.evaluate("heard")).toEqual(["The answer is being written", "Answer complete"]);
});
