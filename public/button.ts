// A chat's element on the host page and the button in it. Its style is a constructed sheet in a shadow root, which
// no policy of the host can refuse and no style of it can reach.

import css from "./button.css";
import type { Options, Site, Spot } from "./spot.ts";
import { wordsFor } from "./words.ts";

export const bubble =
  "M5 7.5A2.5 2.5 0 0 1 7.5 5h9A2.5 2.5 0 0 1 19 7.5v6a2.5 2.5 0 0 1-2.5 2.5H12l-4.5 4v-4A2.5 2.5 0 0 1 5 13.5z";

export function paint(options: Options, site: Site): Spot {
  const { tenant, target, accent, colorScheme, position, zIndex } = options;
  const host = make("cip-chat" as "div");
  const frame = make("div", "frame");
  host.dataset.tenant = tenant;
  const root = host.attachShadow({ mode: "open" });
  root.append(frame);
  dress(root, css);
  const scheme = colorScheme ?? site.color_scheme;
  frame.style.colorScheme = /^(light|dark)$/.test(scheme) ? scheme : "light dark";
  const colour = `#${accent}`;
  frame.style.setProperty("--accent", CSS.supports("color", colour) ? colour : site.accent);
  if (zIndex) frame.style.setProperty("--z-index", zIndex);
  frame.classList.toggle("left", (position ?? site.position) === "left");
  const spot = {
    options,
    site,
    host,
    frame,
    button: target ? undefined : draw(wordsFor(options, site).open),
  };
  if (spot.button) {
    frame.append(spot.button);
    place(spot);
  }
  return spot;
}

/** Beside the body, where a site that swaps its body leaves it alone. */
export function place({ host }: Spot) {
  document.documentElement.append(host);
}

export function dress(root: ShadowRoot, css: string) {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  root.adoptedStyleSheets.push(sheet);
}

export function make<Tag extends keyof HTMLElementTagNameMap>(tag: Tag, name = "") {
  const made = document.createElement(tag);
  made.className = name;
  return made;
}

function draw(label: string): HTMLButtonElement {
  const button = make("button");
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  button.type = "button";
  button.ariaLabel = label;
  button.ariaExpanded = "false";
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", bubble);
  svg.append(path);
  button.append(svg);
  return button;
}
