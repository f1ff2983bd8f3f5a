// The few words that the loader says itself, in the language that its chat will have.

import type { Options, Site } from "./spot.ts";

export function wordsFor({ locale, launcherTitle }: Options, { title, language, words }: Site) {
  const wanted = [locale, language, document.documentElement.lang, ...navigator.languages, "en"];
  const tags = wanted.map((tag) => tag?.split("-", 1)[0]?.toLowerCase() ?? "");
  const tag = tags.find((tag) => Object.hasOwn(words, tag)) ?? "";
  const { open = "", close = "", chat = "", unread = {} } = words[tag] ?? {};
  const opening = launcherTitle ?? open;
  return {
    open: opening,
    close,
    chat: title ?? chat,
    /** The button's name while so many answers have come that nobody has seen. */
    unread(count: number): string {
      const form = unread[new Intl.PluralRules(tag).select(count)] ?? "";
      return form.replace("{open}", opening).replace("{count}", new Intl.NumberFormat(tag).format(count));
    },
  };
}
