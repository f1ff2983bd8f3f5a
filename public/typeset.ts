// Draws formulas as MathML, which screen readers read. TeX is hostile input: here it defines nothing, is trusted with
// nothing and bounded in all it does, and what it becomes is made anew in mathml.ts. Loaded with the first formula.

import temml from "temml";
import { dress } from "./element.ts";
import formulas from "./formula.css";
import { texOf } from "./math.ts";
import { mathml } from "./mathml.ts";
import { paced } from "./paced.ts";

dress(formulas);

// Without definitions nothing can become much more than was written.
const definition =
  /\\(?:[egx]?def|let|futurelet|global|long|(?:re|provide)?(?:new)?command|definecolor)(?![a-zA-Z])/;

// The last block of an answer is made anew with every change of it, and its formulas are not drawn anew.
const keptMost = 200;
const drawn = new Map<string, DocumentFragment | undefined>();

/** Draws a formula in the place of its source, which stays where that is not possible. */
export function typeset(place: HTMLElement, formula: string, display: boolean) {
  if (drawn.has(formula)) show(place, formula, display);
  else paced(() => drawAt(place, formula, display));
}

function drawAt(place: HTMLElement, formula: string, display: boolean): boolean {
  const [oldest = formula] = drawn.keys();
  if (drawn.size >= keptMost) drawn.delete(oldest);
  drawn.set(formula, draw(texOf(formula), display));
  show(place, formula, display);
  return false;
}

function show(place: HTMLElement, formula: string, display: boolean) {
  const made = drawn.get(formula);
  if (made === undefined) return;
  // What is wide scrolls, for which Safari wants it to take the focus.
  if (display) place.tabIndex = 0;
  place.replaceChildren(made.cloneNode(true));
}

function draw(tex: string, displayMode: boolean): DocumentFragment | undefined {
  if (definition.test(tex)) return undefined;
  const bounds = { trust: false, maxExpand: 1_000, maxSize: [20, 300] as [number, number] };
  try {
    const tree = temml.__renderToMathMLTree(tex, { ...bounds, displayMode, throwOnError: true, wrap: "tex" });
    return mathml(tree);
  } catch {
    return undefined;
  }
}
