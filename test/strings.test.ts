// The words of the page and the loader: the same ones in every language, all of them said, each in its own script.
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { languages, type Words } from "../src/config/languages.ts";
import { repository } from "./support.ts";

type Strings = Record<string, string>;
/** Everything that is said in a language, by a name for each. */
const flat = ({ page, loader, absent }: Words): Strings => {
  const { unread, ...rest } = loader;
  return { ...page, ...rest, ...absent, unread: unread.other };
};
const placeholders = (text: string) => [...new Set(text.match(/\{\w+\}/g) ?? [])].sort();

const english = flat(languages.get("en") as Words);
const tags = [...languages.keys()];
const others = tags.filter((tag) => tag !== "en");
const wordsOf = (tag: string) => languages.get(tag) as Words;

/** What the words of a language are written in, and names that are the same in all. */
const scripts: Record<string, RegExp> = {
  ru: /\p{Script=Cyrillic}/u,
  zh: /\p{Script=Han}/u,
  ja: /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/u,
  ar: /\p{Script=Arabic}/u,
};
const names = /JavaScript|Markdown|JSON|AI|\{\w+\}/g;

test("there are nine languages, and each file is one of them", () => {
  const files = [...new Bun.Glob("*.json").scanSync(join(repository, "public/strings"))];
  expect(files.sort()).toEqual(tags.map((tag) => `${tag}.json`).sort());
  expect(tags).toHaveLength(9);
});

describe.each(others)("%s", (tag) => {
  const strings = flat(wordsOf(tag));

  test("says all that English says, with the same places to fill", () => {
    expect(Object.keys(strings)).toEqual(Object.keys(english));
    for (const [key, words] of Object.entries(strings)) {
      expect(words.trim(), key).toBe(words);
      expect(words, key).not.toBe("");
      expect([key, placeholders(words)]).toEqual([key, placeholders(english[key] ?? "")]);
    }
  });

  test("leaves nothing in English and mixes no scripts", () => {
    const same = Object.keys(english).filter((key) => strings[key] === english[key]);
    expect(same.filter((key) => !["title", "chat", "conversations", "suggestions"].includes(key))).toEqual(
      [],
    );
    const script = scripts[tag];
    for (const [key, words] of Object.entries(strings)) {
      const letters = [...words.replace(names, "").matchAll(/\p{L}/gu)].map(([letter]) => letter);
      const foreign = letters.filter(
        (letter) => !(script ?? /\p{Script=Latin}/u).test(letter) && letter !== "ー",
      );
      expect([key, foreign]).toEqual([key, []]);
    }
  });

  test("ends a sentence as one, and a name as a name", () => {
    const endOf = (words: string) => /[.。]$/.test(words);
    for (const [key, words] of Object.entries(strings)) {
      if (!/^(demo|greeting)$/.test(key))
        expect([key, endOf(words)]).toEqual([key, endOf(english[key] ?? "")]);
      expect([key, words.endsWith("…")]).toEqual([key, (english[key] ?? "").endsWith("…")]);
    }
  });
});

test.each(tags)("%s counts in all the ways it has, and in no other", (tag) => {
  const { unread } = wordsOf(tag).loader;
  const { pluralCategories } = new Intl.PluralRules(tag).resolvedOptions();
  expect(Object.keys(unread).sort()).toEqual([...pluralCategories].sort());
  for (const form of Object.values(unread)) {
    expect(form).toContain("{open}");
    expect(placeholders(form).filter((name) => !["{open}", "{count}"].includes(name))).toEqual([]);
  }
});

test("every word of the page is said somewhere", () => {
  const folder = join(repository, "public");
  const sources = [...new Bun.Glob("*.{ts,html}").scanSync(folder)]
    .map((name) => readFileSync(join(folder, name), "utf8"))
    .join("\n");
  const keys = Object.keys(wordsOf("en").page);
  const unused = keys.filter((key) => !sources.includes(`"${key}"`) && !sources.includes(`{{${key}}}`));
  expect(unused).toEqual([]);
  expect(keys.length).toBeGreaterThan(60);
});

test("every place in chat.html is filled", () => {
  const html = readFileSync(join(repository, "public/chat.html"), "utf8");
  const places = [...html.matchAll(/\{\{(\w+)\}\}/g)].map(([, name = ""]) => name);
  const own = ["page", "theme", "logo", "scheme", "dark_when"];
  expect(places.filter((name) => !own.includes(name) && !(name in wordsOf("en").page))).toEqual([]);
});
