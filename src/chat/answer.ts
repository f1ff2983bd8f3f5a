// An answer that grows: segments in the order they were said, then one ending. Readers hold a place in it, never a copy.
import { log } from "../log.ts";
import type { Ending, Part } from "../rows/turns.ts";

/** A piece of the answer's part number `part`. `offset` is where it ends, counted over all segments in UTF-16 code units. */
export type Segment = Part & { part: number; offset: number };

/** Is told when there is more, or the ending: once for all that has changed until then. */
export type Listener = { wake(): void };

/**
 * Listeners are told when what came to the process together has been read, not in between: reads and writes, each among
 * their like, cost 7 % less (test/bench/). But not later than when so many answers have changed: with 1,500 readers all
 * of them would wait for one another.
 */
const toldTogether = 16;
let changed: Answer[] = [];

function tell(): void {
  const answers = changed;
  changed = [];
  for (const answer of answers) answer.wake();
}

export class Answer {
  readonly segments: Segment[] = [];
  /** Of all segments. */
  length = 0;
  ending: Ending | undefined;
  #listeners: readonly Listener[] = [];
  #pending: Part | undefined;
  #isChanged = false;

  /** Adds text; it is part of the answer with the next `flush`, so that what arrives together is passed on together. */
  append(type: Part["type"], text: string): void {
    if (text === "") return;
    if (this.#pending?.type === type) {
      this.#pending.text += text;
    } else {
      this.#store();
      this.#pending = { type, text };
    }
  }

  /** Makes what was added part of the answer, and has its listeners told. */
  flush(): void {
    this.#store();
    this.#change();
  }

  #store(): void {
    if (!this.#pending) return;
    const { type, text } = this.#pending;
    this.#pending = undefined;
    const last = this.segments.at(-1);
    this.length += text.length;
    const part = !last ? 0 : last.type === type ? last.part : last.part + 1;
    this.segments.push({ type, text, part, offset: this.length });
  }

  #change(): void {
    if (this.#isChanged) return;
    this.#isChanged = true;
    if (changed.length === 0) setImmediate(tell);
    changed.push(this);
    if (changed.length === toldTogether) tell();
  }

  /** One that cannot be told is no matter of the others, nor of the answer. */
  wake(): void {
    this.#isChanged = false;
    for (const listener of this.#listeners) {
      try {
        listener.wake();
      } catch (error) {
        this.unsubscribe(listener);
        log.error({ err: error }, "an answer could not be passed on");
      }
    }
  }

  /** Nothing is appended after this. */
  end(ending: Ending): void {
    this.#store();
    this.ending = ending;
    this.#change();
  }

  subscribe(listener: Listener): void {
    this.#listeners = [...this.#listeners, listener];
  }

  unsubscribe(listener: Listener): void {
    this.#listeners = this.#listeners.filter((other) => other !== listener);
  }

  /** Waits for the ending, at most `timeoutMs`. */
  async ended(timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const listener = { wake: () => this.ending && resolve() };
    this.subscribe(listener);
    const timer = setTimeout(resolve, this.ending ? 0 : timeoutMs);
    await promise;
    clearTimeout(timer);
    this.unsubscribe(listener);
  }

  /** The first segment that ends behind an offset; readers are at the end mostly. */
  segmentAfter(offset: number): number {
    let i = this.segments.length;
    while ((this.segments[i - 1]?.offset ?? 0) > offset) i--;
    return i;
  }

  /**
   * What follows an offset, as it is stored at this moment: neighbours of one type joined. Their segments are joined for
   * good: one for each token would be most of what an answer holds.
   */
  parts(after = 0): Part[] {
    const first = this.segmentAfter(after);
    const joined: Segment[] = [];
    for (const segment of this.segments.splice(first)) {
      const last = joined.at(-1);
      if (last?.part === segment.part) {
        last.text += segment.text;
        last.offset = segment.offset;
      } else joined.push(segment);
    }
    this.segments.push(...joined);
    return joined.map(({ type, text, offset }) => ({
      type,
      text: text.slice(Math.max(0, after - (offset - text.length))),
    }));
  }
}
