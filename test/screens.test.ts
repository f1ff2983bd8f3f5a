// The chat as a visitor sees it, from the binary: each state in the sizes and colours in which it must look right,
// held against the pictures in test/screens/chat/.
import { beforeAll, describe, expect, test } from "bun:test";
import { openChat, statusLogged } from "./chat.ts";
import { type Gallery, openGallery, restPointer } from "./gallery.ts";
import { answer } from "./model.ts";
import { album } from "./pictures.ts";
import { begun, guide, question, warm } from "./samples.ts";
import { until } from "./support.ts";

const { show, forgotten } = album("chat");

let gallery: Gallery;
beforeAll(async () => {
  gallery = await openGallery();
});

describe("a conversation", () => {
  test("that has not begun", async () => {
    const chat = await openChat(gallery.site.url);
    await chat.button("Which bulb fits?").waitFor();
    await show(chat.page, "empty", "phone light", "desktop dark");
  });

  test("that has begun, with what could be asked next", async () => {
    const chat = await gallery.answered(question, warm, {}, "default");
    await show(chat.page, "answered", "phone dark", "desktop light");
  });

  test("of a brand", async () => {
    const chat = await gallery.answered(question, warm, {}, "branded");
    await chat.box.fill("And what does it cost?");
    await show(chat.page, "branded", "phone light", "desktop dark");
  });
});

describe("an answer", () => {
  test("that is waited for, and that streams", async () => {
    const chat = await gallery.during("Which lamps fit my desk?", [{ text: "" }, { text: begun }]);
    await chat.page.getByText("Waiting for the answer…").waitFor();
    await show(chat.page, "waiting", "phone light");
    chat.release();
    await chat.turns.getByText("38 cm").waitFor();
    await show(chat.page, "streaming", "phone light", "phone dark");
    chat.releaseAll();
    await chat.idle();
  });

  test("that has everything in it", async () => {
    const chat = await gallery.answered("How do I choose the light?", guide);
    await chat.turns.locator("math").waitFor();
    await chat.turns.locator(".code-keyword").first().waitFor();
    await show(chat.page, "rich", "phone-tall light", "phone-tall dark", "desktop-tall light", "narrow dark");
    await show(chat.page, "rich", "zoomed light");
    // Where colours are forced, the caret cannot be hidden.
    await chat.box.blur();
    await chat.page.emulateMedia({ forcedColors: "active" });
    await show(chat.page, "forced-colours", "phone-tall light");
  });

  test("that was thought about", async () => {
    const chat = await openChat(gallery.site.url, {}, "plain");
    // It counts the seconds that the test gives it, however slow the machine.
    await chat.page.clock.install();
    await chat.page.clock.pauseAt(Date.now() + 60_000);
    const thoughts = "They read at night, so warm light matters most.\n\nThe Fjord goes down to 2200 K.";
    const { release, releaseAll } = gallery.site.hold([{ reasoning: thoughts }, { text: warm }]);
    await chat.ask(question);
    await chat.turns.locator("summary").waitFor();
    await chat.page.clock.runFor(8000);
    await show(chat.page, "thinking", "phone light");
    release();
    await until(() => chat.turns.getByText("Thought for 8 seconds").count(), "it has thought");
    releaseAll();
    await chat.idle();
    await chat.page.clock.resume();
    await chat.turns.getByText("Thought for 8 seconds").click();
    await restPointer(chat.page);
    await show(chat.page, "thought", "phone dark", "desktop light");
  });

  test("that failed, and one that was stopped", async () => {
    const chat = await gallery.during("Do you ship to Norway?", [{ text: "Yes, within" }, { drop: true }]);
    await chat.shows("Yes, within");
    chat.release();
    await chat.idle();
    const { release } = gallery.site.hold([{ text: "We ship to every country in the" }]);
    await chat.ask("And to Iceland?");
    await chat.shows("We ship to every country in the");
    await chat.button("Stop answer").click();
    await chat.idle();
    release();
    await restPointer(chat.page);
    await show(chat.page, "stopped", "phone light", "desktop dark");
  });

  test("with versions, an opinion and a message being edited", async () => {
    const chat = await gallery.answered(question, "It depends on the bulb.");
    gallery.site.model.next(answer(warm));
    await chat.button("Answer again").click();
    await chat.button("Previous version").waitFor();
    await chat.button("Bad answer").click();
    await chat.page.getByRole("textbox", { name: "Tell us more (optional)" }).waitFor();
    await restPointer(chat.page);
    await show(chat.page, "feedback", "phone light", "desktop dark");
    await chat.button("Edit message").click();
    await chat.page.getByRole("textbox", { name: "Edit message" }).waitFor();
    await restPointer(chat.page);
    await show(chat.page, "editing", "phone dark", "desktop light");
  });
});

describe("a message that is not taken", () => {
  test("for there is no connection", async () => {
    const chat = await gallery.answered(question, warm, { expected: [/net::ERR_/] });
    await chat.page.context().setOffline(true);
    await chat.ask("And what does it cost?");
    await chat.refusal.waitFor();
    await show(chat.page, "offline", "phone dark");
  });

  test("for a limit is reached", async () => {
    const chat = await gallery.answered(question, warm, { expected: [statusLogged(429)] });
    const headers = { "content-type": "application/problem+json", "retry-after": "20" };
    const refusal = { status: 429, headers, body: JSON.stringify({ code: "too_many_requests" }) };
    await chat.page.route("**/turns", (route) => route.fulfill(refusal), { times: 1 });
    await chat.ask("And what does it cost?");
    await chat.refusal.waitFor();
    await show(chat.page, "limit", "phone light");
  });

  test("for it is not known who asks, or too long", async () => {
    const chat = await openChat(gallery.site.url, { expected: [statusLogged(401)] }, "members");
    await chat.ask("Hello");
    await chat.refusal.waitFor();
    await show(chat.page, "members", "phone light");
    await chat.box.fill("What does the lamp cost? ".repeat(400));
    await show(chat.page, "too-long", "phone dark");
  });
});

test("the conversations, one being renamed and one deleted, and all data about to be", async () => {
  const messages = [
    "Where is my order?",
    "Which bulb fits the Fjord mini, and how is it changed?",
    "Do you repair?",
  ];
  const chat = await openChat(gallery.site.url, {}, "plain");
  for (const message of messages) {
    await chat.button("New conversation").click();
    await chat.ask(message);
    await chat.shows(`echo: ${message}`);
    await chat.idle();
  }
  const hours = [0, 3, 26];
  await chat.page.route("**/conversations", async (route) => {
    const body = await (await route.fetch()).json();
    for (const [i, conversation] of body.conversations.entries())
      conversation.updated_at = new Date(Date.now() - (hours[i] ?? 0) * 3_600_000 - 1000).toISOString();
    await route.fulfill({ json: body });
  });
  await chat.button("Conversations").click();
  const panel = chat.page.getByRole("dialog");
  await panel.getByRole("listitem").nth(2).waitFor();
  await restPointer(chat.page);
  await show(chat.page, "conversations", "phone light", "site dark");
  await panel.getByRole("button", { name: "Rename “Where is my order?”" }).click();
  await panel.getByRole("button", { name: "Delete “Do you repair?”" }).click();
  await panel.getByRole("button", { name: "Delete all my data" }).click();
  await panel.getByRole("button", { name: "Delete everything" }).waitFor();
  await restPointer(chat.page);
  await show(chat.page, "deleting", "phone dark", "site light");
});

test("no picture is kept that is not of these", () => {
  expect(forgotten()).toEqual([]);
});
