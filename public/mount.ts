// One chat on the site, in its window or in an element: when its frame is loaded, where that is, whether it is
// seen, and what a command does. Until its frame is needed there is none.

import { dress, make } from "./button.ts";
import type { Identity } from "./cip.d.ts";
import { find } from "./find.ts";
import { Launcher } from "./launcher.ts";
import { Port } from "./port.ts";
import { isOpen, remember } from "./session.ts";
import type { Spot } from "./spot.ts";
import css from "./window.css";
import { wordsFor } from "./words.ts";

const lookEveryMs = 500;
const looksInSilence = 10;

export class Chat {
  readonly #gone = new AbortController();
  readonly #iframe = make("iframe");
  readonly #port: Port;
  #launcher: Launcher | undefined;
  #identity: Identity | undefined;
  #visible = false;

  constructor(
    readonly spot: Spot,
    private readonly emit: (event: string, detail?: object) => void,
  ) {
    const { host, frame, button, options } = spot;
    const { signal } = this.#gone;
    this.#port = new Port({
      frame: this.#iframe,
      origin: new URL(options.server).origin,
      greeting: options.greeting,
      signal,
      identity: () => this.#identity,
      hear: (event, detail) => this.#hear(event, detail),
    });
    this.#iframe.allow = "clipboard-write";
    this.#iframe.addEventListener("load", () => {
      this.#port.hello();
      // The focus that the window was given is its chat's, unless it has gone elsewhere meanwhile.
      if (host.shadowRoot?.activeElement === this.#iframe) this.#iframe.focus();
    });
    if (host.shadowRoot) dress(host.shadowRoot, css);
    if (button) this.#float(new Launcher(frame, button, () => this.#words(), signal));
    else this.#fill(options.target ?? "");
  }

  run(command: string, [first, second]: unknown[]) {
    if (command === "open" || command === "close") return this.#show(command === "open");
    if (command === "toggle") return this.#show(!this.#visible);
    if (command === "locale") return this.#speak(`${first}`);
    if (command === "destroy") return this.destroy();
    if (command === "identify" || command === "logout") this.#identity = first as Identity | undefined;
    // Only the frame can forget who was here.
    if (command === "logout") this.#load(this.#launcher?.window);
    else if (command !== "identify") this.#show(true);
    this.#port.run(command, first, second);
  }

  destroy() {
    this.#gone.abort();
    this.spot.host.remove();
  }

  #float(launcher: Launcher) {
    this.#launcher = launcher;
    const onKey = (event: KeyboardEvent) => {
      if (event.key === "Escape" && !event.defaultPrevented) this.#show(false);
    };
    document.addEventListener("keydown", onKey, { signal: this.#gone.signal });
    if (isOpen(this.spot.options)) this.#show(true, false);
  }

  /** Into the element that is meant, whenever there is one: a site may make it anew as the visitor goes about. */
  #fill(target: string) {
    const { host, frame } = this.spot;
    host.dataset.target = target;
    this.#load(frame);
    let looks = 0;
    const look = () => {
      if (host.isConnected) return;
      const place = find(target)[0];
      if (place) place.append(host);
      else if (++looks === looksInSilence)
        console.error(`cip: there is no element ${target} to put the chat into.`);
    };
    look();
    const timer = setInterval(look, lookEveryMs);
    this.#gone.signal.addEventListener("abort", () => clearInterval(timer));
  }

  #show(visible: boolean, focus = true) {
    if (!this.#launcher) return;
    const hadFocus = this.spot.host.shadowRoot?.activeElement;
    if (visible !== this.#visible) {
      this.#visible = visible;
      this.#launcher.show(visible);
      remember(this.spot.options.tenant, visible);
      this.#port.run("shown", visible);
      this.emit(visible ? "open" : "close");
    }
    if (visible) this.#load(this.#launcher.window);
    if (visible && focus) this.#iframe.focus();
    else if (hadFocus && !visible) this.#launcher.button.focus();
  }

  #load(place: HTMLElement | undefined) {
    if (!place || this.#iframe.src) return;
    this.#iframe.title = this.#words().chat;
    this.#iframe.src = this.#address();
    place.append(this.#iframe);
  }

  #hear(event: string, detail: { count?: number }) {
    if (event === "close") return this.#show(false);
    if (event === "ready") this.#onReady();
    if (event === "unread") this.#launcher?.unread(detail.count ?? 0);
    this.emit(event, detail);
  }

  #onReady() {
    // From here on the chat has a button of its own to close it. Until then, or if it never comes, ours stays.
    this.spot.frame.classList.add("ready");
    if (!this.#launcher) return;
    // One that has begun anew takes itself for seen, and has counted nothing.
    this.#port.run("shown", this.#visible);
    if (this.#launcher.count > 0) this.#hear("unread", { count: 0 });
  }

  #speak(locale: string) {
    this.spot.options.locale = locale;
    this.#launcher?.name();
    if (!this.#iframe.src) return;
    this.#iframe.title = this.#words().chat;
    this.#port.leave();
    // Unlike a new `src`, this leaves no step in the history of the host page.
    this.#iframe.contentWindow?.location.replace(this.#address());
  }

  #words() {
    return wordsFor(this.spot.options, this.spot.site);
  }

  /** The style comes with the address. Words never do, or anybody could put them there with a link. */
  #address(): string {
    const { options, site } = this.spot;
    const { server, tenant, accent, colorScheme, target } = options;
    const locale = options.locale ?? (site.language ? undefined : document.documentElement.lang);
    const address = new URL(tenant, server);
    for (const [name, value] of Object.entries({ locale, "color-scheme": colorScheme, accent }))
      if (value) address.searchParams.set(name, value);
    address.hash = target ? "inline" : "embed";
    return address.href;
  }
}
