// A chat made with useChat, as plain as one can be: what it knows stands in the page as JSON, for the test to read.
import { useChat } from "@ai-sdk/react";
import { createElement, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { cip, type Message } from "./cip.ts";

const {
  site,
  token,
  conversation: id,
} = Object.fromEntries(new URLSearchParams(location.hash.slice(1))) as Record<
  "site" | "token" | "conversation",
  string
>;
const server = cip(site, token);

function Loader() {
  const [messages, setMessages] = useState<Message[]>();
  useEffect(() => {
    server.history(id).then(setMessages);
  }, []);
  return messages ? createElement(Chat, { messages }) : null;
}

function Chat({ messages: past }: { messages: Message[] }) {
  const chat = useChat({ id, messages: past, transport: server.transport, resume: past.length > 0 });
  const { messages, status, error } = chat;
  const last = messages.at(-1);
  const button = (name: string, onClick: () => unknown) =>
    createElement("button", { type: "button", onClick }, name);
  return createElement(
    "main",
    {},
    button("send", () => chat.sendMessage({ text: "Hello?" })),
    button("regenerate", () => last && chat.regenerate({ messageId: last.id })),
    button("stop", () => last && server.stop(last.id)),
    createElement("pre", {}, JSON.stringify({ messages, status, error: error?.message })),
  );
}

createRoot(document.body.appendChild(document.createElement("div"))).render(createElement(Loader));
