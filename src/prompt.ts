// What the model is told: the tenant's prompt, as much of the conversation as fits, and the newest message.
import type { Tenant } from "./config.ts";
import type { Message } from "./llm.ts";

/**
 * UTF-8 bytes that count as one token. No tokenizer is asked; three is on the safe side of English (about 4),
 * Russian (about 6) and Chinese (about 4).
 */
const bytesPerToken = 3;

/** How many bytes of history fit beside `message`; negative where not even the message fits. */
export function historyBytesMax(tenant: Tenant, message: string): number {
  return tenant.historyTokensMax * bytesPerToken - Buffer.byteLength(message);
}

/** The messages for the model, oldest first; `language` is what the visitor's page or browser asks for. */
export function compose(
  tenant: Tenant,
  history: readonly { message: string; answer: string }[],
  message: string,
  language: string | undefined,
): Message[] {
  const past = history.flatMap((turn): Message[] => [
    { role: "user", content: turn.message },
    { role: "assistant", content: turn.answer },
  ]);
  return [
    { role: "system", content: instructions(tenant, language) },
    ...past,
    { role: "user", content: message },
  ];
}

/** The tenant's prompt with its placeholders filled in; unknown ones stay as they are. */
function instructions(tenant: Tenant, language: string | undefined): string {
  const values: Record<string, string> = {
    tenant_name: tenant.name,
    date: new Date().toISOString().slice(0, 10),
    language: language ?? "English",
  };
  return tenant.prompt.replace(/\{\{(\w+)\}\}/g, (placeholder, name: string) => values[name] ?? placeholder);
}
