// What goes on, said in words: what an answer waits for, why nothing comes, when to come back; and the suggestions.
import { beforeAll, describe, expect, test } from "bun:test";
import { kept, openChat, statusLogged, stored } from "./chat.ts";
import { type Site, siteOf, startSite } from "./site.ts";
import { until } from "./support.ts";

const suggested = ["Which lamps are there?", "Do you deliver?", "May I return it?", "Who are you?", "Why?"];

let site: Site;
beforeAll(async () => {
  site = await startSite({
    tenants: {
      default: "",
      narrow: "CONCURRENT_RUNS_MAX=1",
      rare: "LIMIT_MESSAGES_PER_VISITOR=1/1d",
      suggesting: `UI_SUGGESTIONS=${suggested.join("|")}`,
      spent: "LLM_MAX_TOKENS=10\nDAILY_TOKENS_MAX=3000\nMESSAGE_CHARS_MAX=10000",
      members: "IDENTITY=required\nIDENTITY_SECRET=a-secret-of-the-site-that-is-long-enough",
    },
  });
});

describe("an answer that has not begun", () => {
  test("is said to be waited for, until its first word", async () => {
    const chat = await openChat(site.url);
    const { releaseAll } = site.hold([{ text: "" }, { text: "At last" }]);
    await chat.ask("Hello");
    await chat.page.getByText("Waiting for the answer…").waitFor();
    releaseAll();
    await chat.shows("At last");
    await chat.page.getByText("Waiting for the answer…").waitFor({ state: "hidden" });
  });

  test("is said not to have been taken where others are answered first", async () => {
    const narrow = siteOf(site.url, "narrow");
    const { releaseAll } = site.hold([{ text: "First" }]);
    const token = await narrow.visitor();
    const { id } = await narrow.begin(token, "First");
    await narrow.said(token, id, "First");
    const chat = await openChat(site.url, {}, "narrow");
    await chat.ask("Second");
    await chat.page.getByText("Waiting for the server to take the message…").waitFor();
    releaseAll();
    await chat.shows("echo: Second");
  });

  test("is said to wait in line behind another one of its conversation, and is shown after it", async () => {
    const chat = await openChat(site.url);
    const { releaseAll } = site.hold([{ text: "First" }]);
    await chat.ask("One");
    await chat.shows("First");
    const { token, conversation } = await kept(chat.page);
    const behind = { conversation_id: conversation, queue: true };
    await site.on("POST", "/turns", {
      token,
      body: { message: "Two", ...behind },
      headers: { prefer: "respond-async" },
    });
    await chat.page.reload();
    await chat.turns.last().getByText("Waiting in line…").waitFor();
    expect(await chat.turns.count()).toBe(2);
    releaseAll();
    await chat.shows("echo: Two");
    await chat.idle();
    expect(await chat.turns.first().textContent()).toContain("First");
  });
});

test("how long a model thinks is counted while it does, and said afterwards", async () => {
  const chat = await openChat(site.url);
  const { release, releaseAll } = site.hold([{ reasoning: "Six times seven." }, { text: "It is 42" }]);
  await chat.ask("What is it?");
  await chat.turns.getByText(/^Thinking for \d+ seconds?…$/).waitFor();
  release();
  await chat.shows("It is 42");
  releaseAll();
  await chat.idle();
  const summary = chat.turns.getByText(/^Thought for \d+ seconds?$/);
  expect(await chat.turns.getByText("Six times seven.").isVisible()).toBeFalse();
  await summary.click();
  expect(await chat.turns.getByText("Six times seven.").isVisible()).toBeTrue();
});

