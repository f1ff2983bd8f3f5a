// The visitor's conversation with the tenant: loaded, asked in, followed, stopped and begun anew. What a reload
// must find again is written down before it is sent, and nothing here ends an answer but the visitor's stop.

import { type Api, newId, Problem, type Turn } from "./api.ts";
import { Outbox } from "./outbox.ts";
import { explain, remark } from "./problems.ts";
import type { Storage } from "./storage.ts";
import { follow, type Position, pause } from "./stream.ts";
import { t } from "./strings.ts";
import { TurnView } from "./view.ts";

/** What the conversation needs of the page around it. */
export type Surface = {
  log: HTMLElement;
  earlier: HTMLButtonElement;
  busy(busy: boolean): void;
  /** A lasting state, as that of the connection; empty when all is well. */
  status(words: string): void;
  /** Said to a screen reader, and not shown. */
  announce(words: string): void;
  /** A message that was not taken, and why. */
  refuse(message: string, words: string): void;
  toEnd(): void;
  hold(change: () => void): void;
};

type Run = { view: TurnView; position: Position; leave: AbortController; stopping: boolean };

// How often a message that a reload overtook is looked for before it is given back to the visitor.
const looksMost = 4;

export class Conversation {
  #id: string | undefined;
  readonly #outbox: Outbox;
  #run: Run | undefined;
  #loading = false;
  #leave = new AbortController();

