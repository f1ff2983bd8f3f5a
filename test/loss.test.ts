// The chat page on a bad line: no message is lost or sent twice, no character of an answer is missing or doubled.
import { beforeAll, describe, expect, test } from "bun:test";
import { kept, openChat, statusLogged, stored } from "./chat.ts";
import { answer, type Step } from "./model.ts";
import { badLine } from "./proxy.ts";
import { type Site, startSite } from "./site.ts";
import { until } from "./support.ts";

const lineLost = /net::ERR_/;

let site: Site;
beforeAll(async () => {
  site = await startSite();
});

describe("a lost connection", () => {
  test("in mid-answer is replaced by one that goes on at the same character", async () => {
    const line = await badLine(site.url);
    const words = Array.from({ length: 120 }, (_, i) => `${i} раз 🙂 `);
    site.model.next([...words.flatMap((text): Step[] => [{ text }, { pauseMs: 10 }]), ...answer()]);
    const chat = await openChat(line.url, { expected: [lineLost] });
    // Wherever that falls: inside a frame, inside a character, right after the headers.
    line.breakAfter(700, 0, 1001);
    await chat.ask("Count");
    await until(
      async () => (await chat.status.textContent()) === "Connection lost. Reconnecting…",
      "the loss is said",
    );
    await chat.idle();
    expect(await chat.text()).toBe(words.join("").trim());
    expect(await chat.status.textContent()).toBe("");
    expect(line.streams()).toBe(4);
    expect(await stored(site, chat.page)).toMatchObject([{ status: "done", answer: words.join("") }]);
  });

  test("before the server has named the turn loses nothing and asks nothing twice", async () => {
    const line = await badLine(site.url);
    const chat = await openChat(line.url, { expected: [lineLost] });
    line.breakAfter(0);
    await chat.ask("Are you there?");
    await chat.refusal.waitFor();
    expect(await chat.box.inputValue()).toBe("Are you there?");
    await chat.page.reload();
    await chat.shows("echo: Are you there?");
    expect(await stored(site, chat.page)).toHaveLength(1);
    expect(await chat.box.inputValue()).toBe("");
  });

  test("while the answer ends is no loss", async () => {
    const line = await badLine(site.url);
    const chat = await openChat(line.url, { expected: [lineLost] });
    const { releaseAll } = site.hold([{ text: "It is " }, { text: "done." }]);
    await chat.ask("Well?");
    await chat.shows("It is");
    line.down(true);
    releaseAll();
    const { token, conversation } = await kept(chat.page);
    await until(
      async () => (await site.conversation(token, conversation)).turns[0]?.status === "done",
      "the answer ends without a reader",
    );
    line.down(false);
    await chat.idle();
    expect(await chat.text()).toBe("It is done.");
    expect(await chat.turns.count()).toBe(1);
  });
});

describe("a message", () => {
  test("that is too long is not sent, and stays in the box", async () => {
    const chat = await openChat(site.url);
    const long = "x".repeat(8001);
    await chat.ask(long);
    expect(await chat.refusal.textContent()).toBe(
      "This message is too long. Please shorten it and send it again.",
    );
    expect(await chat.page.locator("#count").textContent()).toBe("8,001 / 8,000");
    expect(await chat.box.inputValue()).toBe(long);
    expect(await chat.turns.count()).toBe(0);
    await chat.ask(long.slice(1));
    await chat.idle();
    expect(await chat.turns.count()).toBe(1);
  });

  test.each([
    [503, "The server could not take the message. Your text is kept; please send it again."],
    [429, "Too many messages in a short time. Please wait a moment and send it again."],
    [422, "The message was not accepted. Please change it and send it again."],
  ])("refused with %d stays in the box, with the reason, and can be sent again", async (status, reason) => {
    const chat = await openChat(site.url, { expected: [statusLogged(status)] });
    // As a proxy before the server may answer: with a page of its own.
    await chat.page.route("**/turns", (route) => route.fulfill({ status, body: "<h1>Sorry</h1>" }), {
      times: 1,
    });
    await chat.ask("First line\nand second");
    await chat.refusal.waitFor();
    expect(await chat.refusal.textContent()).toBe(reason);
    expect(await chat.box.inputValue()).toBe("First line\nand second");
    expect(await chat.turns.count()).toBe(0);
    await chat.box.press("Enter");
    await chat.shows("echo: First line\nand second");
    expect(await chat.refusal.isVisible()).toBeFalse();
    expect(await stored(site, chat.page)).toHaveLength(1);
  });

  test("sent while there is no connection is one request, however often it is tried", async () => {
    const chat = await openChat(site.url, { expected: [lineLost] });
    const keys: (string | undefined)[] = [];
    chat.page.on("request", (request) => {
      if (request.url().endsWith("/turns")) keys.push(request.headers()["idempotency-key"]);
    });
    await chat.page.route("**/turns", (route) => route.abort("internetdisconnected"), { times: 2 });
    await chat.ask("Anyone?");
    await chat.refusal.getByText("No connection.").waitFor();
    await chat.box.press("Enter");
    await chat.refusal.getByText("No connection.").waitFor();
    await chat.box.press("Enter");
    await chat.shows("echo: Anyone?");
    await chat.idle();
    await chat.ask("Anyone?");
    await until(async () => (await chat.turns.count()) === 2, "the same words are a new message later on");
    await chat.idle();
    expect(keys).toHaveLength(4);
    expect(new Set(keys.slice(0, 3)).size).toBe(1);
    expect(keys[3]).not.toBe(keys[0]);
  });

  test("that a reload overtakes is answered or back in the box, but never lost or sent twice", async () => {
    const chat = await openChat(site.url);
    await chat.ask("Hello");
    await chat.shows("echo: Hello");
    await chat.idle();
    await chat.box.fill("In a hurry");
    const loaded = chat.page.waitForEvent("load");
    await chat.page.evaluate(() => {
      document.querySelector("form")?.requestSubmit();
      location.reload();
    });
    await loaded;
    const isAnswered = async () => (await chat.text()) === "echo: In a hurry";
    const isBack = async () => (await chat.box.inputValue()) === "In a hurry";
    await until(async () => (await isAnswered()) || (await isBack()), "the message is found again");
    expect(await stored(site, chat.page)).toHaveLength((await isAnswered()) ? 2 : 1);
  });

  test("in the words of the one before it is back in the box when a reload finds that it did not get through", async () => {
    const chat = await openChat(site.url, { expected: [lineLost] });
    await chat.ask("yes");
    await chat.shows("echo: yes");
    await chat.idle();
    await chat.page.route("**/turns", (route) => route.abort("internetdisconnected"));
    await chat.ask("yes");
    await chat.refusal.getByText("No connection.").waitFor();
    await chat.page.reload();
    await until(async () => (await chat.box.inputValue()) === "yes", "the message is back");
    expect(await stored(site, chat.page)).toHaveLength(1);
  });

  test("typed while an answer is written waits in the box", async () => {
    const chat = await openChat(site.url);
    const { releaseAll } = site.hold([{ text: "Well" }]);
    await chat.ask("One");
    await chat.shows("Well");
    await chat.ask("Two");
    expect(await chat.box.inputValue()).toBe("Two");
    releaseAll();
    await chat.idle();
    await chat.box.press("Enter");
    await chat.shows("echo: Two");
  });
});
