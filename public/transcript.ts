// The turns on the page, in their order: brought into agreement with what is stored without touching those that
// are right already, so that neither the reader's place nor a form that is open is lost.

import type { History, Turn } from "./api.ts";
import { explain } from "./problems.ts";
import type { Surface } from "./surface.ts";
import { type TurnActs, TurnView } from "./view.ts";

export class Transcript {
  #views: TurnView[] = [];

  readonly acts: TurnActs;
  readonly #log: HTMLElement;
  readonly #earlier: HTMLButtonElement;

  /** `older` reads the turns before those that are shown. */
  constructor(
    private readonly surface: Surface,
    private readonly older: (before: string) => Promise<History>,
    acts: Omit<TurnActs, "equip">,
  ) {
    const equip = (view: TurnView) => {
      // Not needed to read an answer; one without them is better than none.
      import("./tools.ts").then((tools) => tools.equip(view, this.acts)).catch(() => {});
    };
    this.acts = { ...acts, equip };
    this.#log = surface.log;
    this.#earlier = surface.earlier;
    this.#earlier.addEventListener("click", () => this.#showEarlier());
  }

  get messages(): string[] {
    return this.#views.map(({ message }) => message);
  }

  /** The id of the newest turn. */
  get newest(): string | undefined {
    return this.#views.at(-1)?.id;
  }

  /** The turn that is being answered; others may wait for it. */
  get live(): TurnView | undefined {
    return this.#views.find(({ ended }) => !ended);
  }

  append(view: TurnView) {
    this.#views.push(view);
    this.#log.append(view.element);
  }

  /** Takes away a view and all after it; what is returned puts them back, at the end. */
  cut(view: TurnView): () => void {
    const from = this.#views.indexOf(view);
    const gone = from === -1 ? [] : this.#views.splice(from);
    for (const { element } of gone) element.remove();
    return () => {
      for (const view of gone) this.append(view);
    };
  }

  clear() {
    this.#views = [];
    this.#log.replaceChildren();
    this.#setEarlier(null);
  }

  /** Shows the newest turns as they are stored; true if that changed anything. */
  sync({ turns, next_cursor }: History): boolean {
    const first = this.#views.findIndex(({ id }) => id === turns[0]?.id);
    if (first === -1) {
      this.clear();
      this.#setEarlier(next_cursor);
    }
    let same = 0;
    while (same < turns.length && this.#isRight(this.#views[first + same], turns[same])) same += 1;
    const wrong = this.#views.splice(Math.max(first, 0) + same);
    for (const { element } of wrong) element.remove();
    const missing = turns.slice(same);
    for (const turn of missing) this.append(TurnView.of(turn, this.acts));
    return wrong.length + missing.length > 0;
  }

  async #showEarlier() {
    const oldest = this.#views[0];
    // Disabled, it would lose the focus.
    if (this.#earlier.ariaDisabled === "true") return;
    this.#earlier.ariaDisabled = "true";
    try {
      const { turns, next_cursor } = await this.older(this.#earlier.value);
      if (this.#views[0] !== oldest) return; // another conversation is shown by now
      const views = turns.map((turn) => TurnView.of(turn, this.acts));
      this.#views.unshift(...views);
      this.surface.hold(() => this.#log.prepend(...views.map(({ element }) => element)));
      const hadFocus = document.activeElement === this.#earlier;
      this.#setEarlier(next_cursor);
      if (hadFocus && next_cursor === null) receiveFocus(oldest?.element);
    } catch (error) {
      this.surface.status(explain(error));
    } finally {
      this.#earlier.ariaDisabled = "false";
    }
  }

  #isRight(view: TurnView | undefined, turn: Turn | undefined): boolean {
    return view?.ended === true && view.id === turn?.id && view.status === turn?.status;
  }

  #setEarlier(cursor: string | null) {
    this.#earlier.hidden = cursor === null;
    this.#earlier.value = cursor ?? "";
  }
}

/** Goes on from what was being read, where the button that had the focus is no longer needed. */
function receiveFocus(element: HTMLElement | undefined) {
  if (element === undefined) return;
  element.tabIndex = -1;
  element.focus({ preventScroll: true });
}
