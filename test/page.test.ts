// The chat page through the life of an answer and of a conversation: reloads, endings, new beginnings.
import { beforeAll, describe, expect, test } from "bun:test";
import { kept, openChat, statusLogged, stored } from "./chat.ts";
import { type Site, startSite } from "./site.ts";
import { until } from "./support.ts";

let site: Site;
beforeAll(async () => {
  site = await startSite();
});

describe("an answer", () => {
  test("goes on after a reload in its middle, and ends as it is stored, once", async () => {
    const chat = await openChat(site.url);
    const { release, releaseAll } = site.hold([{ text: "One " }, { text: "two " }, { text: "three." }]);
    await chat.ask("Count");
    await chat.shows("One");
    await chat.page.reload();
    await chat.shows("One");
    await chat.busy();
    release();
    await chat.shows("One two");
    await chat.page.reload();
    await chat.page.reload();
    releaseAll();
    await chat.shows("One two three."); // before it has loaded anything the page is idle too
    await chat.idle();
    expect(await chat.text()).toBe("One two three.");
    expect(await stored(site, chat.page)).toMatchObject([
      { message: "Count", status: "done", answer: "One two three." },
    ]);
    await chat.page.reload();
    await chat.shows("One two three.");
    expect(await chat.turns.count()).toBe(1);
  });

  test("shows its reasoning while it thinks, folded away, and keeps it", async () => {
    const chat = await openChat(site.url);
    const { release, releaseAll } = site.hold([
      { reasoning: "Six times " },
      { reasoning: "seven." },
      { text: "42" },
    ]);
    await chat.ask("What is it?");
    await chat.turns.getByText("Thinking…").first().waitFor();
    release();
    await chat.turns.getByText("Six times seven.").waitFor({ state: "attached" });
    releaseAll();
    await chat.shows("42");
    await chat.idle();
    await chat.page.reload();
    await chat.turns.getByText("Thoughts", { exact: true }).click();
    await chat.turns.getByText("Six times seven.").waitFor();
    expect(await chat.text()).toBe("42");
  });

  test("can be stopped, and what was said stays", async () => {
    const chat = await openChat(site.url);
    site.hold([{ text: "As far as this" }, { text: " and further" }]);
    await chat.ask("Tell me");
    await chat.shows("As far as this");
    await chat.button("Stop answer").click();
    await chat.idle();
    expect([await chat.text(), await chat.note()]).toEqual(["As far as this", "You stopped this answer."]);
    expect(await stored(site, chat.page)).toMatchObject([{ status: "stopped", answer: "As far as this" }]);
    expect(await site.model.calls.at(-1)?.ended).toBe("broken");
  });

  test("can be stopped before the server has taken the message", async () => {
    const chat = await openChat(site.url);
    const { promise: delayed, resolve } = Promise.withResolvers<void>();
    await chat.page.route("**/turns", async (route) => {
      await delayed;
      await route.continue();
    });
    site.hold([{ text: "" }]);
    await chat.ask("Never mind");
    await chat.button("Stop answer").click();
    resolve();
    await chat.idle();
    expect(await chat.note()).toBe("You stopped this answer.");
  });

  test("that failed says so in words, and a second try works", async () => {
    const chat = await openChat(site.url);
    const { release } = site.hold([{ text: "Half an ans" }, { drop: true }]);
    await chat.ask("Hello");
    await chat.shows("Half an ans");
    release();
    await chat.idle();
    expect([await chat.text(), await chat.note()]).toEqual([
      "Half an ans",
      "The answer could not be finished.",
    ]);
    await chat.page.reload();
    await chat.shows("Half an ans");
    expect(await chat.note()).toBe("The answer could not be finished.");

    await chat.button("Try again").click();
    await chat.shows("echo: Hello");
    await chat.idle();
    expect(await chat.turns.count()).toBe(1);
    expect(await chat.button("Try again").isVisible()).toBeFalse();
    expect((await stored(site, chat.page)).map(({ status }) => status)).toEqual(["done"]);
  });

  test("that reached its length limit says that it ends there", async () => {
    const chat = await openChat(site.url);
    site.model.next([{ text: "And then" }, { finish: "length" }, { done: true }]);
    await chat.ask("A long story");
    await chat.idle();
    expect(await chat.note()).toBe("The answer reached its length limit and ends here.");
  });
});

