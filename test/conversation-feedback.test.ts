// What a visitor thinks of an answer: given with a thumb and a few words, kept, changed and taken back.
import { beforeAll, expect, test } from "bun:test";
import { openChat, statusLogged, stored } from "./chat.ts";
import { type Site, startSite } from "./site.ts";
import { until } from "./support.ts";

let site: Site;
beforeAll(async () => {
  site = await startSite();
});

async function answered(expected: RegExp[] = []) {
  const chat = await openChat(site.url, { expected });
  await chat.ask("Hello");
  await chat.shows("echo: Hello");
  await chat.idle();
  const comment = chat.page.getByRole("textbox", { name: "Tell us more" });
  const pressed = (name: string) => chat.button(name).getAttribute("aria-pressed");
  const holds = (feedback: object | null) =>
    until(
      async () => {
        const [turn] = await stored(site, chat.page);
        return JSON.stringify(turn?.feedback) === JSON.stringify(feedback);
      },
      `${JSON.stringify(feedback)} is stored`,
    );
  return { ...chat, comment, pressed, holds };
}

test("a thumb is stored at once, and is still there after a reload", async () => {
  const chat = await answered();
  await chat.button("Good answer").click();
  await chat.holds({ rating: "up", comment: null });
  expect([await chat.pressed("Good answer"), await chat.pressed("Bad answer")]).toEqual(["true", "false"]);
  await chat.page.reload();
  await chat.button("Good answer").waitFor();
  expect(await chat.pressed("Good answer")).toBe("true");
});

test("words can follow it, and stay when the mind is changed", async () => {
  const chat = await answered();
  await chat.button("Bad answer").click();
  await chat.comment.fill("It only repeats me.");
  await chat.comment.press("Enter");
  await chat.holds({ rating: "down", comment: "It only repeats me." });
  await chat.page.getByText("Thank you for your feedback.").waitFor();
  expect(await chat.comment.isVisible()).toBeFalse();
  await chat.button("Good answer").click();
  await chat.holds({ rating: "up", comment: "It only repeats me." });
  expect(await chat.comment.inputValue()).toBe("It only repeats me.");
  await chat.comment.press("Escape");
  expect(await chat.comment.isVisible()).toBeFalse();
  expect(await chat.button("Good answer").evaluate((node) => node === document.activeElement)).toBeTrue();
});

test("the same thumb once more takes it back", async () => {
  const chat = await answered();
  await chat.button("Good answer").click();
  await chat.holds({ rating: "up", comment: null });
  await chat.comment.waitFor();
  await chat.button("Good answer").click();
  await chat.holds(null);
  expect(await chat.comment.isVisible()).toBeFalse();
  expect(await chat.pressed("Good answer")).toBe("false");
});

test("what could not be stored is not shown as if it were", async () => {
  const chat = await answered([statusLogged(503)]);
  await chat.page.route("**/feedback", (route) => route.fulfill({ status: 503 }), { times: 1 });
  await chat.button("Good answer").click();
  await chat.page.getByText("Your feedback could not be stored. Please try again.").waitFor();
  expect(await chat.pressed("Good answer")).toBe("false");
  await chat.button("Good answer").click();
  await chat.holds({ rating: "up", comment: null });
});
