// Every word that a script of the page says. The page comes with those of its language, from public/strings/.

import { page } from "./page.ts";

export type StringKey = keyof typeof page.strings;

/** `values` stand in for the names in braces. */
export function t(key: StringKey, values: Record<string, string> = {}): string {
  return page.strings[key].replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? "");
}