describe("a conversation", () => {
  test("is left for a new one, in which the model knows nothing of it", async () => {
    const chat = await openChat(site.url);
    await chat.ask("My name is Ada");
    await chat.shows("echo: My name is Ada");
    await chat.idle();
    const before = await kept(chat.page);
    await chat.button("New conversation").click();
    expect(await chat.turns.count()).toBe(0);
    await chat.greeting.waitFor();
    await chat.inFocus();
    await chat.ask("What is my name?");
    await chat.shows("echo: What is my name?");
    await chat.idle();
    expect(JSON.stringify(site.model.calls.at(-1)?.body.messages)).not.toContain("Ada");
    const after = await kept(chat.page);
    expect(after.token).toBe(before.token);
    expect(after.conversation).not.toBe(before.conversation);
  });

  test("is left in mid-answer, which goes on without its reader", async () => {
    const chat = await openChat(site.url);
    const { releaseAll } = site.hold([{ text: "One" }, { text: " two" }]);
    await chat.ask("Count");
    await chat.shows("One");
    const { token, conversation } = await kept(chat.page);
    await chat.button("New conversation").click();
    await chat.idle();
    await chat.ask("Something else");
    await chat.shows("echo: Something else");
    releaseAll();
    await until(
      async () => (await site.conversation(token, conversation)).turns[0]?.answer === "One two",
      "it ends",
    );
    expect(await chat.text()).toBe("echo: Something else");
  });

  test("of more turns than a page shows the newest, and the earlier ones when asked", async () => {
    const chat = await openChat(site.url);
    await chat.ask("0");
    await chat.shows("echo: 0");
    await chat.idle();
    const { token, conversation } = await kept(chat.page);
    for (let i = 1; i <= 50; i += 1) await site.ask(token, String(i), { conversation_id: conversation });
    await chat.page.reload();
    await chat.shows("echo: 50");
    expect(await chat.turns.count()).toBe(50);
    const text = await chat.turns.first().textContent();
    await chat.button("Show earlier messages").press("Enter");
    await until(async () => (await chat.turns.count()) === 51, "the first is there");
    // Who came by the keyboard goes on from where they were.
    const focused = () => chat.page.evaluate(() => document.activeElement?.textContent);
    await until(async () => (await focused()) === text, "the focus is on what was being read");
    expect(await chat.turns.first().textContent()).toContain("echo: 0");
    expect(await chat.button("Show earlier messages").isVisible()).toBeFalse();
  });

  test("that is no longer there gives way to a new one", async () => {
    const chat = await openChat(site.url, { expected: [statusLogged(404)] });
    await chat.ask("Hello");
    await chat.shows("echo: Hello");
    await chat.idle();
    const { token, conversation } = await kept(chat.page);
    await site.on("DELETE", `/conversations/${conversation}`, { token });
    await chat.page.reload();
    await chat.page.getByText("This conversation is no longer available").waitFor();
    await chat.ask("Hello again");
    await chat.shows("echo: Hello again");
  });

  test("goes on for a visitor whose browser blocks storage, until the reload", async () => {
    const chat = await openChat(site.url);
    await chat.page.addInitScript(() => {
      Object.defineProperty(window, "localStorage", {
        get() {
          throw new DOMException("blocked", "SecurityError");
        },
      });
    });
    await chat.page.reload();
    for (const message of ["One", "Two"]) {
      await chat.ask(message);
      await chat.shows(`echo: ${message}`);
      await chat.idle();
    }
    expect(await chat.turns.count()).toBe(2);
    expect(site.model.calls.at(-1)?.body.messages.map(({ content }) => content)).toContain("echo: One");
    await chat.page.reload();
    await chat.greeting.waitFor();
    expect(await chat.turns.count()).toBe(0);
  });
});
