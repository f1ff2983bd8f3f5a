// The chat as a person uses it: asked in and read, on a page of its own or inside another, and looked at by axe.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Frame, FrameLocator, Page } from "playwright-core";
import { browser, page, type Window } from "./browser.ts";
import type { Site } from "./site.ts";
import { repository, until } from "./support.ts";

export type Chat = ReturnType<typeof chatIn>;

/** What the browser logs when a request is answered with this status. */
export const statusLogged = (status: number) => new RegExp(`the server responded with a status of ${status}`);

/** The chat page of `tenant`, in a window of its own. */
export async function openChat(url: string, window: Window = {}, tenant = "default") {
  const opened = await page(await browser(), window);
  await opened.goto(`${url}/${tenant}`);
  return { ...chatIn(opened), page: opened };
}

/** The chat in `place`, found by what assistive technology finds it by. */
export function chatIn(place: Page | FrameLocator) {
  const box = place.getByRole("textbox", { name: "Message" });
  const answers = place.getByRole("article");
  const text = async () =>
    (await place.locator(".turn:last-child .markdown").allInnerTexts()).join("").trim();
  return {
    box,
    turns: answers,
    status: place.locator("#status"),
    refusal: place.getByRole("alert"),
    greeting: place.locator("#greeting"),
    button: (name: string) => place.getByRole("button", { name, exact: true }),
    ask: async (message: string) => {
      await box.fill(message);
      await box.press("Enter");
    },
    /** Waits until no answer is being written. */
    idle: () => place.locator("#composer:not(.busy)").waitFor(),
    busy: () => place.locator("#composer.busy").waitFor(),
    /** The text of the newest answer, as far as it is shown. */
    text,
    shows: (wanted: string) => until(async () => (await text()) === wanted, `"${wanted}" is shown`),
    /** What is said under the newest answer. */
    note: () => place.locator(".turn:last-child .note").textContent(),
    inFocus: () =>
      until(() => box.evaluate((node) => node === document.activeElement), "the box has the focus"),
  };
}

/** What this browser keeps for `tenant`, to look at the same conversation through the API. */
export function kept(page: Page, tenant = "default"): Promise<{ token: string; conversation: string }> {
  return page.evaluate((tenant) => {
    const recall = (name: string) => localStorage.getItem(`cip:${tenant}:${name}`) ?? "";
    return { token: recall("token"), conversation: recall("conversation") };
  }, tenant);
}

/** The turns of the conversation that the page is in, as they are stored. */
export async function stored(site: Site, page: Page) {
  const { token, conversation } = await kept(page);
  return (await site.conversation(token, conversation)).turns;
}

const axeSource = readFileSync(join(repository, "node_modules/axe-core/axe.min.js"), "utf8");

/** What axe finds wrong with one frame, a line for each place. */
export async function violations(frame: Page | Frame): Promise<string[]> {
  // Evaluated through the debugger, which the page's Content-Security-Policy does not concern.
  if (!(await frame.evaluate("'axe' in window"))) await frame.evaluate(axeSource);
  return frame.evaluate(async () => {
    const { axe } = window as unknown as { axe: typeof import("axe-core") };
    // The fade at the foot of the messages is a pseudo-element, for which axe would leave every colour undecided.
    const checks = { "color-contrast": { options: { ignorePseudo: true } } };
    const options = { iframes: false, resultTypes: ["violations" as const], checks };
    const { violations } = await axe.run(document, options);
    return violations.flatMap(({ id, nodes }) =>
      nodes.map(({ target, failureSummary }) => `${id}: ${target.join(" ")}: ${failureSummary}`),
    );
  });
}
