// The frames of one answer are alike but for the text they say, so most are read by comparing, a tenth of what parsing
// costs. A frame is as if parsed or is left to be parsed: never is anything guessed.

const keys = ['"content":"', '"content": "'];
/** A server whose frames differ in other places as well is not learnt from for ever. */
const lessonsMax = 8;

export class Template {
  #head = "";
  #tail = "";
  #lessons = 0;

  /** The text of a frame that differs from the learnt one in nothing else; undefined where it must be parsed. */
  textOf(data: string): string | undefined {
    const from = this.#head.length;
    const to = data.length - this.#tail.length;
    if (from === 0 || to <= from || !data.startsWith(this.#head) || !data.endsWith(this.#tail)) return;
    const text = data.slice(from, to);
    return isPlain(text) ? text : undefined;
  }

  /**
   * Learns from a frame that was parsed and said `text`. `saidBy` parses a frame and returns its text, if that is all it
   * says: what stands around the text is believed only when it has been asked with another one.
   */
  learn(data: string, text: string, saidBy: (data: string) => string | undefined): void {
    if (this.#lessons === lessonsMax || !isPlain(text)) return;
    this.#lessons++;
    for (const key of keys) {
      const at = data.indexOf(`${key}${text}"`);
      if (at === -1) continue;
      const head = data.slice(0, at + key.length);
      const tail = data.slice(at + key.length + text.length);
      if (saidBy(`${head}${text}.${tail}`) !== `${text}.`) continue;
      this.#head = head;
      this.#tail = tail;
      return;
    }
  }
}

/** It stands in a JSON string as it is (RFC 8259, 7). */
function isPlain(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x20 || unit === 0x22 || unit === 0x5c) return false;
  }
  return true;
}
