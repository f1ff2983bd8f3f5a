// The chat page: its parts put together, and its manners inside an iframe.

import { Api } from "./api.ts";
import { Bridge } from "./bridge.ts";
import { Composer } from "./composer.ts";
import { Conversation } from "./conversation.ts";
import { find } from "./element.ts";
import { page } from "./page.ts";
import { Scroll } from "./scroll.ts";
import { Storage } from "./storage.ts";
import { t } from "./strings.ts";
import { Suggestions } from "./suggestions.ts";
import type { Identity } from "./visitor.ts";
import { onWake } from "./wake.ts";
import { Problem } from "./wire.ts";

const byLoader = location.hash === "#embed" && window.parent !== window;
const finePointer = matchMedia("(pointer: fine)");

find("demo").hidden = !page.demo;
find("close").hidden = !byLoader;

const scroll = new Scroll(find("scroller"), find("content"), find("jump"));
const storage = new Storage(page.tenant);
const api = new Api(page.tenant, storage, page.locale);
const bridge = new Bridge({
  hello(greeting) {
    if (greeting !== undefined) find("greeting").textContent = greeting;
    if (page.identity === "required" && !api.visitor.known) bridge.askIdentity();
  },
  send: (text, context) => loaded.then(() => conversation.send(text, context)),
  prefill: (text) => composer.prefill(text),
  identifying: () => api.visitor.expect(),
  identify,
  logout() {
    leave();
    askToSignIn();
  },
});
api.visitor.ask = () => bridge.askIdentity();
api.visitor.change = change;

const conversation = new Conversation(api, storage, {
  log: find("log"),
  earlier: find("earlier"),
  busy(busy) {
    composer.busy = busy;
    if (busy) suggestions.hide();
    else suggestions.offer(conversation.messages);
  },
  status: (words) => say(find("status"), words),
  announce: (words) => say(find("announcement"), words),
  refuse(message, words) {
    if (message !== "") composer.restore(message);
    composer.complain(words);
    focusBox();
  },
  begun() {
    scroll.toEnd();
    receive();
  },
  toEnd: () => scroll.toEnd(),
  hold: (change) => scroll.hold(change),
  context: () => bridge.context,
  failed: (code, words) => bridge.failed(code, words),
  asked: (message, turnId) => bridge.sent(message, turnId),
  answered: (turnId, status) => bridge.answered(turnId, status),
});
const suggestions = new Suggestions(find("suggestions"), page.suggestions, (message) =>
  conversation.send(message),
);
const composer = new Composer(page.message_chars_max, {
  send: (message) => conversation.send(message),
  stop: () => conversation.stop(),
});

find("new").addEventListener("click", begin);
find("menu").addEventListener("click", showConversations);
find("close").addEventListener("click", close);
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented || event.isComposing) return;
  // What is open over the chat closes first.
  if (document.querySelector("dialog[open]") === null) close();
});
addEventListener("focus", receive);
if (document.hasFocus()) receive();
followKeyboard();
onWake(() => conversation.refresh());
storage.watch("turn", () => conversation.refresh());
storage.watch("token", (token) => token === null && changedElsewhere());
storage.watch("user", changedElsewhere);
const loaded = conversation.load();
// No site is around that could still say who this is.
if (window.parent === window) askToSignIn();

/** The focus comes in from outside, as from the loader, or what had it is gone. */
function receive() {
  if (document.activeElement === document.body) focusBox();
}

/** For a finger it would bring up a keyboard that it has not asked for. */
function focusBox() {
  if (finePointer.matches) composer.focus();
}

function begin() {
  conversation.reset();
  composer.focus();
}

async function showConversations() {
  try {
    const { openPanel } = await import("./panel.ts");
    await openPanel(api, {
      current: conversation.id,
      open: (id) => conversation.open(id),
      fresh: begin,
      erased: leave,
    });
  } catch {
    say(find("status"), t("problem_part"));
  }
}

/** The site says who the visitor is, or that it does not know. */
async function identify(identity: Identity | undefined) {
  if (identity === undefined) {
    api.visitor.settle();
    return askToSignIn();
  }
  try {
    await api.visitor.identify(identity);
    composer.complain("");
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    // What is wrong with it only those can mend who made the site.
    console.error(`cip: ${error.message}`);
    bridge.failed(error.code, error.message);
    if (error.wantsIdentity) composer.complain(t("problem_identity"));
  }
}

function askToSignIn() {
  if (page.identity === "required" && !api.visitor.known) composer.complain(t("problem_identity"));
}

/** Somebody else is here. What nobody in particular was writing or asking is theirs, and goes with them. */
async function change(become: () => void) {
  const isFirst = storage.user === "";
  const waiting = isFirst ? conversation.takeBack() : undefined;
  if (!isFirst) composer.clear();
  become();
  const { user } = storage;
  await conversation.changeVisitor();
  if (waiting !== undefined && storage.user === user) conversation.send(waiting.message, waiting.context);
}

/** In another tab somebody signed in or out: what stands in the box is not the next one's. */
function changedElsewhere() {
  composer.clear();
  conversation.changeVisitor();
}

/** Nothing of this visitor stays in this browser. */
function leave() {
  api.visitor.forget();
  composer.clear();
  conversation.reset();
}

function close() {
  if (byLoader) bridge.close();
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
