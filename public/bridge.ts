// The page's end of the talk with the site around it (port.ts has the other). Only the parent window is heard,
// and only from the origin that first said hello: frame-ancestors sees to it that it is a site of the tenant's.

import type { PageContext } from "./api.ts";
import type { Identity } from "./visitor.ts";

/** What the site may have the chat do. */
export type Acts = {
  /** The site listens from now on, so that the chat can be closed; `greeting` stands above an empty chat. */
  hello(greeting: string | undefined): void;
  /** `context`: the one for this message alone. */
  send(text: string, context: PageContext | undefined): void;
  prefill(text: string): void;
  /** The site is finding out who the visitor is, and will say. */
  identifying(): void;
  /** Nobody, if they are not signed in. */
  identify(identity: Identity | undefined): void;
  logout(): void;
};

type Words = Record<string, unknown>;

// A site vouches for a while; it is asked again this long before, so that no message meets an ended token.
const identityLeadMs = 60_000;
// What setTimeout can count to.
const timerMostMs = 2 ** 31 - 1;

export class Bridge {
  /** Where the visitor is on the site, as far as the site tells. */
  context: PageContext | undefined;
  #origin: string | undefined;
  #visible = true;
  #unread = 0;
  #renewal: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly acts: Acts) {
    if (window.parent !== window) addEventListener("message", (event) => this.#hear(event));
  }

  close() {
    this.#say("close");
  }

  /** A message of the visitor is stored. */
  sent(text: string, turnId: string) {
    this.#say("message", { text, turn_id: turnId });
  }

  /** An answer has ended as `status`; one that nobody saw is counted. */
  answered(turnId: string, status: string) {
    this.#say("answer", { turn_id: turnId, status });
    if (!this.#visible) this.#count(this.#unread + 1);
  }

  failed(code: string, message: string) {
    this.#say("error", { code, message });
  }

  /** Asks the site who the visitor is; false where no site listens. */
  askIdentity(): boolean {
    this.#say("identify");
    return this.#origin !== undefined;
  }

  #hear({ source, origin, data }: MessageEvent) {
    if (source !== window.parent || typeof data !== "object" || data === null) return;
    if (this.#origin === undefined) {
      // A parent without an origin could not be answered without everybody hearing it.
      if (data.cip !== "hello" || origin === "null") return;
      this.#origin = origin;
    }
    if (origin === this.#origin) this.#obey(data);
  }

  #obey(data: Words) {
    const { cip, text } = data;
    if (cip === "hello") {
      this.context = contextIn(data);
      this.acts.hello(typeof data.greeting === "string" ? data.greeting : undefined);
      this.#say("ready");
    } else if (cip === "shown") {
      this.#visible = data.visible === true;
      if (this.#visible && this.#unread > 0) this.#count(0);
    } else if (cip === "context") this.context = contextIn(data);
    else if (cip === "send" && typeof text === "string") this.acts.send(text, contextIn(data));
    else if (cip === "prefill" && typeof text === "string") this.acts.prefill(text);
    else if (cip === "identifying") this.acts.identifying();
    else if (cip === "identify") this.#identify(data);
    else if (cip === "logout") {
      clearTimeout(this.#renewal);
      this.acts.logout();
    }
  }

  #identify({ identity, user_id, user_hash }: Words) {
    clearTimeout(this.#renewal);
    if (typeof identity === "string") {
      const leftMs = endOf(identity) - Date.now();
      const waitMs = Math.min(Math.max(leftMs - identityLeadMs, leftMs / 2), timerMostMs);
      if (leftMs > 0) this.#renewal = setTimeout(() => this.askIdentity(), waitMs);
      this.acts.identify({ identity });
    } else if (typeof user_id === "string" && typeof user_hash === "string") {
      this.acts.identify({ user_id, user_hash });
    } else this.acts.identify(undefined);
  }

  #count(unread: number) {
    this.#unread = unread;
    this.#say("unread", { count: unread });
  }

  #say(cip: string, more: Words = {}) {
    if (this.#origin !== undefined) window.parent.postMessage({ cip, ...more }, this.#origin);
  }
}

function contextIn({ context }: Words): PageContext | undefined {
  return typeof context === "object" && context !== null ? context : undefined;
}

/** When a JWT ends, in ms since 1970; of what says no end it is never asked for anew. */
function endOf(jwt: string): number {
  try {
    const payload = jwt.split(".")[1] ?? "";
    const { exp } = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/")));
    return typeof exp === "number" ? exp * 1000 : 0;
  } catch {
    return 0;
  }
}
