// What the server wrote into the page (src/http/chatpage.ts): the site's settings and the words of one language.

import { find } from "./element.ts";
import type english from "./strings/en.json";

type Page = {
  tenant: string;
  strings: (typeof english)["page"];
  /** The language that was asked for by name, whether the page has words in it or not. */
  locale: string | null;
  demo: boolean;
  identity: "off" | "optional" | "required";
  suggestions: string[];
  message_chars_max: number;
};

export const page: Page = JSON.parse(find("page").textContent);
