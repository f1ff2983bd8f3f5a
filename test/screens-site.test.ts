// The chat where a site has put it, and in the languages that are not written as English is, from the binary: held
// against the pictures in test/screens/site/.
import { beforeAll, describe, expect, test } from "bun:test";
import { browser, page } from "./browser.ts";
import { chatIn, statusLogged } from "./chat.ts";
import { type Gallery, openGallery, restPointer } from "./gallery.ts";
import { answer } from "./model.ts";
import { album } from "./pictures.ts";
import { arabic, chinese, help, japanese, question, warm } from "./samples.ts";
import { addressOf, snippetOf } from "./shop.ts";

const { show, forgotten } = album("site");

let gallery: Gallery;
beforeAll(async () => {
  gallery = await openGallery();
});

describe("in the visitor's language", () => {
  test.each([
    ["ar", arabic],
    ["zh", chinese],
    ["ja", japanese],
  ])("%s", async (locale, { message, answer: text }) => {
    const opened = await page(await browser(), { locale });
    await opened.goto(`${gallery.site.url}/plain`);
    gallery.site.model.next(answer(text));
    await opened.locator("#box").fill(message);
    await opened.locator("#box").press("Enter");
    await opened.locator(".tools > .small-icon:nth-child(4)").waitFor();
    await show(opened, locale, "phone light");
    if (locale !== "ar") return;
    await opened.locator("#box").fill("وكم سعره؟");
    await show(opened, locale, "desktop dark");
    await opened.locator("#menu").click();
    await opened.getByRole("dialog").getByRole("listitem").waitFor();
    await restPointer(opened);
    await show(opened, "ar-conversations", "site light");
  });
});

describe("on a site", () => {
  test("that is the demo, closed, open, and with news", async () => {
    const window = await page(await browser());
    await window.goto(gallery.site.url);
    const button = (name: string) => window.getByRole("button", { name, exact: true }).first();
    await button("Open chat").waitFor();
    await show(window, "shop", "site dark", "phone light");
    await button("Open chat").click();
    const chat = chatIn(window.frameLocator("cip-chat iframe"));
    gallery.site.model.next(answer(warm));
    await chat.ask(question);
    await chat.idle();
    await chat.button("Bad answer").waitFor();
    await show(window, "shop-open", "site light", "phone dark");
    const { releaseAll } = gallery.site.hold([{ text: "It is" }]);
    await window.setViewportSize({ width: 1280, height: 800 });
    await chat.ask("What does it cost?");
    await chat.shows("It is");
    await button("Close chat").click();
    releaseAll();
    await button("Open chat, 1 new answer").waitFor();
    await restPointer(window);
    await show(window, "shop-unread", "corner light");
  });

  test("in a place of its own, and at the left of a page from right to left", async () => {
    const window = await page(await browser());
    await window.goto(
      addressOf(
        gallery.host,
        help + snippetOf(gallery.site.url, 'data-tenant="branded" data-target="#chat"'),
      ),
    );
    const inline = chatIn(window.frameLocator("cip-chat iframe"));
    gallery.site.model.next(answer(warm));
    await inline.ask(question);
    await inline.idle();
    await inline.button("Bad answer").waitFor();
    await show(window, "inline", "site light");
    const attributes = 'data-tenant="default" data-position="left" data-locale="ar" data-open="true"';
    await window.goto(
      addressOf(gallery.host, `<html lang="ar" dir="rtl"><body>${snippetOf(gallery.site.url, attributes)}`),
    );
    const left = window.frameLocator("cip-chat iframe");
    gallery.site.model.next(answer(arabic.answer));
    await left.locator("#box").fill(arabic.message);
    await left.locator("#box").press("Enter");
    await left.locator(".tools > .small-icon:nth-child(4)").waitFor();
    await show(window, "left", "site light");
  });

  test("that names a chat which is not there", async () => {
    const window = await page(await browser(), { expected: [statusLogged(404)] });
    await window.goto(`${gallery.site.url}/nowhere`);
    await show(window, "nowhere", "narrow light");
  });
});

test("no picture is kept that is not of these", () => {
  expect(forgotten()).toEqual([]);
});
