// What the pictures of the chat are taken of: a shop of lamps with its chats, from the binary, and its customers.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import type { Window } from "./browser.ts";
import { openChat } from "./chat.ts";
import { answer, type Step } from "./model.ts";
import { logo, suggestions } from "./samples.ts";
import { shop } from "./shop.ts";
import { startSite } from "./site.ts";
import { temporaryFolder } from "./support.ts";

export type Gallery = Awaited<ReturnType<typeof openGallery>>;

export async function openGallery() {
  const cwd = temporaryFolder();
  writeFileSync(join(cwd, "logo.svg"), logo);
  const host = shop();
  const lamps = `UI_TITLE=Ask Fjord\nUI_GREETING=Hello! Ask me anything about our lamps.\nALLOWED_ORIGINS=${host}`;
  const site = await startSite({
    from: "binary",
    cwd,
    tenants: {
      branded: `${lamps}\nUI_ACCENT=0b6b57\nUI_LOGO=logo.svg`,
      default: `${lamps}\nUI_SUGGESTIONS=${suggestions.join("|")}`,
      members: "IDENTITY=required\nIDENTITY_SECRET=a-secret-of-the-site-that-is-long-enough",
      plain: "UI_TITLE=Ask Fjord",
    },
  });

  return {
    site,
    host,
    /** A chat in which a message has been answered so, with all that can be done with the answer. */
    async answered(message: string, text: string, window: Window = {}, tenant = "plain") {
      const chat = await openChat(site.url, window, tenant);
      site.model.next(answer(text));
      await chat.ask(message);
      await chat.idle();
      await chat.button("Bad answer").waitFor();
      return chat;
    },
    /** A chat whose answer waits after each of its steps. */
    async during(message: string, steps: Step[]) {
      const chat = await openChat(site.url, {}, "plain");
      const held = site.hold(steps);
      await chat.ask(message);
      return { ...chat, ...held };
    },
  };
}

/** What the pointer rests on looks otherwise. */
export const restPointer = (page: Page) => page.mouse.move(0, 0);
