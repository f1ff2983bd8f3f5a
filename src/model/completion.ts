// What a chat completion has said so far, document by document. They are not trusted to have any shape at all.
import { Fault } from "./fault.ts";
import type { Splitter } from "./reasoning.ts";
import { Template } from "./template.ts";

export type Usage = { input_tokens: number; output_tokens: number };

type Said = { content?: unknown; reasoning_content?: unknown; reasoning?: unknown };
type Choice = { index?: unknown; delta?: Said | null; message?: Said | null; finish_reason?: unknown } | null;
type Chunk = { error?: unknown; choices?: Choice[]; usage?: Record<string, unknown> | null };

export class Completion {
  finishReason: unknown;
  usage: Usage | null = null;
  /** `[DONE]` was seen: nothing of interest follows. */
  done = false;
  /** Set with each content and the finish reason, cleared by the reader. */
  heard = false;
  /** How many documents were taken; begun anew by the reader. */
  count = 0;
  readonly #splitter: Splitter;
  readonly #template = new Template();
  #charsLeft: number;

  constructor(splitter: Splitter, charsMax: number) {
    this.#splitter = splitter;
    this.#charsLeft = charsMax;
  }

  /** What follows is not wanted. */
  get full(): boolean {
    return this.#charsLeft < 0;
  }

  get finished(): boolean {
    return this.finishReason !== undefined;
  }

  /** Takes frames where they stand, as long as they are like those before; returns where they end. `flush` has to follow. */
  skim(bytes: Buffer, from: number, to: number): number {
    let at = from;
    while (at < to && !this.done && !this.full) {
      const end = this.#template.read(bytes, at, to);
      if (end === 0 && this.#template.length === 0) break;
      if (end > 0) {
        at = end;
        this.count++;
      }
      if (end === 0 || this.#template.length > this.#charsLeft) this.flush();
    }
    return at;
  }

  /** Hands on what was said by frames that were taken where they stand. */
  flush(): void {
    if (this.#template.length > 0) this.#add("", this.#template.take());
  }

  take(data: string): void {
    this.count++;
    if (this.done || this.full || data === "") return;
    if (data.startsWith("[DONE]")) {
      this.done = true;
      return;
    }
    const chunk = parse(data);
    if (chunk.error)
      throw new Fault("model_failed", `an error in the stream: ${JSON.stringify(chunk.error)}`);
    if (chunk.usage) this.usage = usageOf(chunk.usage) ?? this.usage;
    const choice = choiceOf(chunk);
    if (!choice) return;
    const said = choice.delta ?? choice.message;
    if (said) this.#say(said);
    if (choice.finish_reason) {
      this.finishReason ??= choice.finish_reason;
      this.heard = true;
    }
    const text = onlyText(chunk);
    if (text) this.#template.learn(data, text, (other) => onlyText(parse(other)));
  }

  /** DeepSeek and llama.cpp say `reasoning_content`, vLLM, Ollama and OpenRouter `reasoning`, some both alike. */
  #say({ content, reasoning_content, reasoning }: Said): void {
    const thought = textOf(reasoning_content) || textOf(reasoning);
    const text = textOf(content);
    this.#add(thought, text);
  }

  #add(thought: string, text: string): void {
    if (thought !== "") this.#splitter.reasoning(thought);
    if (text !== "") this.#splitter.text(text);
    if (thought !== "" || text !== "") this.heard = true;
    this.#charsLeft -= thought.length + text.length;
    if (this.full) this.finishReason ??= "length";
  }
}

function parse(data: string): Chunk {
  let chunk: unknown;
  try {
    chunk = JSON.parse(data);
  } catch {
    // Whole: a key that was cut here would not be known, and taken out, later.
    throw new Fault("model_failed", `a chunk is not JSON: ${data}`);
  }
  if (typeof chunk !== "object" || chunk === null) throw new Fault("model_failed", "a chunk is no object");
  return chunk;
}

function choiceOf({ choices }: Chunk): Choice | undefined {
  return Array.isArray(choices) ? choices.find(isFirst) : undefined;
}

/** The text of a chunk that says nothing else. */
function onlyText(chunk: Chunk): string | undefined {
  const choice = choiceOf(chunk);
  const { content, reasoning_content, reasoning } = choice?.delta ?? {};
  const more = chunk.error || chunk.usage || choice?.finish_reason || reasoning_content || reasoning;
  return more ? undefined : textOf(content);
}

function isFirst(choice: Choice): boolean {
  return (choice?.index ?? 0) === 0;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function usageOf({ prompt_tokens, completion_tokens }: Record<string, unknown>): Usage | null {
  if (!isCount(prompt_tokens) || !isCount(completion_tokens)) return null;
  return { input_tokens: prompt_tokens, output_tokens: completion_tokens };
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 31; // as it is stored
}
