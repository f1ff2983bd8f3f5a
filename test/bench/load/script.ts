// What the scripted model says: of each question another text, made of words that tell where they belong, so that an
// answer with one word lost, doubled, reordered or taken from another reader's is not the expected one.

/** A prime, so that two answers which begin apart stay apart. */
const wordsCount = 1009;
const stride = 31;

/** Some words are what encoders trip over: beyond ASCII, beyond the first plane, quotes, line ends. */
const oddities = [" naïve", " 日本語", ' "quoted\\', "\n\n", " 🙂", "\u2028"];
const words = Array.from({ length: wordsCount }, (_, k) => `${oddities[k % 47] ?? " word"}${k}`);

const head = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1_700_000_000, model: "scripted" };
const chunk = (fields: object) => encoded(`data: ${JSON.stringify({ ...head, ...fields })}\n\n`);
const delta = (content: string) =>
  chunk({ choices: [{ index: 0, delta: { content }, logprobs: null, finish_reason: null }] });

/** One HTTP chunk (RFC 9112, 7.1). */
function encoded(text: string): Buffer {
  const body = Buffer.from(text);
  return Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from("\r\n")]);
}

const frames = words.map(delta);
/** All frames one after the other, so that several tokens in a row are one piece of memory. */
export const tape = Buffer.concat(frames);
/** Where each frame begins on the tape, and where the last one ends. */
export const starts = new Uint32Array(wordsCount + 1);
frames.forEach((frame, k) => {
  starts[k + 1] = (starts[k] ?? 0) + frame.length;
});

export const responseHead = Buffer.from(
  "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n",
);

export function responseTail(tokens: number): Buffer {
  const usage = { prompt_tokens: 7, completion_tokens: tokens, total_tokens: tokens + 7 };
  return Buffer.concat([
    chunk({ choices: [{ index: 0, delta: {}, logprobs: null, finish_reason: "stop" }] }),
    chunk({ choices: [], usage }),
    encoded("data: [DONE]\n\n"),
    Buffer.from("0\r\n\r\n"),
  ]);
}

/** Which word is the token `i` of answer `n`. */
export const wordOf = (n: number, i: number) => (n * stride + i) % wordsCount;
export const isLastWord = (k: number) => k === wordsCount - 1;

/** The tokens of answer `n`. */
export const expected = (n: number, tokens: number) =>
  Array.from({ length: tokens }, (_, i) => words[wordOf(n, i)] as string);

/** What a reader asks, and how the model knows which answer is wanted. */
export const question = (n: number) => `Please give answer-${n}.`;
const mark = Buffer.from("answer-");

/** The number of the answer that a request's body asks for. */
export function asked(request: Buffer): number {
  const at = request.lastIndexOf(mark);
  if (at < 0) throw new Error("the model was asked for no answer");
  return Number.parseInt(request.toString("latin1", at + mark.length, at + mark.length + 9), 10);
}
