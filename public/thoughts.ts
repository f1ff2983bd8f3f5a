// A model's reasoning, folded away: while it goes on how long it has taken so far, and afterwards how long it took.

import { element } from "./element.ts";
import { t } from "./strings.ts";

export class Thoughts {
  readonly element: HTMLElement;
  readonly source = "";
  readonly #text = new Text();
  readonly #summary = element("summary", {}, t("thinking"));
  readonly #begunMs = performance.now();
  #clock: ReturnType<typeof setInterval> | undefined;

  /** `live`: seen from its beginning, so that its time is known. */
  constructor(live: boolean) {
    const thoughts = element("div", { class: "thoughts", dir: "auto" }, this.#text);
    this.element = element("details", { class: "reasoning" }, this.#summary, thoughts);
    if (live) this.#clock = setInterval(() => this.#tick(), 1000);
  }

  append(text: string) {
    this.#text.appendData(text);
  }

  end() {
    this.#summary.textContent = this.#clock ? t("thought_for", { time: this.#time() }) : t("thoughts");
    clearInterval(this.#clock);
  }

  #tick() {
    this.#summary.textContent = t("thinking_for", { time: this.#time() });
    // Left for another conversation: nobody will end it.
    if (!this.element.isConnected) clearInterval(this.#clock);
  }

  #time(): string {
    const seconds = Math.max(1, Math.round((performance.now() - this.#begunMs) / 1000));
    const format = { style: "unit", unit: "second", unitDisplay: "long" } as const;
    return new Intl.NumberFormat(document.documentElement.lang, format).format(seconds);
  }
}
