import { DefaultChatTransport, type UIMessage } from "ai";

export type Message = UIMessage<{ turn_id: string; conversation_id: string }>;

/** `site` is as https://chat.example.com/v1/default, `token` the visitor's. */
export function cip(site: string, token: string) {
  const headers = { authorization: `Bearer ${token}` };
  const transport = new DefaultChatTransport<Message>({
    api: `${site}/turns`,
    headers,
    prepareSendMessagesRequest: ({ id, messages, headers = {}, trigger, messageId }) => ({
      headers,
      body:
        trigger === "regenerate-message"
          ? { conversation_id: id, replaces: messageId }
          : { conversation_id: id, message: textOf(messages.at(-1)) },
    }),
    prepareReconnectToStreamRequest: ({ id, headers = {} }) => ({
      headers,
      api: `${site}/conversations/${id}/stream`,
    }),
  });

  /** What was said before; of an answer that is still being written only the question, for `resume` brings the rest. */
  async function history(id: string): Promise<Message[]> {
    const response = await fetch(`${site}/conversations/${id}`, { headers });
    if (!response.ok) return [];
    const { turns } = await response.json();
    return turns.flatMap(({ id, message, parts, finished_at }: Turn) => [
      { id: `${id}/message`, role: "user", parts: [{ type: "text", text: message }] },
      ...(finished_at ? [{ id, role: "assistant", parts }] : []),
    ]);
  }

  /** Ends the answer itself. The `stop` of useChat only leaves it, and the server writes on. */
  const stop = (turnId: string) => fetch(`${site}/turns/${turnId}/stop`, { method: "POST", headers });

  return { transport, history, stop };
}

type Turn = { id: string; message: string; parts: Message["parts"]; finished_at: string | null };

function textOf(message: Message | undefined): string {
  return message?.parts.map((part) => (part.type === "text" ? part.text : "")).join("") ?? "";
}
