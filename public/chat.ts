// The chat page: what the server wrote into it, its parts put together, and its manners inside an iframe.

import { Api } from "./api.ts";
import { Composer } from "./composer.ts";
import { Conversation } from "./conversation.ts";
import { find } from "./element.ts";
import { Scroll } from "./scroll.ts";
import { Storage } from "./storage.ts";
import { speak, t, translate } from "./strings.ts";

/** What the server fills in; see `#page` in chat.html. */
type Page = {
  tenant: string;
  title: string;
  greeting: string | null;
  language: string | null;
  demo: boolean;
  message_chars_max: number;
};

const page: Page = JSON.parse(find("page").textContent);
const byLoader = location.hash === "#embed" && window.parent !== window;

speak(page.language);
translate(document);
document.title = page.title;
find("title").textContent = page.title;
find("greeting").textContent = page.greeting ?? t("greeting");
find("demo").hidden = !page.demo;
find("close").hidden = !byLoader;

const log = find("log");
const scroll = new Scroll(find("scroller"), find("content"), find("jump"));
const storage = new Storage(page.tenant);
const conversation = new Conversation(new Api(page.tenant, storage), storage, {
  log,
  earlier: find("earlier"),
  busy: (busy) => {
    composer.busy = busy;
  },
  status: (words) => say(find("status"), words),
  announce: (words) => say(find("announcement"), words),
  refuse: (message, words) => {
    composer.restore(message);
    composer.complain(words);
    composer.focus();
  },
  toEnd: () => scroll.toEnd(),
  hold: (change) => scroll.hold(change),
});
const composer = new Composer(page.message_chars_max, {
  send: (message) => conversation.send(message),
  stop: () => conversation.stop(),
});

find("new").addEventListener("click", () => {
  conversation.reset();
  composer.focus();
});
find("close").addEventListener("click", close);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.defaultPrevented && !event.isComposing) close();
});
addEventListener("focus", receive);
if (document.hasFocus()) receive();
followKeyboard();
if (byLoader) window.parent.postMessage({ cip: "ready" }, "*");
conversation.load();

/** The focus comes in from outside, as from the loader; but a finger gets no keyboard it has not asked for. */
function receive() {
  if (document.activeElement === document.body && matchMedia("(pointer: fine)").matches) composer.focus();
}

/** Asks the loader to close the chat; there is nothing in it that another page may not read. */
function close() {
  if (byLoader) window.parent.postMessage({ cip: "close" }, "*");
}

/** A live region must only be written to when there is something new to say. */
function say(region: HTMLElement, words: string) {
  if (region.textContent !== words) region.textContent = words;
}

/** Where an on-screen keyboard covers the page instead of shrinking it (Safari), the page shrinks itself. */
function followKeyboard() {
  const viewport = window.visualViewport;
  if (viewport === null || byLoader) return;
  viewport.addEventListener("resize", () => {
    // Zooming in changes the same numbers, and must not move anything.
    if (viewport.scale !== 1) return;
    document.body.style.height = `${viewport.height}px`;
    window.scrollTo(0, 0);
  });
}
