// The loader: draws the button and keeps what is said to `window.cip` until commands.ts, which is fetched once it
// is needed, can do it. However often the script runs, one loader serves the page and each chat is there once.

import { paint, place } from "./button.ts";
import { find } from "./find.ts";
import { isOpen } from "./session.ts";
import type { Call, Options, Page } from "./spot.ts";

/** `q` is what a stub has queued; `add` is what the next run of the script looks for. */
type Cip = { (...call: Call): void; q?: ArrayLike<unknown>[]; add?: (options: Options) => void };

const site = window as unknown as { cip: Cip | undefined };
// Not known to a module, nor in a shadow root.
const own = document.currentScript;
for (const script of own ? [own] : find("script[src*='/embed.js']")) {
  const { src, dataset } = script as HTMLScriptElement;
  const accent = dataset.accent?.replace("#", "") ?? "";
  const options = { tenant: "", ...dataset, accent, server: new URL(".", src).href };
  if (options.tenant) (site.cip?.add ?? begin(options.server))(options);
  else
    console.error('cip: the script that loads embed.js needs data-tenant="…", the name of the chat to show.');
}

function begin(server: string): (options: Options) => void {
  const page: Page = { spots: new Map(), calls: [], end };
  let commands: Promise<{ run(): void } | undefined> | undefined;
  let failures = 0;

  const cip: Cip = (...call) => {
    page.calls.push(call);
    // Who the visitor is, and who wants to hear of things, matters only once there is a chat.
    if (commands || !/^(.*\.)?(on|identify)$/.test(`${call[0]}`)) wake();
  };

  const add = async (options: Options) => {
    const { tenant, target } = options;
    const key = `${options.server}${tenant} ${target}`;
    const known = page.spots.get(key);
    if (known?.button && !known.host.isConnected) place(known);
    if (page.spots.has(key)) return;
    page.spots.set(key, undefined);
    const address = `${options.server}${tenant}/site.js`;
    const found = await import(address).catch(() => {});
    if (!document.body) await new Promise((go) => addEventListener("DOMContentLoaded", go, { once: true }));
    if (!found) {
      page.spots.delete(key);
      return console.error(`cip: there is no chat "${tenant}", or it cannot be reached: ${address}`);
    }
    if (site.cip !== cip) return;
    const spot = paint(options, found.default);
    const { button } = spot;
    page.spots.set(key, spot);
    button?.addEventListener("click", () => {
      cip(`${tenant}.${button.ariaExpanded === "true" ? "close" : "open"}`);
    });
    button?.addEventListener("pointerenter", wake, { once: true });
    if (commands || !button || isOpen(options)) wake();
  };

  function wake() {
    // Another address after a failure, since browsers may remember that.
    commands ??= import(`${server}commands.js?${failures}`).then(({ Commands }) => new Commands(page), lose);
    commands.then((commands) => commands?.run());
  }

  function lose(error: unknown): undefined {
    failures += 1;
    commands = undefined;
    console.error("cip:", error);
  }

  /** Leaves nothing but a stub that queues, as the one that sites put before the script. */
  function end() {
    for (const spot of page.spots.values()) spot?.host.remove();
    page.spots.clear();
    const calls: Call[] = [];
    site.cip = (...call) => calls.push(call);
    site.cip.q = calls;
  }

  page.calls.push(...Array.from(site.cip?.q ?? [], (call) => Array.from(call) as Call));
  cip.add = add;
  site.cip = cip;
  if (page.calls.length > 0) wake();
  return add;
}
