// What a visitor asks, checked the same whichever transport it came by.
import type { Static } from "@sinclair/typebox";
import type { Question, Visitor } from "../chat/chat.ts";
import { accepted } from "../config/languages.ts";
import { language, Wrong } from "../config/values.ts";
import { CipError } from "../errors.ts";
import type { Trace } from "../trace.ts";
import type { Context, NewTurn } from "./schemas.ts";
import { uuidOf } from "./services.ts";

export type Circumstances = {
  detached: boolean;
  idempotencyKey: string | undefined;
  /** As the header has it (RFC 9110, 12.5.4). */
  acceptLanguage: string | undefined;
  trace: Trace;
};

/** Checks what the schema cannot. Throws invalid_body, message_empty, message_too_long, bad_request, not_found. */
export function questionOf(
  { tenant }: Visitor,
  { message, conversation_id, replaces, queue = false, context }: Static<typeof NewTurn>,
  { detached, idempotencyKey, acceptLanguage, trace }: Circumstances,
): Question {
  if (message === undefined && replaces === undefined)
    throw new CipError("invalid_body", { detail: "message: Expected string" });
  if (message?.trim() === "") throw new CipError("message_empty");
  if (message !== undefined && message.length > tenant.messageCharsMax) {
    const detail = `The message may have at most ${tenant.messageCharsMax} characters.`;
    throw new CipError("message_too_long", { detail });
  }
  if (idempotencyKey !== undefined && !/^[\x21-\x7e]{1,255}$/.test(idempotencyKey)) {
    throw new CipError("bad_request", {
      detail: "The Idempotency-Key must be 1 to 255 visible ASCII characters.",
    });
  }
  if (context !== undefined) checkContext(context);
  return {
    message,
    conversationId: conversation_id === undefined ? undefined : uuidOf(conversation_id),
    replaces: replaces === undefined ? undefined : uuidOf(replaces),
    queue,
    context,
    detached,
    trace,
    idempotencyKey,
    language: tenant.ui.language ?? mostWanted(acceptLanguage),
  };
}

/** The language that a header wants most, if that is one. */
function mostWanted(acceptLanguage: string | undefined): string | undefined {
  const tag = language(accepted(acceptLanguage)[0] ?? "");
  return tag instanceof Wrong ? undefined : tag;
}

const contextBytesMax = 4096;

/** Throws invalid_body. */
function checkContext(context: Static<typeof Context>): void {
  const { url, fields = {} } = context;
  const refuse = (detail: string) => {
    throw new CipError("invalid_body", { detail });
  };
  if (url !== undefined && !(/^https?:\/\/[^\s\p{Cc}]+$/iu.test(url) && URL.canParse(url)))
    refuse("context.url: Expected an address that begins with http:// or https://");
  // A name goes into the database as it is: unlike a value's, its characters were not made storable.
  if (!Object.keys(fields).every((name) => /^[\p{L}\p{N}_.: -]{1,50}$/u.test(name)))
    refuse("context.fields: Expected names of 1 to 50 letters, digits, spaces and _.:-");
  if (Buffer.byteLength(JSON.stringify(context)) > contextBytesMax)
    refuse(`context: Expected at most ${contextBytesMax} bytes of JSON`);
}
