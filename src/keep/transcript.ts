// Conversations as Markdown to be read by a person. What was said stands in block quotes, which nothing in it can end.

import type { Turn } from "../rows/turns.ts";
import type { Mine } from "./mydata.ts";

/** The document in pieces. Turns that were replaced by another answer are left out. */
export async function* transcript({ user, conversations }: Mine, title: string): AsyncGenerator<string> {
  yield `# ${inline(title)}\n\n${timeOf(new Date())}\n`;
  const visitor = inline(user.name ?? "You");
  for await (const { conversation, turns } of conversations) {
    yield `\n## ${inline(conversation.title)}\n`;
    for await (const turn of turns)
      if (turn.superseded_by === null) yield exchange(turn, visitor, inline(title));
  }
}

function exchange(turn: Turn, visitor: string, assistant: string): string {
  const answer = turn.parts.flatMap(({ type, text }) => (type === "text" ? [text] : [])).join("");
  const asked = `\n**${visitor}**, ${timeOf(turn.created_at)}\n\n${quote(turn.message)}\n`;
  return answer ? `${asked}\n**${assistant}**\n\n${quote(answer)}\n` : asked;
}

/** A block quote (CommonMark 0.31, section 5.1) ends with its last marked line, and with it all that it has left open. */
function quote(text: string): string {
  return text
    .trim()
    .split(/\r\n|\r|\n/)
    .map((line) => (line ? `> ${line}` : ">"))
    .join("\n");
}

/** Text on one line that is nothing but text. */
function inline(text: string): string {
  return text
    .replace(/\s+/g, " ")
    .trim()
    .replace(/[\\`*_~[\]<>&#|$!]/g, "\\$&");
}

/** As 2026-01-31 17:05 UTC, which is read alike in every country. */
function timeOf(date: Date): string {
  return `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}
