// What the files of the loader tell each other: how a chat is wished for, how its tenant has it, and where it stands.

/** What the attributes of the script say; data-color-scheme is `colorScheme`. */
export type Options = {
  tenant: string;
  /** The folder of the script, with a slash at its end. */
  server: string;
  target?: string;
  position?: string;
  open?: string;
  locale?: string;
  colorScheme?: string;
  accent?: string;
  greeting?: string;
  launcherTitle?: string;
  zIndex?: string;
};

/** What the tenant has set. */
export type Site = {
  title: string | null;
  accent: string;
  color_scheme: string;
  position: string;
  language: string | null;
  /** By language. */
  words: Record<string, Words>;
};

/** `unread` by the categories of Intl.PluralRules. */
export type Words = { open: string; close: string; chat: string; unread: Record<string, string> };

/** One chat's place on the page: the element, which is all that is added to it, and what is drawn inside. */
export type Spot = {
  options: Options;
  site: Site;
  host: HTMLElement;
  frame: HTMLElement;
  button: HTMLButtonElement | undefined;
};

export type Call = [command?: unknown, ...args: unknown[]];

/** All that is known of the host page. A spot is undefined until its tenant is known. */
export type Page = { spots: Map<string, Spot | undefined>; calls: Call[]; end(): void };
