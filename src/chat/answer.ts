// An answer that grows: segments in the order they were said, then one ending. Readers hold a place in it, never a copy.
import type { Ending, Part } from "../rows/turns.ts";

/** A piece of the answer. `offset` is where it ends, counted over all segments in UTF-16 code units. */
export type Segment = Part & { offset: number };

export class Answer {
  readonly segments: Segment[] = [];
  ending: Ending | undefined;
  #readers = new Set<() => void>();
  #pending: Part | undefined;
  /** As many segments are in `#parts` already. */
  #joined = 0;
  #parts: Part[] = [];

  get length(): number {
    return this.segments.at(-1)?.offset ?? 0;
  }

  /** Adds text; it is part of the answer with the next `store`, so that what arrives together is passed on together. */
  append(type: Part["type"], text: string): void {
    if (text === "") return;
    if (this.#pending?.type === type) {
      this.#pending.text += text;
    } else {
      this.store();
      this.#pending = { type, text };
    }
  }

  flush(): void {
    this.store();
    this.wake();
  }

  /** Makes what was added part of the answer; readers learn of it when they are woken. */
  store(): void {
    if (!this.#pending) return;
    const { type, text } = this.#pending;
    this.segments.push({ type, text, offset: this.length + text.length });
    this.#pending = undefined;
  }

  wake(): void {
    for (const wake of this.#readers) wake();
  }

  /** Nothing is appended after this. */
  end(ending: Ending): void {
    this.store();
    this.ending = ending;
    this.wake();
  }

  /** Calls `wake` at every change until the function it returns is called. */
  subscribe(wake: () => void): () => void {
    this.#readers.add(wake);
    return () => this.#readers.delete(wake);
  }

  /** Waits for the ending, at most `timeoutMs`. */
  async ended(timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const unsubscribe = this.subscribe(() => this.ending && resolve());
    const timer = setTimeout(resolve, this.ending ? 0 : timeoutMs);
    await promise;
    clearTimeout(timer);
    unsubscribe();
  }

  /** The answer as it is stored, at this moment: neighbours of one type joined. */
  parts(): Part[] {
    joinOnto(this.#parts, this.segments, this.#joined);
    this.#joined = this.segments.length;
    return this.#parts.map((part) => ({ ...part }));
  }

  /** The same of what was said from a segment on. */
  partsFrom(segment: number): Part[] {
    return joinOnto([], this.segments, segment);
  }
}

function joinOnto(parts: Part[], segments: readonly Segment[], from: number): Part[] {
  for (let i = from; i < segments.length; i++) {
    const { type, text } = segments[i] as Segment;
    const last = parts.at(-1);
    if (last?.type === type) last.text += text;
    else parts.push({ type, text });
  }
  return parts;
}
