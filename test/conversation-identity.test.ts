// The page knows its visitor from the site: who is signed in sees their own conversation, and nobody else's.
import { beforeAll, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { browser, page } from "./browser.ts";
import { chatIn, statusLogged } from "./chat.ts";
import { type Site, startSite } from "./site.ts";
import { until } from "./support.ts";

const secret = "a-secret-of-the-site-that-is-long-enough";
let site: Site;
beforeAll(async () => {
  site = await startSite({ env: { IDENTITY: "optional", IDENTITY_SECRET: secret } });
});

/** The chat in a frame of a page of this server, which talks to it as the loader does. */
async function framed(expected: RegExp[] = []) {
  const window = await page(await browser(), { expected });
  await window.goto(site.url);
  await window.evaluate(async (url) => {
    const frame = document.createElement("iframe");
    frame.id = "ours";
    frame.src = url;
    frame.style.cssText = "width: 400px; height: 600px";
    document.body.prepend(frame);
    await new Promise((resolve) => frame.addEventListener("load", resolve));
    frame.contentWindow?.postMessage({ cip: "hello" }, url);
  }, `${site.url}/default`);
  const say = (message: object) =>
    window.evaluate(
      ([message, url]) =>
        document.querySelector<HTMLIFrameElement>("#ours")?.contentWindow?.postMessage(message, url),
      [message, site.url] as const,
    );
  const signIn = (user_id: string) =>
    say({
      cip: "identify",
      user_id,
      user_hash: createHmac("sha256", secret).update(user_id).digest("hex"),
    });
  const storedKeys = () =>
    window.evaluate(() => Object.keys(localStorage).filter((key) => key.startsWith("cip:")));
  return { ...chatIn(window.frameLocator("#ours")), window, say, signIn, storedKeys };
}

test("somebody else who signs in does not see what was said, and whoever comes back does", async () => {
  const chat = await framed();
  await chat.ask("From nobody");
  await chat.shows("echo: From nobody");
  await chat.idle();
  for (const user of ["ada", "bob"]) {
    await chat.signIn(user);
    await until(async () => (await chat.turns.count()) === 0, "the other conversation is gone");
    await chat.ask(`I am ${user}`);
    await chat.shows(`echo: I am ${user}`);
    await chat.idle();
  }
  await chat.signIn("ada");
  await chat.shows("echo: I am ada");
  expect(await chat.turns.count()).toBe(1);
  // The same user vouched for once more is no change.
  await chat.signIn("ada");
  await chat.ask("Still me");
  await chat.shows("echo: Still me");
  expect(await chat.turns.count()).toBe(2);
});

test("what did not get through is kept for whoever wrote it, whatever others write in between", async () => {
  const chat = await framed([statusLogged(503)]);
  await chat.signIn("ada");
  await until(async () => (await chat.storedKeys()).includes("cip:default:user"), "she is known");
  await chat.ask("Hello");
  await chat.shows("echo: Hello");
  await chat.idle();
  await chat.window.route("**/turns", (route) => route.fulfill({ status: 503 }), { times: 1 });
  await chat.ask("For nobody else");
  await chat.refusal.getByText("The server could not take the message.").waitFor();
  await chat.signIn("bob");
  await until(async () => (await chat.box.inputValue()) === "", "her words are gone");
  await chat.ask("I am bob");
  await chat.shows("echo: I am bob");
  await chat.idle();
  await chat.signIn("ada");
  await chat.shows("echo: Hello");
  await until(
    async () => (await chat.box.inputValue()) === "For nobody else",
    "she is given her words",
    30_000,
  );
});

test("who signs out leaves nothing behind", async () => {
  const chat = await framed();
  await chat.signIn("eve");
  await chat.ask("I am eve");
  await chat.shows("echo: I am eve");
  await chat.idle();
  await chat.say({ cip: "logout" });
  await until(async () => (await chat.turns.count()) === 0, "the conversation is gone");
  expect(await chat.storedKeys()).toEqual([]);
  await chat.ask("Who am I?");
  await chat.shows("echo: Who am I?");
  expect(await chat.turns.count()).toBe(1);
});
