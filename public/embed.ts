// The loader: puts a tenant's chat on a site, as a button with a window or into an element. It adds one
// element to the host page and touches nothing else of it; its style is a constructed sheet inside a shadow
// root, which no host CSP can refuse and no host style can reach.

const tag = "cip-chat";

const css = `
:host { all: initial; }
* { box-sizing: border-box; }
button, .window { position: fixed; z-index: 2147483000; inset-inline-end: max(20px, env(safe-area-inset-right)); }
button {
  display: grid; place-items: center; width: 56px; height: 56px; margin: 0; border: 0; padding: 0;
  bottom: max(20px, env(safe-area-inset-bottom)); border-radius: 50%; color: #fff; background: #2456d6;
  box-shadow: 0 2px 6px rgb(0 0 0 / 18%), 0 8px 24px rgb(20 40 100 / 24%); cursor: pointer;
}
button:hover { background: #1b45b4; transform: translateY(-1px); }
button:focus-visible { outline: 3px solid #fff; box-shadow: 0 0 0 6px #2456d6; }
svg { width: 30px; height: 30px; fill: none; stroke: currentColor; stroke-width: 1.6; stroke-linecap: round; stroke-linejoin: round; }
.window {
  bottom: calc(max(20px, env(safe-area-inset-bottom)) + 72px); width: 400px; height: min(680px, 100dvh - 124px);
  overflow: hidden; border-radius: 18px; background: #fff;
  box-shadow: 0 0 0 1px rgb(0 0 0 / 8%), 0 12px 48px rgb(0 0 0 / 22%);
}
[hidden] { display: none; }
iframe { display: block; width: 100%; height: 100%; border: 0; color-scheme: light dark; }
.inline { height: 100%; min-height: 420px; }
@media (prefers-reduced-motion: no-preference) {
  button { transition: transform .15s, background-color .15s; }
  .window { animation: rise .18s ease-out; }
}
@keyframes rise { from { opacity: 0; transform: translateY(10px); } }
@media (prefers-color-scheme: dark) {
  .window { background: #15171c; box-shadow: 0 0 0 1px rgb(255 255 255 / 12%), 0 12px 48px rgb(0 0 0 / 60%); }
}
@media (max-width: 480px), (max-height: 480px) {
  .window { inset: 0; width: auto; height: 100dvh; border-radius: 0; }
  .open.ready button { display: none; }
}
@media (forced-colors: active) { button, .window { border: 2px solid ButtonText; } }
@media print { * { display: none; } }`;

const words = /^ru/i.test(document.documentElement.lang || navigator.language)
  ? { open: "Открыть чат", close: "Закрыть чат", chat: "Чат" }
  : { open: "Open chat", close: "Close chat", chat: "Chat" };

const bubble =
  "M5 7.5A2.5 2.5 0 0 1 7.5 5h9A2.5 2.5 0 0 1 19 7.5v6a2.5 2.5 0 0 1-2.5 2.5H12l-4.5 4v-4A2.5 2.5 0 0 1 5 13.5z";
const cross = "M6 6l12 12M18 6 6 18";

// Only known while this script is running for the first time.
const script = document.currentScript as HTMLScriptElement | null;
const { tenant, target } = script?.dataset ?? {};

if (!script || !tenant) {
  console.error('cip: the script that loads embed.js needs data-tenant="…", the name of the chat to show.');
} else if (document.body) {
  start(new URL(tenant, script.src), tenant);
} else {
  const { src } = script;
  addEventListener("DOMContentLoaded", () => start(new URL(tenant, src), tenant), { once: true });
}

function start(address: URL, tenant: string) {
  const parent = target ? document.querySelector(target) : document.body;
  if (!parent) return console.error(`cip: there is no element ${target} to put the chat into.`);
  // The snippet twice on a page, or run again by a page that swaps its content, is still one chat.
  const place = target ?? "";
  for (const other of document.querySelectorAll<HTMLElement>(tag)) {
    if (other.dataset.tenant === tenant && other.dataset.place === place) return;
  }
  const host = document.createElement(tag);
  host.dataset.tenant = tenant;
  host.dataset.place = place;
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  root.adoptedStyleSheets = [sheet];
  if (target) inline(host, root, address);
  else launcher(root, address);
  parent.append(host);
}

function inline(host: HTMLElement, root: ShadowRoot, address: URL) {
  host.style.display = "block";
  host.style.height = "100%";
  const frame = make("iframe", "inline");
  frame.title = words.chat;
  frame.allow = "clipboard-write";
  frame.src = address.href;
  root.append(frame);
}

function launcher(root: ShadowRoot, address: URL) {
  const frame = make("div", "frame");
  const button = make("button", "");
  const panel = make("div", "window");
  const path = draw(button);
  let chat: HTMLIFrameElement | undefined;
  panel.id = "window";
  panel.hidden = true;
  button.type = "button";
  button.setAttribute("aria-controls", panel.id);
  frame.append(panel, button);
  root.append(frame);
  show(false);

  button.addEventListener("click", () => (panel.hidden ? open() : close()));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented) close();
  });
  addEventListener("message", (event) => {
    const isChat = event.origin === address.origin && event.source === chat?.contentWindow;
    if (!chat || !isChat) return;
    if (event.data?.cip === "close") close();
    // From here on the chat has a button of its own to close it. Until then, or if it never comes, this one stays.
    if (event.data?.cip === "ready") frame.classList.add("ready");
  });
  visualViewport?.addEventListener("resize", fit);

  function open() {
    if (!chat) {
      chat = make("iframe", "");
      chat.title = words.chat;
      chat.allow = "clipboard-write";
      chat.src = `${address.href}#embed`;
      chat.addEventListener("load", () => panel.hidden || chat?.focus());
      panel.append(chat);
    }
    show(true);
    fit();
    chat.focus();
  }

  function close() {
    if (panel.hidden) return;
    const hadFocus = root.activeElement !== null;
    show(false);
    if (hadFocus) button.focus();
  }

  function show(visible: boolean) {
    panel.hidden = !visible;
    frame.classList.toggle("open", visible);
    button.ariaExpanded = String(visible);
    button.ariaLabel = visible ? words.close : words.open;
    path.setAttribute("d", visible ? cross : bubble);
  }

  // Full screen, the keyboard of a phone covers the window instead of shrinking it.
  function fit() {
    const seen = visualViewport;
    const covered = seen !== null && seen.scale === 1 && innerHeight - seen.height > 80 && innerWidth <= 480;
    panel.style.height = covered ? `${seen.height}px` : "";
    panel.style.top = covered ? `${seen.offsetTop}px` : "";
  }
}

function draw(button: HTMLElement): SVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.append(path);
  button.append(svg);
  return path;
}

function make<Tag extends "iframe" | "div" | "button">(tag: Tag, name: string): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  made.className = name;
  return made;
}
