// chat.html filled in for one visitor: words in one language, the site's title, greeting and logo, and its colours. The
// address says how it looks and in which language it speaks, never what: else a link could put words into a chat.
import type { Tenant } from "../config/config.ts";
import { accepted, type Language, languageFor } from "../config/languages.ts";
import { themeOf } from "../config/theme.ts";
import { colour, language, oneOf, type Parse, Wrong } from "../config/values.ts";
import { chatHeaders } from "./headers.ts";

/** What a visitor asks for: `?locale=`, `?color-scheme=`, `?accent=`, and the Accept-Language header. */
export type Wanted = { query: Record<string, string | undefined>; acceptLanguage: string | undefined };

/** When a scheme is dark, as a media query, and what browsers are told of it. */
const schemes = {
  auto: { darkWhen: "(prefers-color-scheme: dark)", scheme: "light dark" },
  light: { darkWhen: "not all", scheme: "light" },
  dark: { darkWhen: "all", scheme: "dark" },
} as const;

export function chatPage(html: string, tenant: Tenant, { query, acceptLanguage }: Wanted): Response {
  const { id, ui, allowedOrigins } = tenant;
  const locale = taken(language, query.locale);
  const spoken = languageFor([locale, ui.language, ...accepted(acceptLanguage)]);
  const { page } = spoken.words;
  const { darkWhen, scheme } = schemes[taken(parseScheme, query["color-scheme"]) ?? ui.colorScheme];
  const theme = themeOf(taken(colour, query.accent) ?? ui.accent, darkWhen);
  const words: Record<string, string> = {
    ...page,
    title: ui.title ?? page.title,
    greeting: ui.greeting ?? page.greeting,
    dark_when: darkWhen,
    scheme,
  };
  const markup: Record<string, string> = {
    theme: `<style>${theme}</style>`,
    // Another image, another address.
    logo: ui.logo ? `<img id="logo" src="/${id}/logo?${ui.logo.hash}" alt="">` : "",
    page: `<script type="application/json" id="page">${pageData(tenant, spoken, locale)}</script>`,
  };
  const filled = html
    .replace('lang="en" dir="ltr"', `lang="${spoken.tag}" dir="${spoken.direction}"`)
    .replace(/\{\{(\w+)\}\}/g, (_, name: string) => markup[name] ?? Bun.escapeHTML(words[name] ?? ""));
  return new Response(filled, { headers: chatHeaders(allowedOrigins, theme) });
}

const parseScheme = oneOf("auto", "light", "dark");

function taken<T>(parse: Parse<T>, text = ""): T | undefined {
  const value = text === "" ? undefined : parse(text);
  return value instanceof Wrong ? undefined : value;
}

/** What the page's scripts know, as JSON that cannot end the script element it stands in. */
function pageData(
  { id, ui, identity, model, messageCharsMax }: Tenant,
  { words }: Language,
  locale: string | undefined,
): string {
  const data = {
    tenant: id,
    strings: words.page,
    locale: locale ?? null, // for the model: it may know languages that the page does not
    suggestions: ui.suggestions,
    identity: identity.mode,
    demo: model.demo,
    message_chars_max: messageCharsMax,
  };
  return JSON.stringify(data).replaceAll("<", "\\u003c");
}
