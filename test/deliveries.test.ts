// The same scripted answers through every delivery: whoever asks, and however, reads the same and leaves the same row.
import { beforeAll, describe, expect, test } from "bun:test";
import { type Chunk, drain } from "./client.ts";
import { answer, type Script } from "./model.ts";
import { type Site, startSite, type Turn } from "./site.ts";
import { until } from "./support.ts";
import { openSocket } from "./websocket.ts";

const silence = { hold: new Promise(() => {}) };
const lorem = Array.from({ length: 40 }, (_, i) => `${i} ${"Lorem ipsum 😀 ".repeat(70)}`);
const pairs = "😀".repeat(20_000);
const tiny = Array.from({ length: 2_000 }, (_, i) => String.fromCharCode(97 + (i % 26)));

const text = (said: string) => ({
  parts: [{ type: "text", text: said }],
  status: "done",
  ending: "finish stop",
});
const cases: [name: string, script: Script, expected: { parts: object[]; status: string; ending: string }][] =
  [
    ["short", answer("Yes."), text("Yes.")],
    ["empty", answer(), { ...text(""), parts: [] }],
    ["long", answer(...lorem), text(lorem.join(""))],
    ["that is long, of pairs", answer(`a${pairs}`), text(`a${pairs}`)],
    ["of many tiny deltas", answer(...tiny), text(tiny.join(""))],
    [
      "with reasoning",
      [{ reasoning: "Let me " }, { reasoning: "see." }, ...answer("It ", "is.")],
      { ...text(""), parts: [{ type: "reasoning", text: "Let me see." }, ...text("It is.").parts] },
    ],
    [
      "of pairs, split in two",
      answer("👩‍👩‍👧 ", "\ud83d", "\ude00!", "🇫🇷 e\u0301"),
      text("👩‍👩‍👧 😀!🇫🇷 e\u0301"),
    ],
    ["that cannot be stored as it is", answer("a\ud800", "b\0c\udc00"), text("a\ufffdb\ufffdc\ufffd")],
    [
      "cut at the length",
      [{ text: "and so" }, { finish: "length" }, { done: true }],
      { ...text("and so"), ending: "finish length" },
    ],
    [
      "filtered",
      [{ text: "I must" }, { finish: "content_filter" }, { done: true }],
      { ...text("I must"), ending: "finish content-filter" },
    ],
    [
      "that breaks off",
      [{ text: "Half a" }, { pauseMs: 30 }, { drop: true }],
      { ...text("Half a"), status: "failed", ending: "error model_incomplete" },
    ],
    ["that never begins", { status: 400 }, { parts: [], status: "failed", ending: "error model_rejected" }],
    [
      "that is stopped",
      [{ reasoning: "Well" }, { text: "So far" }, silence],
      {
        parts: [{ type: "reasoning", text: "Well" }, ...text("So far").parts],
        status: "stopped",
        ending: "abort",
      },
    ],
  ];

let site: Site;
let token: string;
beforeAll(async () => {
  site = await startSite();
  token = await site.visitor();
  const scripts = new Map(cases.map(([name, script]) => [name, script]));
  site.model.always(({ messages }) => scripts.get(messages.at(-1)?.content ?? "") ?? answer("unknown"));
});

/** What the one who asked learns. `chunks` where they came as such, with neighbouring deltas joined. */
type Delivered = { id: string; text: string; reasoning: string; ending: string; chunks?: Chunk[] };

const deliveries: Record<
  string,
  (question: { message: string; conversation_id: string }) => Promise<Delivered>
> = {
  async JSON(body) {
    const response = await site.on("POST", "/turns", {
      token,
      body,
      headers: { accept: "application/json" },
    });
    if (response.ok) return ofTurn(((await response.json()) as { turn: Turn }).turn);
    const { turn_id, code } = (await response.json()) as { turn_id: string; code: string };
    const { answer, reasoning } = await site.turn(token, turn_id);
    return { id: turn_id, text: answer, reasoning, ending: `error ${code}` };
  },
  SSE: async ({ message, conversation_id }) =>
    ofStream(await site.stream(token, message, { conversation_id })),
  async WebSocket(body) {
    const socket = await openSocket(site.url, token);
    const heard = await socket.say({ type: "turn", ...body });
    socket.close();
    const { turnId: id, text, reasoning, terminal } = heard;
    const chunks = joined(heard.frames.map(({ chunk }) => chunk));
    return { id, text, reasoning, ending: endingOf(terminal), chunks };
  },
  async "202, then asking"({ message, conversation_id }) {
    const { id } = await site.begin(token, message, { conversation_id });
    await site.ended(token, id);
    return ofTurn(await site.turn(token, id));
  },
  async "202, then following"({ message, conversation_id }) {
    const { id } = await site.begin(token, message, { conversation_id });
    return ofStream(await site.follow(token, id));
  },
};

