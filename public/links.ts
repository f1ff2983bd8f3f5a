// Where a link really leads. Its text is the model's to choose, its last words are ours: unless the text is the
// address itself, the host follows it, apart from all that could reorder, restyle or hide it.

import { element } from "./element.ts";

// What follows the scheme is the host, letter by letter: no user name before it, no look-alike in it.
const plain = /^(?:\w+:\/\/)?[\w.-]+(?::\d+)?(?:[/?#]|$)/;
const invisible = /\p{Cf}/u;
const placeCharsMost = 50;

/** Whether an address is safe to be read as it is written. */
export function isPlain(address: string): boolean {
  return plain.test(address) && !invisible.test(address);
}

/** Makes a link of an answer open elsewhere, give nothing away and say where it leads. */
export function finishLink(link: HTMLAnchorElement) {
  const mail = link.protocol === "mailto:";
  // It could name more recipients than the one that is shown.
  if (mail) link.search = "";
  const place = mail ? link.pathname : link.host;
  if (place === "") return link.removeAttribute("href");
  link.target = "_blank";
  link.rel = "noopener noreferrer nofollow";
  const text = link.textContent.trim();
  const own = text === place || (isPlain(text) && addressOf(text, link.protocol) === link.href);
  // Either keeps the order of letters within the link from reaching out of it; an address begins with its host.
  link.dir = own ? "ltr" : "auto";
  if (!own) link.append(element("small", { dir: "ltr" }, ` (${shortened(place)})`));
}

function addressOf(text: string, protocol: string): string {
  return element("a", { href: text.includes("://") ? text : `${protocol}//${text}` }).href;
}

/** Cut in its middle: who owns a host is said at its end. */
function shortened(place: string): string {
  return place.length > placeCharsMost ? `${place.slice(0, 12)}…${place.slice(13 - placeCharsMost)}` : place;
}
