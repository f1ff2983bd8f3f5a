// One answer under way: its stream shown as it comes, what it waits for said in words, and the visitor's stop
// handed on, also where that comes before the server has named the turn.

import type { Api } from "./api.ts";
import { explainWaiting } from "./patience.ts";
import { lost, remark } from "./problems.ts";
import { follow, type Position } from "./stream.ts";
import { t } from "./strings.ts";
import type { Surface } from "./surface.ts";
import type { TurnView } from "./view.ts";

export class Run {
  readonly #position: Position;
  readonly #spoken = new AbortController();
  #stopping = false;

  /** `left` is aborted when the visitor leaves the conversation. */
  constructor(
    readonly view: TurnView,
    readonly left: AbortSignal,
    private readonly api: Api,
    private readonly surface: Surface,
    private readonly on: { opened(turnId: string): void; ended(): void },
  ) {
    this.#position = { id: view.id, offset: view.length };
    surface.log.ariaBusy = "true";
    surface.busy(true);
    surface.announce(t("writing"));
    left.addEventListener("abort", () => this.#spoken.abort());
    explainWaiting(api, view, this.#spoken.signal);
  }

  /** Whether the server has named the turn, and so has the message. */
  get isStored(): boolean {
    return this.#position.id !== undefined;
  }

  /** Resolves when the answer has ended. */
  async follow(response?: Response) {
    const { view, surface } = this;
    for await (const event of follow(this.api, this.#position, this.left, response)) {
      if (event.type === "lost") {
        surface.status(lost(event.error));
        continue;
      }
      surface.status("");
      if (event.type === "opened") {
        view.id = event.turnId;
        this.on.opened(event.turnId);
        if (this.#stopping) this.stop();
      } else if (event.type === "delta") {
        this.#spoken.abort();
        view.append(event.kind, event.text);
      } else {
        view.end(event.ending);
        this.end(remark(event.ending) ?? t("answer_complete"));
        surface.answered(view.id ?? "", event.ending.status);
      }
    }
  }

  async stop() {
    this.#stopping = true;
    if (this.#position.id === undefined) return;
    try {
      await this.api.stop(this.#position.id);
    } catch {
      this.#stopping = false;
      if (!this.view.ended && !this.left.aborted) this.surface.status(t("problem_stop"));
    }
  }

  /** `words`: what a screen reader is told of it. */
  end(words = "") {
    this.#spoken.abort();
    if (this.left.aborted) return;
    const { surface } = this;
    surface.status("");
    surface.announce(words);
    surface.log.ariaBusy = "false";
    surface.busy(false);
    this.on.ended();
  }
}
