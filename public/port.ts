// The site's end of the talk with the chat (bridge.ts has the other). Only the chat's own frame is heard, and only
// while it shows the chat's own origin, to which alone everything is said.

import type { Identity, PageContext, Vouched } from "./cip.d.ts";

type Words = [cip: string, more?: object];

type Ends = {
  frame: HTMLIFrameElement;
  origin: string;
  greeting: string | undefined;
  signal: AbortSignal;
  identity(): Identity | undefined;
  hear(event: string, detail: object): void;
};

// What the server takes.
const urlCharsMax = 2000;
const titleCharsMax = 300;
const contextBytesMax = 4096;

// A chat whose frame has loaded answers at once, unless the site may not show it.
const readyMs = 5_000;

const events = ["ready", "close", "message", "answer", "unread", "error"];

export class Port {
  #ready = false;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #waiting: Words[] = [];

  constructor(private readonly ends: Ends) {
    const { signal } = ends;
    addEventListener("message", (event) => this.#hear(event), { signal });
    // The focus goes from the page into the chat, perhaps after the visitor has gone elsewhere on the site.
    addEventListener("blur", () => this.#tell("context", { context: contextOf() }), { signal });
  }

  /** The frame has loaded, and hears. */
  hello() {
    this.leave();
    this.#silence = setTimeout(() => {
      if (!this.ends.signal.aborted)
        console.error(`cip: the chat does not answer. Is ${location.origin} in its ALLOWED_ORIGINS?`);
    }, readyMs);
    this.#post("hello", { greeting: this.ends.greeting, context: contextOf() });
  }

  /** The frame is about to load anew. */
  leave() {
    this.#ready = false;
    clearTimeout(this.#silence);
  }

  run(command: string, first?: unknown, second?: unknown) {
    if (command === "shown") this.#tell("shown", { visible: first });
    else if (command === "send") this.#tell("send", { text: `${first}`, context: contextOf(second) });
    else if (command === "prefill") this.#tell("prefill", { text: `${first}` });
    else if (command === "logout") this.#tell("logout");
    else if (command === "identify" && this.#ready) this.#vouch();
  }

  #hear({ source, origin, data }: MessageEvent) {
    const { ends } = this;
    if (source !== ends.frame.contentWindow || origin !== ends.origin) return;
    const { cip, ...detail } = Object(data);
    if (cip === "ready") {
      this.#ready = true;
      clearTimeout(this.#silence);
      this.#vouch();
      for (const words of this.#waiting.splice(0)) this.#tell(...words);
    }
    if (cip === "identify") this.#onAsked();
    if (events.includes(cip)) ends.hear(cip, detail);
  }

  /** The chat wants to know who the visitor is; one that has just begun is told so anyway. */
  #onAsked() {
    const message = "The chat wants to know who the visitor is, and the site has not said so.";
    if (this.ends.identity() === undefined) this.ends.hear("error", { code: "identity_required", message });
    if (this.#ready) this.#vouch();
  }

  /** Says who the visitor is, or that the site has not told; until that has come, the chat waits with what is asked. */
  async #vouch() {
    const identity = this.ends.identity();
    let vouched: Vouched | null | undefined;
    try {
      if (typeof identity === "function") {
        this.#post("identifying");
        vouched = await identity();
      } else vouched = identity;
    } catch (error) {
      reportError(error);
      this.ends.hear("error", { code: "identity_unavailable", message: String(error) });
    }
    // Another one by now, or nobody; or a chat that has begun anew, and is told by itself.
    if (identity !== this.ends.identity() || !this.#ready) return;
    const { user_id, user_hash } = Object(vouched);
    this.#post("identify", typeof vouched === "string" ? { identity: vouched } : { user_id, user_hash });
  }

  #tell(...words: Words) {
    if (this.#ready) this.#post(...words);
    else this.#waiting.push(words);
  }

  #post(cip: string, more: object = {}) {
    this.ends.frame.contentWindow?.postMessage({ cip, ...more }, this.ends.origin);
  }
}

/** Where the visitor is, or what the site says of that; no more than the server takes, or nothing could be asked. */
function contextOf(given?: unknown): PageContext {
  // What follows the # is often a secret, and never needed to know the page.
  const here = location.href.split("#")[0] ?? "";
  const { url = here, title = document.title, fields } = Object(Object(given).context);
  const context: PageContext = { title: `${title}`.slice(0, titleCharsMax) };
  if (/^https?:/.test(url)) context.url = url.length > urlCharsMax ? url.split("?")[0] : url;
  const whole = { ...context, fields };
  if (fields === undefined) return context;
  if (new Blob([JSON.stringify(whole)]).size <= contextBytesMax) return whole;
  console.warn(`cip: the context is longer than ${contextBytesMax} bytes, so its fields are left out.`);
  return context;
}
