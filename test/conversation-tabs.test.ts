// One conversation in several places at once: two tabs of a browser, or a tab and something else.
import { beforeAll, describe, expect, test } from "bun:test";
import { chatIn, kept, openChat, statusLogged, stored } from "./chat.ts";
import { type Site, startSite } from "./site.ts";
import { until } from "./support.ts";

let site: Site;
beforeAll(async () => {
  site = await startSite();
});

describe("a conversation", () => {
  test("is seen in a second tab, where its running answer grows too", async () => {
    const chat = await openChat(site.url);
    const { release, releaseAll } = site.hold([{ text: "One" }, { text: " two" }, { text: " three" }]);
    await chat.ask("Count");
    await chat.shows("One");
    const tab = await chat.page.context().newPage();
    await tab.goto(chat.page.url());
    const second = chatIn(tab);
    await second.shows("One");
    release();
    await Promise.all([chat.shows("One two"), second.shows("One two")]);
    await second.button("Stop answer").waitFor();
    releaseAll();
    await Promise.all([chat.idle(), second.idle()]);
    expect([await chat.text(), await second.text()]).toEqual(["One two three", "One two three"]);
  });

  test("leaves no draft for the next one when its visitor signs out in another tab", async () => {
    const chat = await openChat(site.url);
    await chat.ask("Hello");
    await chat.shows("echo: Hello");
    await chat.idle();
    const tab = await chat.page.context().newPage();
    await tab.goto(chat.page.url());
    const second = chatIn(tab);
    await second.shows("echo: Hello");
    await second.box.fill("My secret draft");
    await chat.page.evaluate(() => localStorage.clear());
    await chat.page.evaluate(() => {
      localStorage.setItem("cip:default:token", "x");
      localStorage.removeItem("cip:default:token");
    });
    await until(async () => (await second.box.inputValue()) === "", "the draft is gone");
  });

  test("is followed in a second tab that was open before anything was asked, without a reload", async () => {
    const chat = await openChat(site.url);
    const tab = await chat.page.context().newPage();
    await tab.goto(chat.page.url());
    const second = chatIn(tab);
    await second.box.waitFor();
    for (const message of ["One", "Two"]) {
      const { releaseAll } = site.hold([{ text: `${message}, ` }, { text: "at length" }]);
      await chat.ask(message);
      await Promise.all([chat.shows(`${message},`), second.shows(`${message},`)]);
      await second.busy();
      releaseAll();
      await Promise.all([chat.idle(), second.idle()]);
    }
    // What is asked there is seen here.
    await second.ask("Three");
    await chat.shows("echo: Three");
    await Promise.all([chat.idle(), second.idle()]);
    expect([await chat.turns.count(), await second.turns.count()]).toEqual([3, 3]);
    expect(await stored(site, chat.page)).toHaveLength(3);
  });

  test("asked in elsewhere at once refuses the second, keeps its text and shows the answer under way", async () => {
    const chat = await openChat(site.url, { expected: [statusLogged(409)] });
    await chat.ask("Hello");
    await chat.shows("echo: Hello");
    await chat.idle();
    const { token, conversation } = await kept(chat.page);
    const { releaseAll } = site.hold([{ text: "One" }]);
    const { id } = await site.begin(token, "From elsewhere", { conversation_id: conversation });
    await site.said(token, id, "One");
    await chat.ask("From here");
    await chat.refusal.getByText("An answer is still being written.").waitFor();
    await chat.shows("One");
    expect(await chat.box.inputValue()).toBe("From here");
    releaseAll();
    await chat.idle();
    await chat.box.press("Enter");
    await chat.shows("echo: From here");
  });
});
