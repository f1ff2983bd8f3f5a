// A client of GET /socket: it asks many things at once, and knows by `ref` and turn what each frame belongs to.
import type { Chunk } from "./client.ts";
import { within } from "./support.ts";

export type Problem = { code: string; status: number; turn_id?: string; [field: string]: unknown };
type SocketFrame = { turn_id: string; offset: number; chunk: Chunk; ref?: string };
type Refused = { error: Problem; ref?: string };

/** What came of one frame that was sent: a turn's chunks to the end of the turn, or a problem. */
export type Heard = {
  turnId: string;
  text: string;
  reasoning: string;
  terminal: Chunk | undefined;
  frames: SocketFrame[];
  error: Problem | undefined;
};

export type Socket = Awaited<ReturnType<typeof openSocket>>;

/** Opens a socket, and says `auth` where there is a token. */
export async function openSocket(url: string, token?: string, tenant = "default") {
  const ws = new WebSocket(`${url.replace("http", "ws")}/v1/${tenant}/socket`);
  const closed = Promise.withResolvers<number>();
  const refused: Refused[] = [];
  const byRef = new Map<string, { heard: Heard; wake: () => void }>();
  const byTurn = new Map<string, { heard: Heard; wake: () => void }>();

  ws.onclose = ({ code }) => closed.resolve(code);
  ws.onmessage = ({ data }) => {
    const frame = JSON.parse(data) as SocketFrame | Refused;
    const waiting = byRef.get(frame.ref ?? "") ?? byTurn.get("turn_id" in frame ? frame.turn_id : "");
    if ("error" in frame) refused.push(frame);
    if (!waiting) return;
    if ("error" in frame) waiting.heard.error = frame.error;
    else hear(waiting.heard, frame);
    if ("turn_id" in frame) byTurn.set(frame.turn_id, waiting);
    waiting.wake();
  };
  await new Promise<void>((opened, failed) => {
    ws.onopen = () => opened();
    ws.onerror = () => failed(new Error("the socket did not open"));
  });

  const send = (frame: unknown) =>
    ws.send(typeof frame === "string" || frame instanceof Blob ? frame : JSON.stringify(frame));
  /** Sends a frame under a `ref` of its own, and waits for what comes of it as far as `enough`. */
  const say = async (frame: object, enough = isOver): Promise<Heard> => {
    const ref = crypto.randomUUID();
    const heard = { turnId: "", text: "", reasoning: "", terminal: undefined, frames: [], error: undefined };
    const come = Promise.withResolvers<void>();
    byRef.set(ref, { heard, wake: () => enough(heard) && come.resolve() });
    send({ ...frame, ref });
    await within(come.promise, `the socket answers ${JSON.stringify(frame).slice(0, 200)}`);
    return heard;
  };
  if (token !== undefined) send({ type: "auth", token });
  return { send, say, refused, closed: closed.promise, close: () => ws.close() };
}

const isOver = ({ terminal, error }: Heard) => terminal !== undefined || error !== undefined;

function hear(heard: Heard, frame: SocketFrame): void {
  const { chunk } = frame;
  heard.turnId = frame.turn_id;
  heard.frames.push(frame);
  if (chunk.type === "text-delta") heard.text += chunk.delta;
  if (chunk.type === "reasoning-delta") heard.reasoning += chunk.delta;
  if (["finish", "abort", "error"].includes(chunk.type)) heard.terminal = chunk;
}