  constructor(
    private readonly api: Api,
    private readonly storage: Storage,
    private readonly surface: Surface,
  ) {
    this.#id = storage.recall("conversation");
    this.#outbox = new Outbox(storage);
    surface.earlier.addEventListener("click", () => this.#loadEarlier());
  }

  /** Shows what has been said so far, and goes on with an answer that is still being written. */
  async load() {
    const id = this.#id;
    if (id === undefined) return;
    if (!this.api.known) return this.#giveBack();
    const { signal } = this.#leave;
    this.#loading = true;
    this.surface.log.ariaBusy = "true";
    for (let failures = 0; ; failures += 1) {
      try {
        const found = await this.#read(id, failures);
        signal.throwIfAborted();
        if (found) break;
      } catch (error) {
        if (signal.aborted) return;
        if (isGone(error)) return this.#forget();
        this.surface.status(t("reconnecting"));
      }
      await pause(failures, signal).catch(() => {});
      if (signal.aborted || this.#run !== undefined) return;
    }
    this.surface.status("");
    if (this.#run === undefined) this.surface.log.ariaBusy = "false";
  }

  async send(message: string) {
    if (this.#run !== undefined) return;
    if (this.#loading) return this.surface.refuse(message, t("problem_loading"));
    this.#id ??= newId();
    this.storage.remember("conversation", this.#id);
    const { conversationId, key } = this.#outbox.put(this.#id, message);
    const view = this.#show(new TurnView(message, this.#retry));
    this.surface.toEnd();
    const run = this.#begin(view, undefined, 0);
    try {
      const response = await this.api.ask(message, conversationId, key, run.leave.signal);
      await this.#follow(run, response);
    } catch (error) {
      await this.#onSendFailure(run, message, error);
    }
  }

  async stop() {
    const run = this.#run;
    if (run === undefined) return;
    run.stopping = true;
    if (run.position.id === undefined) return;
    try {
      await this.api.stop(run.position.id);
    } catch {
      run.stopping = false;
      if (this.#run === run) this.surface.status(t("problem_stop"));
    }
  }

  /** Leaves this conversation, which stays stored, for a new one. */
  reset() {
    this.#leave.abort();
    this.#leave = new AbortController();
    this.#run = undefined;
    this.#loading = false;
    this.#id = undefined;
    this.storage.forget("conversation");
    this.#outbox.clear();
    this.surface.log.replaceChildren();
    this.surface.earlier.hidden = true;
    this.surface.log.ariaBusy = "false";
    this.surface.busy(false);
    this.surface.status("");
  }

  /** Reads the newest turns; false while a message sent just before a reload may still be on its way. */
  async #read(id: string, looks: number): Promise<boolean> {
    const { unsent } = this.#outbox;
    let turns: Turn[] = [];
    let cursor: string | null = null;
    try {
      ({ turns, next_cursor: cursor } = await this.api.history(id));
    } catch (error) {
      if (!(error instanceof Problem && error.status === 404 && unsent !== undefined)) throw error;
    }
    if (this.#leave.signal.aborted) return true;
    this.#loading = false;
    this.surface.log.replaceChildren();
    this.#setEarlier(cursor);
    for (const turn of turns) this.#showStored(turn);
    this.surface.toEnd();
    if (unsent === undefined) return true;
    if (turns.at(-1)?.message === unsent.message) {
      this.#outbox.clear();
      return true;
    }
    if (looks < looksMost && this.#run === undefined) return false;
    this.#giveBack();
    return true;
  }

  #giveBack() {
    const { unsent } = this.#outbox;
    if (unsent !== undefined) this.surface.refuse(unsent.message, t("problem_unsent"));
  }

  #showStored(turn: Turn) {
    const view = this.#show(TurnView.of(turn, this.#retry));
    if (turn.status !== "running" && turn.status !== "queued") return;
    const offset = turn.parts.reduce((length, part) => length + part.text.length, 0);
    const run = this.#begin(view, turn.id, offset);
    this.#follow(run).catch((error) => this.#onFollowFailure(run, error));
  }

  #show(view: TurnView): TurnView {
    this.surface.log.append(view.element);
    return view;
  }

  #begin(view: TurnView, id: string | undefined, offset: number): Run {
    const run = { view, position: { id, offset }, leave: this.#leave, stopping: false };
    this.#run = run;
    this.surface.log.ariaBusy = "true";
    this.surface.busy(true);
    this.surface.announce(t("writing"));
    return run;
  }

  async #follow(run: Run, response?: Response) {
    for await (const event of follow(this.api, run.position, run.leave.signal, response)) {
      if (event.type === "lost") {
        this.surface.status(t("reconnecting"));
        continue;
      }
      this.surface.status("");
      if (event.type === "opened") {
        this.#outbox.clear();
        if (run.stopping) this.stop();
      } else if (event.type === "delta") {
        run.view.append(event.kind, event.text);
      } else {
        run.view.end(event.ending);
        this.#end(run);
        this.surface.announce(remark(event.ending) ?? t("answer_complete"));
      }
    }
  }

  #end(run: Run) {
    if (this.#run !== run) return;
    this.#run = undefined;
    this.surface.busy(false);
    this.surface.status("");
    this.surface.log.ariaBusy = "false";
  }

  async #onSendFailure(run: Run, message: string, error: unknown) {
    if (run.leave.signal.aborted) return;
    // Once the server has named the turn the message is stored, and only its answer is in question.
    if (run.position.id !== undefined) return this.#onFollowFailure(run, error);
    run.view.element.remove();
    this.#end(run);
    if (error instanceof Problem && !error.passing) this.#outbox.clear();
    const gone = isGone(error);
    if (gone) this.reset();
    this.surface.refuse(message, gone ? t("problem_gone") : explain(error));
    // Another tab has asked in this conversation: its answer is worth seeing here too.
    if (error instanceof Problem && error.code === "turn_running") {
      await this.load();
      this.surface.refuse(message, explain(error));
    }
  }

  async #onFollowFailure(run: Run, error: unknown) {
    if (run.leave.signal.aborted) return;
    this.#end(run);
    if (isGone(error)) return this.#forget();
    // More was shown than is stored: the server died in between. What is stored counts.
    if (error instanceof Problem && error.code === "invalid_cursor") return this.load();
    run.view.end({ status: "failed", code: null, finishReason: null });
  }

  #forget() {
    this.reset();
    this.surface.status(t("problem_gone"));
  }

  readonly #retry = (message: string) => void this.send(message);

  #setEarlier(cursor: string | null) {
    this.surface.earlier.hidden = cursor === null;
    this.surface.earlier.value = cursor ?? "";
  }

  async #loadEarlier() {
    const id = this.#id;
    const { signal } = this.#leave;
    if (id === undefined) return;
    this.surface.earlier.disabled = true;
    try {
      const { turns, next_cursor } = await this.api.history(id, this.surface.earlier.value);
      if (signal.aborted) return;
      const views = turns.map((turn) => TurnView.of(turn, this.#retry).element);
      this.surface.hold(() => this.surface.log.prepend(...views));
      this.#setEarlier(next_cursor);
    } catch (error) {
      this.surface.status(explain(error));
    } finally {
      this.surface.earlier.disabled = false;
    }
  }
}

/** What this visitor's token does not lead to will not come back. */
function isGone(error: unknown): boolean {
  return error instanceof Problem && (error.status === 404 || error.status === 401);
}
