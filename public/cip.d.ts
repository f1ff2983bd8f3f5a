// The types of `window.cip` and of the attributes of the script, for the site that embeds a chat: save this file
// beside your sources and import it, or reference it, once.

/** A JWT that the site has signed, or its own id of the user with the HMAC of that. */
export type Vouched = string | { user_id: string; user_hash: string };

/** Where nobody is signed in there is none. */
type Found = Vouched | null | undefined;

/** A function is called whenever the chat needs an identity: at its start, and before the last one ends. */
export type Identity = Vouched | (() => Found | Promise<Found>);

/** Where the visitor is; what is left out is what the browser says. At most 4096 bytes as JSON. */
export type PageContext = { url?: string; title?: string; fields?: Record<string, string> };

/** What handlers get, beside the `tenant` of the chat. */
export type Events = {
  /** The chat has started in its frame, which it does when it is first opened. */
  ready: object;
  open: object;
  close: object;
  /** A message of the visitor is stored. */
  message: { text: string; turn_id: string };
  /** An answer has ended. */
  answer: { turn_id: string; status: "done" | "stopped" | "failed" | "interrupted" };
  /** So many answers have come while the window was closed; 0 once it is opened. */
  unread: { count: number };
  error: { code: string; message: string };
};

type Handler<Event extends keyof Events> = (detail: Events[Event] & { tenant: string }) => void;

/** A command for all chats of the page, or for those of one tenant: `acme.open`. */
type Command<Name extends string> = Name | `${string}.${Name}`;

export type Cip = {
  (command: Command<"open" | "close" | "toggle" | "logout" | "destroy">): void;
  (command: Command<"send">, text: string, more?: { context?: PageContext }): void;
  (command: Command<"prefill">, text: string): void;
  (command: Command<"identify">, identity: Identity): void;
  (command: Command<"locale">, tag: string): void;
  <Event extends keyof Events>(command: Command<"on">, event: Event, handler: Handler<Event>): void;
  /** Without a handler, all of that event. */
  <Event extends keyof Events>(command: Command<"off">, event: Event, handler?: Handler<Event>): void;
};

/** The attributes of `<script src="…/embed.js">`. */
export type Attributes = {
  "data-tenant": string;
  /** A CSS selector of the element that the chat fills, in place of a button in the corner. */
  "data-target"?: string;
  "data-position"?: "right" | "left";
  "data-open"?: "true" | "false";
  "data-locale"?: string;
  "data-color-scheme"?: "auto" | "light" | "dark";
  /** Three or six hex digits. */
  "data-accent"?: string;
  "data-greeting"?: string;
  "data-launcher-title"?: string;
  "data-z-index"?: `${number}`;
};

declare global {
  interface Window {
    cip: Cip;
  }
  var cip: Cip;
}
