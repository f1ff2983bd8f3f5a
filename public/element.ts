// Building DOM without HTML: every node of the page that is not a model's Markdown is made here, so that no
// text can ever become markup and Trusted Types have nothing to object to.

type Attributes = Record<string, string | boolean | undefined>;

/** One element with its attributes (`true` is an empty one, `false` and `undefined` are left out) and children. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** A drawing of the sprite in chat.html; decoration only, so whatever carries it needs a name of its own. */
export function icon(name: string): SVGSVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** Style that comes along with a script which is loaded late; the policy of the page allows no style elements. */
export function dress(css: string) {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  document.adoptedStyleSheets.push(sheet);
}

/** A button that shows only a drawing, and so has its name as a label and for the pointer. */
export function iconButton(name: string, drawing: string): HTMLButtonElement {
  const button = element("button", { type: "button", class: "small-icon", "aria-label": name, title: name });
  button.append(icon(drawing));
  return button;
}

/** The element of chat.html with this id, which is there because the two files are built together. */
export function find<Type extends HTMLElement>(id: string): Type {
  return document.getElementById(id) as Type;
}
