// One turn as the visitor sees it: the message, the answer as it grows, and what became of it.

import type { Part, Turn } from "./api.ts";
import { copyButton } from "./copy.ts";
import { element } from "./element.ts";
import { Markdown } from "./markdown.ts";
import { remark } from "./problems.ts";
import { type Ending, endingOf } from "./stream.ts";
import { t } from "./strings.ts";

// Rendering gets at most one part in this many of the time, so that a slow phone stays usable.
const restRatio = 5;

export class TurnView {
  readonly element: HTMLElement;
  readonly #answer: HTMLElement;
  readonly #waiting: HTMLElement;
  readonly #parts: (Text | Markdown)[] = [];
  #kind: Part["type"] | undefined;
  #summary: HTMLElement | undefined; // of the reasoning under way
  #frame = 0;
  #notBeforeMs = 0;

  constructor(
    readonly message: string,
    private readonly retry: (message: string) => void,
  ) {
    this.#waiting = element("div", { class: "waiting" }, element("span", { class: "hidden" }, t("thinking")));
    this.#waiting.append(element("i"), element("i"), element("i"));
    this.#answer = element("div", { class: "answer" }, heading(t("answer")), this.#waiting);
    const question = element("div", { class: "question" }, heading(t("you")));
    question.append(element("p", { dir: "auto" }, message));
    this.element = element("article", { class: "turn" }, question, this.#answer);
  }

  /** A stored turn, with its answer as far as it goes. */
  static of(turn: Turn, retry: (message: string) => void): TurnView {
    const view = new TurnView(turn.message, retry);
    for (const part of turn.parts) view.append(part.type, part.text);
    if (turn.status !== "queued" && turn.status !== "running") view.end(endingOf(turn));
    return view;
  }

  append(kind: Part["type"], text: string) {
    if (kind !== this.#kind) this.#begin(kind);
    const part = this.#parts.at(-1);
    if (part instanceof Text) part.appendData(text);
    else part?.append(text);
    this.#frame ||= requestAnimationFrame(this.#paint);
  }

  end(ending: Ending) {
    cancelAnimationFrame(this.#frame);
    this.#settlePart();
    this.#waiting.remove();
    const words = remark(ending);
    const foot = element("div", { class: "foot" });
    if (words !== undefined) foot.append(element("p", { class: `note ${ending.status}` }, words));
    const tools = element("div", { class: "tools" });
    if (ending.status !== "done") tools.append(this.#retryButton());
    if (this.#text() !== "") tools.append(copyButton("copy_answer", () => this.#text()));
    foot.append(tools);
    this.#answer.append(foot);
  }

  #begin(kind: Part["type"]) {
    this.#settlePart();
    this.#kind = kind;
    if (kind === "text") {
      const markdown = new Markdown();
      this.#parts.push(markdown);
      this.#waiting.before(markdown.element);
      return;
    }
    const text = new Text();
    this.#parts.push(text);
    this.#summary = element("summary", {}, t("thinking"));
    const thoughts = element("div", { class: "thoughts", dir: "auto" }, text);
    this.#waiting.before(element("details", { class: "reasoning" }, this.#summary, thoughts));
  }

  #settlePart() {
    const part = this.#parts.at(-1);
    if (part instanceof Markdown) part.end();
    if (this.#summary !== undefined) this.#summary.textContent = t("thoughts");
    this.#summary = undefined;
  }

  readonly #paint = (nowMs: number) => {
    if (nowMs < this.#notBeforeMs) {
      this.#frame = requestAnimationFrame(this.#paint);
      return;
    }
    this.#frame = 0;
    const part = this.#parts.at(-1);
    if (!(part instanceof Markdown)) return;
    const startedMs = performance.now();
    part.render();
    // Until there is something to read, the dots say that something will come.
    this.#waiting.hidden = part.element.childElementCount > 0;
    const endedMs = performance.now();
    this.#notBeforeMs = endedMs + (endedMs - startedMs) * restRatio;
  };

  #text(): string {
    return this.#parts.map((part) => (part instanceof Markdown ? part.source : "")).join("");
  }

  #retryButton(): HTMLElement {
    const button = element("button", { type: "button", class: "retry" }, t("try_again"));
    button.addEventListener("click", () => this.retry(this.message));
    return button;
  }
}

/** Lets a screen reader jump from message to message; the eye has the layout for that. */
function heading(words: string): HTMLElement {
  return element("h2", { class: "hidden" }, words);
}