describe("a limit", () => {
  test("is said with the time at which it is over", async () => {
    const chat = await openChat(site.url, { expected: [statusLogged(429)] }, "rare");
    await chat.ask("One");
    await chat.shows("echo: One");
    await chat.idle();
    await chat.ask("Two");
    await chat.refusal.getByText("Too many messages in a short time.").waitFor();
    expect(await chat.refusal.textContent()).toMatch(/You can send it again from .*\d:\d\d (AM|PM) on\.$/);
    expect(await chat.box.inputValue()).toBe("Two");
  });

  test("on reading is not taken for a lost connection, and is waited for", async () => {
    const chat = await openChat(site.url, { expected: [statusLogged(429)] });
    await chat.ask("One");
    await chat.shows("echo: One");
    await chat.idle();
    const body = JSON.stringify({ code: "too_many_requests" });
    await chat.page.route("**/conversations/*", (route) => route.fulfill({ status: 429, body }));
    await chat.page.reload();
    await chat.status.getByText(/^Too many messages in a short time.$/).waitFor();
    await chat.page.unroute("**/conversations/*");
    await chat.shows("echo: One");
  });

  // A token is three bytes of what is asked, or fewer.
  const asking = (tokens: number) => "Why".repeat(tokens);

  test("on the tokens of a day is said to be over with that day", async () => {
    const spent = siteOf(site.url, "spent");
    const { releaseAll } = site.hold([{ text: "Because" }]);
    await spent.begin(await spent.visitor(), asking(1_600));
    const chat = await openChat(site.url, { expected: [statusLogged(429)] }, "spent");
    await chat.ask(asking(1_600));
    await chat.refusal.getByText("The chat has said all that it may for today.").waitFor();
    // It is counted in the last moments of a day only.
    expect(await chat.refusal.textContent()).toMatch(/ (from .*\d:\d\d (AM|PM) on|in \d+ seconds?)\.$/);
    expect(await chat.box.inputValue()).toBe(asking(1_600));
    releaseAll();
  });

  test("that one message is over by itself has it shortened", async () => {
    const chat = await openChat(site.url, { expected: [statusLogged(429)] }, "spent");
    await chat.ask(asking(3_100));
    await chat.refusal
      .getByText(/^This message is too long. Please shorten it and send it again.$/)
      .waitFor();
  });

  test.each([
    ["too_many_requests", 20, "Too many messages in a short time. Please send it again in 20 seconds."],
    ["too_many_runs", 5, "Too many answers are being written right now. Please send it again in 5 seconds."],
  ])("called %s says so, in seconds where it is soon over", async (code, seconds, words) => {
    const chat = await openChat(site.url, { expected: [statusLogged(429)] });
    const headers = { "content-type": "application/problem+json", "retry-after": String(seconds) };
    await chat.page.route(
      "**/turns",
      (route) => route.fulfill({ status: 429, headers, body: JSON.stringify({ code }) }),
      { times: 1 },
    );
    await chat.ask("Hello");
    await chat.refusal.getByText(words).waitFor();
    // Nothing is being written any more, to whoever cannot see it either.
    expect(await chat.page.locator("#announcement").textContent()).toBe("");
  });
});

test("a chat for members only asks to sign in, and keeps the message", async () => {
  const chat = await openChat(site.url, { expected: [statusLogged(401)] }, "members");
  await chat.ask("Hello");
  await chat.refusal.getByText("Please sign in on this site to use the chat.").waitFor();
  expect(await chat.box.inputValue()).toBe("Hello");
});

describe("suggestions", () => {
  test("begin a conversation, and after an answer offer what is left", async () => {
    const chat = await openChat(site.url, {}, "suggesting");
    const offered = () => chat.page.getByRole("navigation", { name: "Suggestions" }).locator("button");
    await until(async () => (await offered().count()) === 5, "all are offered");
    expect(await offered().allInnerTexts()).toEqual(suggested);
    // Coming back from another tab finds the focus where it was.
    await chat.button("Do you deliver?").focus();
    await chat.page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
    expect(await chat.button("Do you deliver?").evaluate((node) => node.matches(":focus"))).toBeTrue();
    const { releaseAll } = site.hold([{ text: "Yes" }]);
    await chat.button("Do you deliver?").press("Enter");
    await chat.shows("Yes");
    expect(await offered().count()).toBe(0);
    await chat.inFocus();
    releaseAll();
    await chat.idle();
    const left = ["Which lamps are there?", "May I return it?", "Who are you?"];
    expect(await offered().allInnerTexts()).toEqual(left);
    await chat.page.reload();
    await until(async () => (await offered().count()) === 3, "they are offered again");
    await chat.button("New conversation").click();
    expect(await offered().allInnerTexts()).toEqual(suggested);
  });
});

test("a token is renewed by use, for the same visitor", async () => {
  const chat = await openChat(site.url);
  await chat.ask("Hello");
  await chat.shows("echo: Hello");
  await chat.idle();
  // Much of its life has passed, as far as this browser can tell.
  await chat.page.clock.setFixedTime(Date.now() + 60 * 86_400_000);
  const renewed = chat.page.waitForResponse((response) => response.url().endsWith("/visitors"));
  await chat.page.reload();
  // One that was issued in the same second is the same, so it cannot be told by its look.
  const { token } = await (await renewed).json();
  await until(async () => (await kept(chat.page)).token === token, "the renewed token is kept");
  await chat.shows("echo: Hello");
  expect(await stored(site, chat.page)).toHaveLength(1);
});
