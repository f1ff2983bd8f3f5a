// The languages that cip speaks: the words of the page, of the loader and of what stands where no page can be, and
// which language suits whom. `public/strings/` has one file of each.
import ar from "../../public/strings/ar.json";
import de from "../../public/strings/de.json";
import en from "../../public/strings/en.json";
import es from "../../public/strings/es.json";
import fr from "../../public/strings/fr.json";
import ja from "../../public/strings/ja.json";
import pt from "../../public/strings/pt.json";
import ru from "../../public/strings/ru.json";
import zh from "../../public/strings/zh.json";

/** By the categories of `Intl.PluralRules`. */
type Forms = Partial<Record<Intl.LDMLPluralRule, string>> & { other: string };

export type Words = Readonly<{
  page: (typeof en)["page"];
  loader: { open: string; close: string; unread: Forms };
  /** Where the page is not. */
  absent: (typeof en)["absent"];
}>;

export type Language = Readonly<{ tag: string; direction: "ltr" | "rtl"; words: Words }>;

export const languages: ReadonlyMap<string, Words> = new Map<string, Words>(
  Object.entries({ en, ru, de, es, fr, pt, zh, ja, ar }),
);

/** The first of the wanted that there are words in, as `pt` for pt-BR (RFC 4647, section 3.4); else English. */
export function languageFor(wanted: readonly (string | undefined)[]): Language {
  const tags = wanted.map((tag) => tag?.split("-", 1)[0]?.toLowerCase() ?? "");
  const tag = tags.find((tag) => languages.has(tag)) ?? "en";
  return { tag, direction: tag === "ar" ? "rtl" : "ltr", words: languages.get(tag) ?? en };
}

/** What an Accept-Language header names (RFC 9110, 12.5.4), the most wanted first. */
export function accepted(header = ""): string[] {
  return header
    .split(",")
    .map((range) => {
      const [, tag = "", weight = "1"] = /^\s*([\w-]+)\s*(?:;\s*q=([\d.]+)\s*)?$/i.exec(range) ?? [];
      return { tag, weight: Number(weight) };
    })
    .filter(({ tag, weight }) => tag !== "" && weight > 0)
    .sort((a, b) => b.weight - a.weight)
    .map(({ tag }) => tag);
}
