// What the tenant proposes to ask: all of it while nothing has been asked, and after an answer a few that are
// still left.

import { element } from "./element.ts";

const followUpsMost = 3;

export class Suggestions {
  constructor(
    private readonly place: HTMLElement,
    private readonly all: readonly string[],
    private readonly send: (message: string) => void,
  ) {}

  hide() {
    this.place.replaceChildren();
    this.place.hidden = true;
  }

  /** `asked`: the messages of the conversation. */
  offer(asked: readonly string[]) {
    const left = this.all.filter((message) => !asked.includes(message));
    const offered = asked.length === 0 ? left : left.slice(0, followUpsMost);
    // Those that are there already may have the focus.
    const shown = [...this.place.children].map(({ textContent }) => textContent);
    if (offered.join("\n") === shown.join("\n")) return;
    this.place.replaceChildren(...offered.map((message) => this.#button(message)));
    this.place.hidden = offered.length === 0;
  }

  #button(message: string): HTMLElement {
    const button = element("button", { type: "button", class: "suggestion", dir: "auto" }, message);
    button.addEventListener("click", () => this.send(message));
    return button;
  }
}
