// From Temml's tree to MathML elements of our own making: only the elements, attributes and styles named here come
// through, so that no formula loads, links, identifies, hides or leaves its place.

/** What Temml builds, as far as it matters here: an element, or a text, or neither (a fragment). */
export type Tree = {
  type?: string;
  text?: string;
  children?: Tree[];
  classes?: string[];
  attributes?: Record<string, unknown>;
  style?: Record<string, unknown>;
};

const words = (text: string) => new Set(text.split(" "));
const elements = words(
  "math menclose mfrac mi mmultiscripts mn mo mover mpadded mphantom mprescripts mroot mrow mspace msqrt mstyle msub msubsup msup mtable mtd mtext mtr munder munderover",
);
const attributes = words(
  "accent accentunder depth display displaystyle fence form height largeop linethickness lspace mathvariant maxsize minsize movablelimits rspace scriptlevel separator stretchy symmetric voffset width",
);
const classes = words(
  "downstrike tml-cancel tml-fbox tml-jot tml-left tml-overline tml-right tml-underline upstrike",
);
const styles = words(
  "borderBottom borderLeft borderRight borderTop border fontWeight padding paddingBottom paddingLeft paddingRight paddingTop width",
);

const letter = /^[\p{Script=Latin}\p{Script=Greek}]$/u;

const depthMost = 60;
const elementsMost = 2_000;
// In whatever unit: an arrow or a gap of this size is drawn, a formula that reaches out of the answer is not.
const sizeMost = 25;

/** Throws when there is too much of it. */
export function mathml(tree: Tree): DocumentFragment {
  let left = elementsMost;
  const fragment = document.createDocumentFragment();
  add(tree, fragment, 0);
  return fragment;

  function add({ type, text, children = [], ...looks }: Tree, parent: Node, depth: number) {
    if (left-- === 0 || depth > depthMost) throw new RangeError("too large a formula");
    if (text !== undefined) parent.appendChild(new Text(text));
    const made = type !== undefined && elements.has(type) ? elementOf(type, looks) : undefined;
    if (made !== undefined) parent.appendChild(made);
    // A letter alone is meant to be italic.
    const isUpright = looks.attributes?.mathvariant === "normal";
    if (type === "mi" && !isUpright && letter.test(children[0]?.text ?? "")) made?.classList.add("variable");
    for (const child of children) add(child, made ?? parent, depth + 1);
  }
}

function elementOf(type: string, looks: Tree): Element {
  const made = document.createElementNS("http://www.w3.org/1998/Math/MathML", type) as MathMLElement;
  for (const [name, value] of Object.entries(looks.attributes ?? {}))
    if (attributes.has(name) && isModest(value)) made.setAttribute(name, `${value}`);
  for (const [name, value] of Object.entries(looks.style ?? {}))
    if (styles.has(name) && isModest(value))
      made.style.setProperty(name.replace(/[A-Z]/g, "-$&").toLowerCase(), `${value}`);
  made.classList.add(...(looks.classes ?? []).filter((name) => classes.has(name)));
  return made;
}

/** Words and numbers only, and none that is large except of a hundred. */
function isModest(value: unknown): boolean {
  const text = `${value}`;
  const sizes = text.match(/[\d.]+(?![\d.%])/g) ?? [];
  return /^[-+\w.% ]*$/.test(text) && sizes.every((size) => Number(size) <= sizeMost);
}
