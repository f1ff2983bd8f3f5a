// What `window.cip` can do: commands go to all chats of the page or, as in `acme.open`, to those of one tenant;
// what the chats report goes to the site's handlers. Loaded when the first chat is opened, or told to do something.

import { Chat } from "./mount.ts";
import type { Call, Page } from "./spot.ts";

type Handler = { tenant: string | undefined; event: unknown; handle: (detail: object) => void };

const names = "open close toggle send prefill identify logout locale destroy on off".split(" ");

export class Commands {
  readonly #chats = new Map<string, Chat>();
  #handlers: Handler[] = [];
  /** Calls for chats that are still to come; the last of a kind that lasts is for all of those. */
  #waiting: Call[] = [];

  constructor(private readonly page: Page) {}

  /** Takes over what the loader has kept. */
  run() {
    for (const [key, spot] of this.page.spots) {
      if (spot === undefined || this.#chats.has(key)) continue;
      const { tenant } = spot.options;
      this.#chats.set(key, new Chat(spot, (event, detail) => this.#emit(tenant, event, detail)));
      const meant = this.#waiting.filter((call) => isFor(tenant, call));
      this.#waiting = this.#waiting.filter((call) => lasts(call) || !meant.includes(call));
      for (const call of meant) this.#tell(key, call);
    }
    for (const call of this.page.calls.splice(0)) this.#obey(call);
  }

  #obey(call: Call) {
    const { name, tenant } = parse(call);
    const [, event, handle] = call;
    if (!names.includes(name)) console.warn(`cip: there is no command "${call[0]}".`);
    else if (name === "on") this.#handlers.push({ tenant, event, handle: handle as Handler["handle"] });
    else if (name === "off")
      this.#handlers = this.#handlers.filter(
        (known) => known.event !== event || known.tenant !== tenant || (handle && known.handle !== handle),
      );
    else this.#dispatch(call);
  }

  #dispatch(call: Call) {
    const { name, tenant } = parse(call);
    const meant = [...this.#chats].filter(([, { spot }]) => isFor(spot.options.tenant, call));
    for (const [key] of meant) this.#tell(key, call);
    if (name === "destroy" && (tenant === undefined || this.page.spots.size === 0)) return this.page.end();
    if (name === "logout" || lasts(call)) {
      const overtaken = name === "logout" ? "identify" : name;
      this.#waiting = this.#waiting.filter((earlier) => parse(earlier).name !== overtaken);
    }
    if (meant.length === 0 || lasts(call)) this.#waiting.push(call);
  }

  #tell(key: string, call: Call) {
    const { name } = parse(call);
    this.#chats.get(key)?.run(name, call.slice(1));
    if (name !== "destroy") return;
    this.#chats.delete(key);
    this.page.spots.delete(key);
  }

  async #emit(tenant: string, event: string, detail?: object) {
    // Handlers that are named in the same breath are told as well.
    await undefined;
    for (const known of this.#handlers) {
      if (known.event !== event || (known.tenant ?? tenant) !== tenant) continue;
      // By itself: what it throws is reported as the site's own, and ends nothing here.
      queueMicrotask(() => known.handle({ tenant, ...detail }));
    }
  }
}

/** Of `acme.open` the command and the tenant. */
function parse([command]: Call): { name: string; tenant: string | undefined } {
  const [name = "", tenant] = `${command}`.split(".").reverse();
  return { name, tenant };
}

function isFor(tenant: string, call: Call): boolean {
  return (parse(call).tenant ?? tenant) === tenant;
}

function lasts(call: Call): boolean {
  return /^(identify|locale)$/.test(parse(call).name);
}
