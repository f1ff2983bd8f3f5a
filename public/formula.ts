// A formula in an answer: its source as code until what draws it is there, and for good where it cannot be drawn.

import { element } from "./element.ts";
import type { Formula } from "./math.ts";

let typeset: typeof import("./typeset.ts").typeset | undefined;

/** A place for a formula, which is drawn there at once if it can be. */
export function formulaPlace({ raw, display }: Formula): HTMLElement {
  const place = element("span", { class: display ? "math display" : "math" }, element("code", {}, raw));
  if (typeset !== undefined) typeset(place, raw, display);
  else
    import("./typeset.ts")
      .then((loaded) => {
        typeset = loaded.typeset;
        typeset(place, raw, display);
      })
      .catch(() => {});
  return place;
}
