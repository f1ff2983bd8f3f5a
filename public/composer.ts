// The form at the foot: a box that grows with its text, a button that sends or stops, and the place where it
// is said why a message did not go. A text is only ever cleared when it has been taken.

import { find } from "./element.ts";
import { t } from "./strings.ts";

// From this share of the longest message on, its length is shown.
const countFrom = 0.9;

type Acts = { send: (message: string) => void; stop: () => void };

export class Composer {
  readonly #form = find<HTMLFormElement>("composer");
  readonly #box = find<HTMLTextAreaElement>("box");
  readonly #button = find<HTMLButtonElement>("send");
  readonly #count = find("count");
  readonly #error = find("error");
  #busy = false;
  #prefilled = "";

  constructor(
    private readonly charsMax: number,
    private readonly acts: Acts,
  ) {
    this.#box.addEventListener("input", () => this.#onInput());
    this.#box.addEventListener("keydown", (event) => this.#onKey(event));
    this.#form.addEventListener("submit", (event) => this.#onSubmit(event));
    // The width decides how many lines there are.
    new ResizeObserver(() => this.#fit()).observe(this.#form);
    this.busy = false;
  }

  focus() {
    this.#box.focus({ preventScroll: true });
  }

  /** While an answer is being written the button stops it; the next message can be typed already. */
  set busy(busy: boolean) {
    this.#busy = busy;
    this.#form.classList.toggle("busy", busy);
    this.#button.ariaLabel = t(busy ? "stop" : "send");
    this.#button.title = this.#button.ariaLabel;
    this.#update();
  }

  clear() {
    this.#box.value = "";
    this.#onInput();
  }

  /** Gives a message back that could not be sent, before anything typed since. */
  restore(message: string) {
    const typed = this.#box.value.trim();
    this.#box.value = typed === "" || typed === message ? message : `${message}\n\n${typed}`;
    this.#onInput();
  }

  /** A text that the site suggests, in place of its last one if that is still as it was. */
  prefill(text: string) {
    if (this.#box.value === this.#prefilled) this.#box.value = "";
    this.restore(text);
    this.#prefilled = this.#box.value;
  }

  complain(words: string) {
    this.#error.textContent = words;
    this.#error.hidden = words === "";
  }

  #onInput() {
    this.complain("");
    this.#fit();
    this.#update();
  }

  #onKey(event: KeyboardEvent) {
    // Enter that ends an input method's composition is not meant for us; Safari says so by the code only.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    if (!this.#busy) this.#submit();
  }

  #onSubmit(event: SubmitEvent) {
    event.preventDefault();
    if (this.#busy) this.acts.stop();
    else this.#submit();
  }

  #submit() {
    const message = this.#box.value.trim();
    if (message === "") return this.focus();
    if (message.length > this.charsMax) return this.complain(t("problem_message_too_long"));
    this.clear();
    this.acts.send(message);
  }

  #fit() {
    this.#box.style.height = "auto";
    this.#box.style.height = `${this.#box.scrollHeight}px`;
  }

  #update() {
    const length = this.#box.value.trim().length;
    this.#count.hidden = length < this.charsMax * countFrom;
    const number = new Intl.NumberFormat(document.documentElement.lang);
    this.#count.textContent = `${number.format(length)} / ${number.format(this.charsMax)}`;
    this.#count.classList.toggle("over", length > this.charsMax);
    this.#button.classList.toggle("idle", !this.#busy && length === 0);
  }
}