describe.each(cases)("an answer %s", (name, script, { parts, status, ending }) => {
  const scripted = "status" in script ? undefined : script.find((step) => "usage" in step)?.usage;
  const usage = scripted
    ? { input_tokens: scripted.prompt_tokens, output_tokens: scripted.completion_tokens }
    : null;
  const [said, thought] = ["text", "reasoning"].map((kind) =>
    (parts as { type: string; text: string }[]).map((part) => (part.type === kind ? part.text : "")).join(""),
  );

  test("is the same by every delivery, to the last chunk, and so is its row", async () => {
    const results = await Promise.all(
      Object.entries(deliveries).map(async ([delivery, deliver]) => {
        const conversation_id = crypto.randomUUID();
        const delivering = deliver({ message: name, conversation_id });
        if (status === "stopped") await stop(conversation_id, said ?? "");
        return [delivery, await delivering] as const;
      }),
    );
    const chunksOf = new Map(results.map(([delivery, { chunks }]) => [delivery, chunks?.map(anonymous)]));
    for (const [delivery, { id, text, reasoning, ending: ended, chunks }] of results) {
      const {
        id: _id,
        conversation_id: _conversation,
        created_at: _at,
        finished_at,
        ...row
      } = await site.turn(token, id);
      expect({ delivery, text, reasoning, ended, finished: typeof finished_at, row }).toEqual({
        delivery,
        text: said ?? "",
        reasoning: thought ?? "",
        ended: ending,
        finished: "string",
        row: {
          status: status as Turn["status"],
          message: name,
          answer: said ?? "",
          reasoning: thought ?? "",
          parts: parts as Turn["parts"],
          finish_reason: (status === "done" ? ending.split(" ")[1] : null) as Turn["finish_reason"],
          usage,
          error:
            status === "failed" ? { code: ending.split(" ")[1] ?? "", message: expect.any(String) } : null,
          versions: [],
          superseded_by: null,
          feedback: null,
          context: null,
        },
      });
      if (chunks) expect([delivery, chunks.map(anonymous)]).toEqual([delivery, chunksOf.get("SSE") ?? []]);
    }
  });

  test("is read again by socket as by stream: the same chunks at the same offsets", async () => {
    const conversation_id = crypto.randomUUID();
    const delivering = deliveries["202, then asking"]?.({ message: name, conversation_id });
    if (status === "stopped") await stop(conversation_id, said ?? "");
    const { id } = (await delivering) as Delivered;
    const length = parts.map((part) => (part as { text: string }).text).join("").length;
    const socket = await openSocket(site.url, token);
    for (const after of new Set(
      [0, 1, Math.floor(length / 2), length - 1].filter((k) => (k >= 0 && k < length) || k === 0),
    )) {
      const { frames } = await drain(await site.follow(token, id, `?after=${after}`));
      const heard = await socket.say({ type: "follow", turn_id: id, after });
      expect(heard.frames.map(({ chunk }) => chunk)).toEqual(
        frames.slice(0, -1).map(({ data }) => JSON.parse(data)),
      );
      const texts = heard.frames.filter(({ chunk }) => "delta" in chunk);
      expect(texts.map(({ chunk }) => String(chunk.delta).isWellFormed())).not.toContain(false);
      expect(texts.map(({ offset }) => String(offset))).toEqual(
        frames.flatMap(({ id }) => (id === undefined ? [] : [id])),
      );
    }
    socket.close();
  });
});

/** Stops the only turn of the conversation once it has come as far as `text`. */
async function stop(conversationId: string, text: string): Promise<void> {
  const turn = await until(async () => {
    const response = await site.on("GET", `/conversations/${conversationId}`, { token });
    const [turn] = response.ok ? ((await response.json()) as { turns: Turn[] }).turns : [];
    return turn?.answer === text ? turn : undefined;
  }, "the answer has begun");
  await site.stop(token, turn.id);
}

function ofTurn({ id, answer, reasoning, status, finish_reason, error }: Turn): Delivered {
  const type = { done: "finish", stopped: "abort", failed: "error" }[status as "done"] ?? status;
  const ending = [type, finish_reason ?? error?.code].filter(Boolean).join(" ");
  return { id, text: answer, reasoning, ending };
}

async function ofStream(response: Response): Promise<Delivered> {
  const { turnId: id, text, reasoning, terminal, frames } = await drain(response);
  const chunks = joined(frames.slice(0, -1).map(({ data }) => JSON.parse(data) as Chunk));
  return { id, text, reasoning, ending: endingOf(terminal), chunks };
}

function endingOf(terminal: Chunk | undefined): string {
  const { type, finishReason, code } = terminal ?? { type: "none" };
  return [type, finishReason ?? code].filter(Boolean).join(" ");
}

/** Which deltas came together is a matter of time. */
function joined(chunks: Chunk[]): Chunk[] {
  const result: Chunk[] = [];
  for (const chunk of chunks) {
    const last = result.at(-1);
    if ("delta" in chunk && last?.type === chunk.type) last.delta = `${last.delta}${chunk.delta}`;
    else result.push({ ...chunk });
  }
  return result;
}

function anonymous(chunk: Chunk): Chunk {
  return chunk.type === "start" ? { type: "start" } : chunk;
}
