// Answers answered anew and messages said otherwise: what gives way, what stays to be looked at, what is not lost.
import { beforeAll, describe, expect, test } from "bun:test";
import { kept, openChat, statusLogged, stored } from "./chat.ts";
import { answer } from "./model.ts";
import { type Site, startSite } from "./site.ts";
import { until } from "./support.ts";

let site: Site;
beforeAll(async () => {
  site = await startSite();
});

/** A chat in which each of these has been asked and answered. */
async function chatAfter(messages: string[], expected: RegExp[] = []) {
  const chat = await openChat(site.url, { expected });
  for (const message of messages) {
    await chat.ask(message);
    await chat.shows(`echo: ${message}`);
    await chat.idle();
  }
  await chat.button("Good answer").last().waitFor();
  const editor = chat.page.getByRole("textbox", { name: "Edit message" });
  const version = (name: string) => chat.page.getByRole("group", { name, exact: true }).waitFor();
  return { ...chat, editor, version };
}

describe("answering again", () => {
  test("keeps the earlier answers to be leafed through, also after a reload", async () => {
    const chat = await chatAfter(["Name a lamp"]);
    for (const name of ["Fjord", "Birk"]) {
      site.model.next(answer(name));
      await chat.button("Answer again").click();
      await chat.shows(name);
      await chat.idle();
    }
    await chat.version("Version 3 of 3");
    await chat.page.reload();
    await chat.version("Version 3 of 3");
    expect(await chat.turns.count()).toBe(1);
    await chat.button("Previous version").click();
    await chat.shows("Fjord");
    await chat.version("Version 2 of 3");
    // What has been replaced can be read, and nothing else.
    expect(await chat.button("Answer again").count()).toBe(0);
    await chat.button("Previous version").press("Enter");
    await chat.shows("echo: Name a lamp");
    expect(await chat.button("Previous version").isDisabled()).toBeTrue();
    await chat.page.keyboard.press("Enter");
    await chat.shows("Fjord");
    await chat.button("Next version").click();
    await chat.shows("Birk");
    expect(await chat.button("Answer again").count()).toBe(1);
  });

  test("keeps the newest answer within reach, however impatiently the earlier one is asked for", async () => {
    const chat = await chatAfter(["Name a lamp"]);
    site.model.next(answer("Fjord"));
    await chat.button("Answer again").click();
    await chat.shows("Fjord");
    await chat.version("Version 2 of 2");
    const line = Promise.withResolvers<void>();
    await chat.page.route("**/turns/*", (route) => line.promise.then(() => route.continue()));
    await chat.button("Previous version").dblclick();
    line.resolve();
    await chat.version("Version 1 of 2");
    await chat.shows("echo: Name a lamp");
    await chat.button("Next version").click();
    await chat.shows("Fjord");
  });

  test("that is refused brings the old answer back, with the reason", async () => {
    const chat = await chatAfter(["Hello"], [statusLogged(503)]);
    await chat.page.route("**/turns", (route) => route.fulfill({ status: 503 }), { times: 1 });
    await chat.button("Answer again").click();
    await chat.refusal.getByText("The server could not take the message.").waitFor();
    await chat.shows("echo: Hello");
    expect(await chat.turns.count()).toBe(1);
    expect(await chat.box.inputValue()).toBe("");
    site.model.next(answer("Hi"));
    await chat.button("Answer again").click();
    await chat.shows("Hi");
  });

  test("is offered for the newest answer only, and not while one is written", async () => {
    const chat = await chatAfter(["One", "Two"]);
    expect(await chat.button("Answer again").count()).toBe(1);
    const { releaseAll } = site.hold([{ text: "Three" }]);
    await chat.ask("Three");
    await chat.shows("Three");
    expect(await chat.button("Answer again").count()).toBe(0);
    expect(await chat.button("Edit message").count()).toBe(0);
    releaseAll();
    await chat.idle();
    await chat.button("Answer again").waitFor();
  });
});

describe("an edited message", () => {
  test("is answered in the place of the old one, and what came after it goes", async () => {
    const chat = await chatAfter(["One", "Two"]);
    await chat.button("Edit message").first().click();
    await chat.page.getByText("What follows leaves the conversation.").waitFor();
    expect(await chat.editor.inputValue()).toBe("One");
    await chat.editor.fill("Uno");
    await chat.editor.press("Enter");
    await chat.shows("echo: Uno");
    await chat.idle();
    expect(await chat.turns.count()).toBe(1);
    expect(await stored(site, chat.page)).toMatchObject([{ message: "Uno", answer: "echo: Uno" }]);
    await chat.button("Previous version").click();
    await chat.shows("echo: One");
    expect(await chat.turns.getByText("One", { exact: true }).isVisible()).toBeTrue();
  });

  test("is left as it was by Escape and by Cancel, and the focus comes back", async () => {
    const chat = await chatAfter(["Hello"]);
    const back = () => chat.button("Edit message").evaluate((node) => node === document.activeElement);
    await chat.button("Edit message").click();
    await chat.editor.fill("Something else");
    await chat.editor.press("Escape");
    expect(await back()).toBeTrue();
    await chat.page.keyboard.press("Enter");
    expect(await chat.editor.inputValue()).toBe("Hello");
    await chat.button("Cancel").click();
    expect(await back()).toBeTrue();
    expect(await chat.turns.getByText("Hello", { exact: true }).isVisible()).toBeTrue();
  });

  test("that is refused stays in its box, to be sent once more", async () => {
    const chat = await chatAfter(["Hello"], [statusLogged(422)]);
    await chat.button("Edit message").click();
    await chat.editor.fill("Good day");
    await chat.page.route("**/turns", (route) => route.fulfill({ status: 422 }), { times: 1 });
    await chat.button("Send").click();
    await chat.refusal.getByText("The message was not accepted.").waitFor();
    expect(await chat.editor.inputValue()).toBe("Good day");
    await chat.button("Send").click();
    await chat.shows("echo: Good day");
    expect(await chat.turns.count()).toBe(1);
  });

  test("of a turn that was replaced elsewhere shows what took its place", async () => {
    const chat = await chatAfter(["Hello"], [statusLogged(409)]);
    const { token } = await kept(chat.page);
    const [old] = await stored(site, chat.page);
    await site.on("POST", "/turns", {
      token,
      body: { replaces: old?.id, message: "Good day" },
      headers: { accept: "application/json" },
    });
    await chat.button("Edit message").click();
    await chat.editor.fill("Hi");
    await chat.editor.press("Enter");
    await until(async () => (await chat.text()) === "echo: Good day", "the other answer is shown");
    expect(await chat.turns.count()).toBe(1);
  });
});
