// What a check came to: a line each, in words for the person who runs it.
import { visible } from "../terminal.ts";

/** `remedy`: what to do about it, where it is not well. */
export type Result = {
  state: "ok" | "warn" | "fail" | "unseen";
  what: string;
  seen: string;
  remedy?: string;
};

const labels = { ok: "ok  ", warn: "warn", fail: "FAIL", unseen: "-   " } as const;
const whatWidth = 16;

export function line({ state, what, seen, remedy }: Result): string {
  // What was seen may be in the words of a server that nobody knows.
  const first = `${labels[state]}  ${what.padEnd(whatWidth)}  ${visible(seen.replace(/\s+/g, " "))}`;
  return remedy ? `${first}\n${" ".repeat(8 + whatWidth)}→ ${remedy}` : first;
}

/** Of one thing that is looked at; what it throws is the failure. */
export const about = (what: string) => ({
  ok: (seen: string): Result => ({ state: "ok", what, seen }),
  unseen: (seen: string): Result => ({ state: "unseen", what, seen }),
  warn: (seen: string, remedy: string): Result => ({ state: "warn", what, seen, remedy }),
  fail: (seen: string, remedy: string): Result => ({ state: "fail", what, seen, remedy }),
});

/** In as many words as an error has for a person. */
export function wordsOf(error: unknown): string {
  const { message, code, cause } = error as { message?: string; code?: string; cause?: unknown };
  const words = message || code || "an unknown error";
  return cause instanceof Error && cause.message ? `${words}: ${cause.message}` : words;
}
