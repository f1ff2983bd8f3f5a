// Blocks of code: how one looks, and how one that is still being written grows without ever being read twice.

import { copyButton } from "./copy.ts";
import { element } from "./element.ts";
import { highlight } from "./highlight.ts";

const linesPerSegment = 50;

/** A block with its language and a button to copy it; its text is to be put into `code`, in segments. */
export function codeBlock(language: string): { element: HTMLElement; code: HTMLElement } {
  const code = element("code");
  const copy = copyButton("copy_code", () => code.textContent);
  const bar = element("div", { class: "code-bar" }, element("span", {}, language), copy);
  const pre = element("pre", { tabindex: "0", dir: "ltr" }, code);
  return { element: element("div", { class: "code" }, bar, pre), code };
}

/** Text in segments, each a block of its own, so that the browser lays out only one of them again. */
export function segmentsOf(text: string): HTMLElement[] {
  // A last line without an end belongs to the lines before it.
  const segments =
    text.match(new RegExp(`(?:[^\\n]*\\n){1,${linesPerSegment}}(?:[^\\n]+$)?|[^\\n]+$`, "g")) ?? [];
  return segments.map((segment) => element("span", {}, segment));
}

/** A fenced block that is open; takes the stream from the line after the fence to the closing one. */
export class Fence {
  readonly element: HTMLElement;
  readonly #code: HTMLElement;
  readonly #closing: RegExp;
  readonly #partial: RegExp;
  #line = ""; // what of the current line may still be the closing fence, and so is not shown
  #atLineStart = true;
  #segment: Text | undefined;
  #segmentLines = 0;

  constructor(
    mark: string,
    private readonly language: string,
  ) {
    const block = codeBlock(language);
    const character = mark.charAt(0);
    this.element = block.element;
    this.#code = block.code;
    this.#closing = new RegExp(`^ {0,3}${character}{${mark.length},}[ \\t]*$`);
    this.#partial = new RegExp(`^ {0,3}${character}*[ \\t]*$`);
  }

  /** Shows what belongs to the block; returns what follows it, or undefined while it stays open. */
  take(text: string): string | undefined {
    let rest = this.#line + text;
    this.#line = "";
    while (rest !== "") {
      const newline = rest.indexOf("\n");
      const line = newline === -1 ? rest : rest.slice(0, newline);
      if (this.#atLineStart && newline === -1 && this.#partial.test(line)) {
        this.#line = line;
        return undefined;
      }
      if (this.#atLineStart && this.#closing.test(line)) {
        this.#close();
        return rest.slice(newline + 1);
      }
      this.#show(newline === -1 ? line : `${line}\n`);
      this.#atLineStart = newline !== -1;
      rest = newline === -1 ? "" : rest.slice(newline + 1);
    }
    return undefined;
  }

  /** A block that the answer ends in has all its lines, unless the last is a fence without a line end. */
  end() {
    if (!this.#closing.test(this.#line)) this.#show(this.#line);
    this.#close();
  }

  #close() {
    const segment = this.#segment;
    // The line end before the closing fence belongs to the fence.
    if (segment?.data.endsWith("\n")) segment.deleteData(segment.length - 1, 1);
    highlight(this.#code, this.language);
  }

  #show(text: string) {
    if (this.#segment === undefined || this.#segmentLines >= linesPerSegment) {
      this.#segment = new Text();
      this.#segmentLines = 0;
      this.#code.append(element("span", {}, this.#segment));
    }
    this.#segment.appendData(text);
    if (text.endsWith("\n")) this.#segmentLines += 1;
  }
}
