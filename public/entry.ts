// One conversation in the list of them: opened by its title, renamed in its place, deleted after a question.

import type { Api, Entry } from "./api.ts";
import { element, iconButton } from "./element.ts";
import { t } from "./strings.ts";

type EntryActs = {
  isCurrent: boolean;
  open(): void;
  removed(): void;
  say(words: string): void;
};

const titleCharsMost = 200;

export function entry(api: Api, { id, title, updated_at }: Entry, acts: EntryActs): HTMLElement {
  const place = element("li", { class: "entry" });
  let name = title;
  show();
  return place;

  function show(focus?: "rename" | "delete") {
    const time = element("time", { datetime: updated_at }, ago(new Date(updated_at)));
    const words = element("span", { class: "entry-title", dir: "auto" }, name);
    const open = element("button", { type: "button", class: "entry-open" }, words, time);
    if (acts.isCurrent) open.ariaCurrent = "true";
    const rename = iconButton(t("rename", { title: name }), "new");
    const remove = iconButton(t("delete", { title: name }), "delete");
    open.addEventListener("click", acts.open);
    rename.addEventListener("click", showRename);
    remove.addEventListener("click", showDelete);
    place.replaceChildren(open, rename, remove);
    if (focus !== undefined) (focus === "rename" ? rename : remove).focus();
  }

  function showRename() {
    const box = element("input", {
      class: "box",
      "aria-label": t("rename_title"),
      maxlength: `${titleCharsMost}`,
      dir: "auto",
    });
    box.value = name;
    const form = element("form", { class: "row" }, box);
    form.append(element("button", { class: "small main" }, t("rename_save")));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const wanted = box.value.trim();
      if (wanted !== "")
        attempt(
          () => api.rename(id, wanted),
          () => {
            name = wanted;
            show("rename");
          },
        );
    });
    ask(form, "rename");
    box.select();
  }

  function showDelete() {
    const yes = element("button", { type: "button", class: "small danger" }, t("delete_yes"));
    const no = element("button", { type: "button", class: "small" }, t("cancel"));
    no.addEventListener("click", () => show("delete"));
    yes.addEventListener("click", () =>
      attempt(
        () => api.remove(id),
        () => {
          const next = place.nextElementSibling ?? place.previousElementSibling;
          const list = place.closest("dialog");
          place.remove();
          (next ?? list)?.querySelector("button")?.focus();
          acts.removed();
        },
      ),
    );
    const words = element("p", {}, t("delete_sure", { title: name }));
    ask(
      element(
        "div",
        { role: "group", "aria-label": words.textContent },
        words,
        element("div", { class: "row" }, yes, no),
      ),
      "delete",
    );
    no.focus();
  }

  /** In the place of the entry; Escape leads back to it, and does not close the panel. */
  function ask(form: HTMLElement, from: "rename" | "delete") {
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.isComposing) return;
      event.preventDefault();
      show(from);
    });
    place.replaceChildren(form);
  }

  async function attempt(act: () => Promise<void>, done: () => void) {
    acts.say("");
    try {
      await act();
    } catch {
      return acts.say(t("problem_action"));
    }
    done();
  }
}

/** Less than a minute ago is now. */
const moment = ["second", 60] as const;
const units = [
  ["minute", 60],
  ["hour", 3600],
  ["day", 86_400],
] as const;

/** How long ago within a week, and the date of what is older. */
function ago(time: Date): string {
  const { lang } = document.documentElement;
  const seconds = (Date.now() - time.getTime()) / 1000;
  const [unit, length] = units.findLast(([, length]) => seconds >= length) ?? moment;
  if (seconds >= 7 * 86_400) return new Intl.DateTimeFormat(lang, { dateStyle: "medium" }).format(time);
  const format = new Intl.RelativeTimeFormat(lang, { numeric: "auto" });
  return format.format(-Math.floor(seconds / length), unit);
}
