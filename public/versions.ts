// The answers that an answer has replaced, with the messages they were given to: leafed through in its place,
// each fetched when it is first looked at.

import { element, iconButton } from "./element.ts";
import { t } from "./strings.ts";
import { type TurnActs, TurnView } from "./view.ts";

/** `ids`: all versions, oldest first; the last is the one that `view` shows. */
export function versions(view: TurnView, ids: readonly string[], acts: TurnActs): HTMLElement {
  const place = view.element;
  const navigations = ids.map((_, at) => navigation(at, ids.length, (to, back) => show(at, to, back)));
  const shelf = new Map<number, Node[]>(); // what is not shown
  let shown = ids.length - 1;
  return navigations.at(-1) as HTMLElement;

  async function show(at: number, to: number, back: boolean) {
    // A second click, while the first one waits.
    if (shown !== at) return;
    shown = to;
    acts.say("");
    const next = shelf.get(to) ?? (await load(to).catch(() => undefined));
    if (next === undefined) {
      shown = at;
      return acts.say(t("problem_version"));
    }
    shelf.set(at, [...place.childNodes]);
    place.replaceChildren(...next);
    const [previousButton, nextButton] = navigations[to]?.querySelectorAll("button") ?? [];
    const wanted = back ? previousButton : nextButton;
    (wanted?.disabled ? (back ? nextButton : previousButton) : wanted)?.focus();
  }

  async function load(at: number): Promise<Node[]> {
    const old = TurnView.of(await acts.version(ids[at] ?? ""), acts, true);
    old.tools.append(navigations[at] as HTMLElement);
    old.tools.after(element("p", { class: "note" }, t("version_old")));
    return [...old.element.childNodes];
  }
}

function navigation(at: number, count: number, go: (to: number, back: boolean) => void): HTMLElement {
  const format = new Intl.NumberFormat(document.documentElement.lang);
  const [number, all] = [format.format(at + 1), format.format(count)];
  const label = t("version", { number, count: all });
  const step = (name: string, drawing: string, to: number) => {
    const button = iconButton(name, drawing);
    button.disabled = to < 0 || to >= count;
    button.addEventListener("click", () => go(to, to < at));
    return button;
  };
  const previous = step(t("version_previous"), "previous", at - 1);
  const next = step(t("version_next"), "next", at + 1);
  const words = element("span", {}, `${number}/${all}`);
  return element("div", { class: "versions", role: "group", "aria-label": label }, previous, words, next);
}
