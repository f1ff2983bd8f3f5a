// Whether the window of a chat is open, kept for this tab: what was open before a reload is open after it.

import type { Options } from "./spot.ts";

/** True as well where the site opens it at first, and the visitor has not closed it since. */
export function isOpen({ tenant, open }: Options): boolean {
  const before = recall(tenant);
  // By itself it does not cover the whole screen of a phone.
  return before === "open" || (before === null && open !== undefined && open !== "false" && !coversScreen());
}

/** Whether an open window fills the screen, as window.css has it. */
export function coversScreen(): boolean {
  return innerWidth <= 480 || innerHeight <= 480;
}

function recall(tenant: string): string | null {
  try {
    return sessionStorage.getItem(`cip:${tenant}`);
  } catch {
    // Storage is blocked.
    return null;
  }
}

export function remember(tenant: string, open: boolean) {
  try {
    sessionStorage.setItem(`cip:${tenant}`, open ? "open" : "closed");
  } catch {}
}
