// One turn as the visitor sees it: the message, the answer as it grows, and what became of it.

import type { Feedback, Part, Turn } from "./api.ts";
import { copyButton } from "./copy.ts";
import { element } from "./element.ts";
import { Markdown } from "./markdown.ts";
import { remark } from "./problems.ts";
import { type Ending, endingOf } from "./stream.ts";
import { t } from "./strings.ts";
import { Thoughts } from "./thoughts.ts";

// Rendering gets at most one part in this many of the time, so that a slow phone stays usable.
const restRatio = 5;

/** What can be done with a turn that has ended. */
export type TurnActs = {
  /** Has it answered anew, with the same or another message; it and what came after it give way. */
  replace(view: TurnView, message?: string): void;
  rate(id: string, feedback: Feedback): Promise<void>;
  version(id: string): Promise<Turn>;
  /** Something that went wrong with it, or right: said at the foot of the page. */
  say(words: string): void;
  /** Puts the buttons for all this under it. */
  equip(view: TurnView): void;
};

export class TurnView {
  readonly element: HTMLElement;
  readonly question: HTMLElement;
  readonly tools = element("div", { class: "tools", "aria-live": "off" });
  /** Unknown until the server has named the turn. */
  id: string | undefined;
  versions: string[] = [];
  feedback: Feedback | null = null;
  status: Turn["status"] = "running";
  /** Another answer has taken its place in the conversation. */
  old = false;
  /** How much of the answer is here, as its stream counts. */
  length = 0;
  readonly #answer: HTMLElement;
  readonly #waiting: HTMLElement;
  readonly #words = element("span", { class: "hidden" }, t("thinking"));
  readonly #parts: (Thoughts | Markdown)[] = [];
  #kind: Part["type"] | undefined;
  #frame = 0;
  #notBeforeMs = 0;

  constructor(
    readonly message: string,
    private readonly acts: TurnActs,
  ) {
    const dots = [element("i"), element("i"), element("i")];
    this.#waiting = element("div", { class: "waiting" }, ...dots, this.#words);
    this.#answer = element("div", { class: "answer" }, heading(t("answer")), this.#waiting);
    const text = element("p", { dir: "auto" }, message);
    this.question = element("div", { class: "question" }, heading(t("you")), text);
    this.element = element("article", { class: "turn" }, this.question, this.#answer);
  }

  /** A stored turn, with its answer as far as it goes. */
  static of(turn: Turn, acts: TurnActs, old = false): TurnView {
    const view = new TurnView(turn.message, acts);
    view.old = old;
    view.id = turn.id;
    view.versions = turn.versions;
    view.feedback = turn.feedback;
    for (const part of turn.parts) view.append(part.type, part.text, false);
    if (turn.status === "queued") view.waitFor(t("waiting_in_line"));
    else if (turn.status !== "running") view.end(endingOf(turn));
    return view;
  }

  get ended(): boolean {
    return this.status !== "running";
  }

  /** The answer's Markdown. */
  get text(): string {
    return this.#parts.map((part) => part.source).join("");
  }

  /** Says what an answer that has not begun is waiting for. */
  waitFor(words: string) {
    this.#words.textContent = words;
    this.#words.classList.remove("hidden");
  }

  append(kind: Part["type"], text: string, live = true) {
    this.length += text.length;
    if (kind !== this.#kind) this.#begin(kind, live);
    this.#parts.at(-1)?.append(text);
    this.#frame ||= requestAnimationFrame(this.#paint);
  }

  end(ending: Ending) {
    this.status = ending.status;
    cancelAnimationFrame(this.#frame);
    this.#parts.at(-1)?.end();
    this.#waiting.remove();
    const words = remark(ending);
    const foot = element("div", { class: "foot" });
    if (words !== undefined) foot.append(element("p", { class: `note ${ending.status}` }, words));
    if (ending.status !== "done" && !this.old) this.tools.append(this.#retryButton());
    if (this.text !== "") this.tools.append(copyButton("copy_answer", () => this.text));
    foot.append(this.tools);
    this.#answer.append(foot);
    this.acts.equip(this);
  }

  #begin(kind: Part["type"], live: boolean) {
    this.#parts.at(-1)?.end();
    this.#kind = kind;
    this.#words.classList.add("hidden");
    const part = kind === "text" ? new Markdown() : new Thoughts(live);
    this.#parts.push(part);
    this.#waiting.before(part.element);
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

  #retryButton(): HTMLElement {
    const button = element("button", { type: "button", class: "again" }, t("try_again"));
    button.addEventListener("click", () => this.acts.replace(this));
    return button;
  }
}

/** Lets a screen reader jump from message to message; the eye has the layout for that. */
function heading(words: string): HTMLElement {
  return element("h2", { class: "hidden" }, words);
}
