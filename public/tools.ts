// What can be done with an answer that has ended, beside copying it; loaded with the first that has.

import { editButton } from "./edit.ts";
import { iconButton } from "./element.ts";
import { rating } from "./rating.ts";
import { t } from "./strings.ts";
import { versions } from "./versions.ts";
import type { TurnActs, TurnView } from "./view.ts";

export function equip(view: TurnView, acts: TurnActs) {
  // What has been replaced can only be looked at.
  if (view.old || view.id === undefined) return;
  view.question.append(editButton(view, acts));
  if (view.status === "done") {
    const again = iconButton(t("regenerate"), "again");
    again.classList.add("again");
    again.addEventListener("click", () => acts.replace(view));
    view.tools.append(again);
  }
  if (view.text !== "") view.tools.append(...rating(view, view.id, acts));
  if (view.versions.length > 0) view.tools.append(versions(view, [...view.versions, view.id], acts));
}
