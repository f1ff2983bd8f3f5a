// The visitor's conversation with the tenant: loaded, asked in, answered anew, left and begun. What a reload must
// find again is written down before it is sent, and nothing here ends an answer but the visitor's stop.

import { type Api, newId, type PageContext } from "./api.ts";
import { Outbox, type Unsent } from "./outbox.ts";
import { explain, isGone, lost } from "./problems.ts";
import { Run } from "./run.ts";
import type { Storage } from "./storage.ts";
import { pause } from "./stream.ts";
import { t } from "./strings.ts";
import type { Surface } from "./surface.ts";
import { Transcript } from "./transcript.ts";
import { TurnView } from "./view.ts";
import { Problem } from "./wire.ts";

// How often a message that a reload overtook is looked for before it is given back to the visitor.
const looksMost = 4;

export class Conversation {
  #id: string | undefined;
  readonly #outbox: Outbox;
  readonly #transcript: Transcript;
  #run: Run | undefined;
  #loading = false;
  #isNew = false; // by the visitor's wish, so that another tab's conversation does not come in
  #leave = new AbortController();

  constructor(
    private readonly api: Api,
    private readonly storage: Storage,
    private readonly surface: Surface,
  ) {
    this.#id = storage.recall("conversation");
    this.#outbox = new Outbox(storage);
    this.#transcript = new Transcript(surface, (before) => api.history(this.#id ?? "", before), {
      replace: (view, message = view.message) => void this.#ask(message, view),
      rate: (id, feedback) => this.api.rate(id, feedback),
      version: (id) => this.api.turn(id),
      say: (words) => this.surface.status(words),
    });
  }

  get id(): string | undefined {
    return this.#id;
  }

  /** What the visitor has asked, as far as it is shown. */
  get messages(): string[] {
    return this.#transcript.messages;
  }

  /** Shows what has been said so far, and goes on with an answer that is still being written. */
  async load() {
    const id = this.#id;
    if (id === undefined) return this.#settled();
    if (!this.api.visitor.known) return this.#giveBack();
    const { signal } = this.#leave;
    this.#loading = true;
    this.surface.log.ariaBusy = "true";
    for (let failures = 0; ; failures += 1) {
      try {
        if (await this.#read(id, failures, signal)) break;
      } catch (error) {
        if (signal.aborted) return;
        if (isGone(error)) return this.#forget();
        if (!(error instanceof Problem && error.passing)) return this.#settled(explain(error));
        this.surface.status(lost(error));
      }
      await pause(failures, signal).catch(() => {});
      if (signal.aborted || this.#run !== undefined) return;
    }
    this.#settled();
  }

  /** Catches up with what has been said in it elsewhere, as in another tab. */
  async refresh() {
    const id = this.#id;
    if (id === undefined) return this.#isNew ? undefined : this.changeVisitor();
    if (this.#loading || this.#run !== undefined || !this.api.visitor.known) return;
    const { signal } = this.#leave;
    const history = await this.api.history(id).catch(() => undefined);
    if (history === undefined || signal.aborted || this.#run !== undefined) return;
    if (!this.#transcript.sync(history)) return;
    this.surface.toEnd();
    this.#settled();
    this.#goOn();
  }

  send(message: string, context?: PageContext) {
    if (this.#loading) this.surface.refuse(message, t("problem_loading"));
    else this.#ask(message, undefined, context);
  }

  /** Takes back a message that has not reached the server, as far as this page knows. */
  takeBack(): Unsent | undefined {
    return this.#run?.isStored === false ? this.#outbox.take() : undefined;
  }

  stop() {
    this.#run?.stop();
  }

  /** Leaves this conversation, which stays stored, for a new one. */
  reset() {
    this.storage.forget("conversation");
    this.#outbox.clear();
    this.#isNew = true;
    this.#enter(undefined);
    this.#settled();
  }

  /** Leaves this conversation for another one of this visitor. */
  open(id: string) {
    this.storage.remember("conversation", id);
    this.#outbox.clear();
    this.#enter(id);
    this.load();
  }

  /** Somebody else is here now: what is shown is not theirs. */
  changeVisitor(): Promise<void> {
    this.#enter(this.storage.recall("conversation"));
    return this.load();
  }

  #enter(id: string | undefined) {
    this.#leave.abort();
    this.#leave = new AbortController();
    this.#run = undefined;
    this.#loading = false;
    this.#id = id;
    this.#transcript.clear();
    this.surface.status("");
    this.surface.announce("");
  }

  /** Reads the newest turns; false while a message sent just before a reload may still be on its way. */
  async #read(id: string, looks: number, signal: AbortSignal): Promise<boolean> {
    const history = await this.api.history(id).catch((error) => {
      if (!isGone(error) || this.#outbox.unsent === undefined) throw error;
      return { turns: [], next_cursor: null };
    });
    signal.throwIfAborted();
    this.#loading = false;
    if (this.#run === undefined) {
      this.#transcript.sync(history);
      this.surface.toEnd();
      this.#goOn();
    }
    if (this.#outbox.missing(history.turns) === undefined) return true;
    if (looks < looksMost && this.#run === undefined) return false;
    this.#giveBack();
    return true;
  }

  #giveBack() {
    const { unsent } = this.#outbox;
    if (unsent !== undefined) this.surface.refuse(unsent.message, t("problem_unsent"));
    this.#settled();
  }

  /** Nothing is loaded or written any more; `words`: what came in the way. */
  #settled(words = "") {
    this.#loading = false;
    if (this.#run !== undefined) return;
    this.surface.status(words);
    this.surface.log.ariaBusy = "false";
    this.surface.busy(false);
  }

  /** Follows the answer that is being written, if any. */
  #goOn() {
    const { live } = this.#transcript;
    if (live === undefined) return;
    const run = this.#begin(live);
    run.follow().catch((error) => this.#onFollowFailure(run, error));
  }

  /** Asks, or has `replaced` answered anew, which comes back if that is refused. */
  async #ask(message: string, replaced?: TurnView, context = this.surface.context()) {
    if (this.#run !== undefined) return this.surface.refuse(replaced ? "" : message, t("problem_busy"));
    this.#id ??= newId();
    this.storage.remember("conversation", this.#id);
    const asked = { conversation_id: this.#id, message, replaces: replaced?.id, context };
    const { key, question } = this.#outbox.put(asked, this.#transcript.newest);
    const putBack = replaced && this.#transcript.cut(replaced);
    const view = new TurnView(message, this.#transcript.acts);
    if (replaced?.id !== undefined) view.versions = [...replaced.versions, replaced.id];
    this.#transcript.append(view);
    const run = this.#begin(view);
    this.surface.begun();
    try {
      await run.follow(await this.api.ask(question, key, run.left));
    } catch (error) {
      await this.#onSendFailure(run, error, putBack);
    }
  }

  #begin(view: TurnView): Run {
    const run = new Run(view, this.#leave.signal, this.api, this.surface, {
      opened: (turnId) => {
        this.#outbox.clear();
        this.storage.remember("turn", turnId);
        this.surface.asked(view.message, turnId);
      },
      ended: () => {
        this.#run = undefined;
        this.#goOn();
      },
    });
    this.#run = run;
    return run;
  }

  async #onSendFailure(run: Run, error: unknown, putBack: (() => void) | undefined) {
    if (run.left.aborted) return;
    // Once the server has named the turn the message is stored, and only its answer is in question.
    if (run.view.id !== undefined) return this.#onFollowFailure(run, error);
    const message = putBack === undefined ? run.view.message : "";
    this.#transcript.cut(run.view);
    putBack?.();
    run.end();
    if (error instanceof Problem && !error.passing) this.#outbox.clear();
    const gone = isGone(error);
    if (gone) this.reset();
    const words = gone ? t("problem_gone") : explain(error);
    this.surface.refuse(gone ? run.view.message : message, words);
    this.surface.failed(error instanceof Problem ? error.code : "internal", words);
    // Something was asked here elsewhere meanwhile, which is worth seeing.
    if (!(error instanceof Problem && error.turnId !== undefined)) return;
    await this.load();
    this.surface.refuse(message, words);
  }

  #onFollowFailure(run: Run, error: unknown) {
    if (run.left.aborted) return;
    if (isGone(error)) return this.#forget();
    // More was shown than is stored: the server died in between. What is stored counts.
    const isAhead = error instanceof Problem && error.code === "invalid_cursor";
    if (isAhead) this.#transcript.cut(run.view);
    else run.view.end({ status: "failed", code: null, finishReason: null });
    run.end(t("note_failed"));
    if (isAhead) this.load();
  }

  #forget() {
    this.reset();
    this.surface.status(t("problem_gone"));
  }
}
