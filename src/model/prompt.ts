// What the model is told: the tenant's prompt, as much of the conversation as fits, and the newest message.
import type { Tenant } from "../config/config.ts";
import { type Context, fill } from "../config/placeholders.ts";
import type { Message } from "./llm.ts";

/**
 * UTF-8 bytes that count as one token. No tokenizer is asked; three is on the safe side of English (about 4),
 * Russian (about 6) and Chinese (about 4).
 */
const bytesPerToken = 3;

export function tokensOf(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / bytesPerToken);
}

/** How many bytes of history fit beside `message`; negative where not even the message fits. */
export function historyBytesMax(tenant: Tenant, message: string): number {
  return tenant.historyTokensMax * bytesPerToken - Buffer.byteLength(message);
}

/** The newest message, and what of its request a prompt can use; `language` is what the page or browser asks for. */
export type Asked = { message: string; language: string | undefined; context: Context | undefined };

/** The messages for the model, oldest first. */
export function compose(
  tenant: Tenant,
  history: readonly { message: string; answer: string }[],
  { message, language = "English", context = {} }: Asked,
): Message[] {
  const past = history.flatMap((turn): Message[] => [
    { role: "user", content: turn.message },
    { role: "assistant", content: turn.answer },
  ]);
  return [
    { role: "system", content: fill(tenant.prompt, { tenantName: tenant.name, language, context }) },
    ...past,
    { role: "user", content: message },
  ];
}
