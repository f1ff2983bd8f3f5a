// The visitor's conversations, in a dialog over the chat: opened, renamed, deleted, downloaded, and all that is
// stored erased. Loaded when it is first opened.

import type { Api } from "./api.ts";
import { element, find, iconButton } from "./element.ts";
import { entry } from "./entry.ts";
import { ownData } from "./owndata.ts";
import { t } from "./strings.ts";

/** What the panel has the page around it do. */
export type PanelActs = {
  current: string | undefined;
  open(id: string): void;
  /** Begins a new conversation. */
  fresh(): void;
  /** Everything of this visitor has been deleted. */
  erased(): void;
};

export async function openPanel(api: Api, acts: PanelActs) {
  await styled();
  // A second click, while the first was waiting.
  if (document.querySelector("dialog.panel") !== null) return;
  const dialog = element("dialog", { class: "panel", "aria-labelledby": "panel-title" });
  const close = iconButton(t("conversations_close"), "close");
  close.classList.replace("small-icon", "plain");
  const bar = element(
    "div",
    { class: "panel-bar" },
    element("h2", { id: "panel-title" }, t("conversations")),
  );
  bar.append(close);
  const fresh = element("button", { type: "button", class: "small" }, t("new_conversation"));
  const list = element("ul", { class: "entries" });
  // A button, as what would load by being scrolled to would push what follows out of reach.
  const more = element("button", { type: "button", class: "small" });
  const words = element("p", { class: "panel-words", role: "status" });
  const say = (said: string) => {
    words.textContent = said;
  };
  const leave = (act: () => void) => {
    dialog.close();
    act();
  };
  dialog.append(
    bar,
    fresh,
    list,
    more,
    words,
    ownData(api, say, () => leave(acts.erased)),
  );
  close.addEventListener("click", () => dialog.close());
  fresh.addEventListener("click", () => leave(acts.fresh));
  more.addEventListener("click", () => load(more.value));
  dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  await load();

  async function load(before?: string) {
    more.hidden = true;
    say(t("conversations_loading"));
    try {
      const page = api.visitor.known
        ? await api.conversations(before)
        : { conversations: [], next_cursor: null };
      const shown = page.conversations.map((conversation) =>
        entry(api, conversation, {
          isCurrent: conversation.id === acts.current,
          open: () => leave(() => acts.open(conversation.id)),
          removed: () => {
            if (conversation.id === acts.current) acts.fresh();
            sayIfEmpty();
          },
          say,
        }),
      );
      list.append(...shown);
      if (before !== undefined) shown[0]?.querySelector("button")?.focus();
      more.textContent = t("conversations_more");
      more.value = page.next_cursor ?? "";
      more.hidden = page.next_cursor === null;
      sayIfEmpty();
    } catch {
      say(t("conversations_problem"));
      more.textContent = t("try_again");
      more.hidden = false;
    }
  }

  function sayIfEmpty() {
    say(list.childElementCount === 0 ? t("conversations_none") : "");
  }
}

/** Resolves once the panel's own style is there. */
function styled(): Promise<void> {
  const link = find<HTMLLinkElement>("panel-style");
  if (link.sheet !== null) return Promise.resolve();
  return new Promise((resolve, reject) => {
    link.addEventListener("load", () => resolve());
    link.addEventListener("error", reject);
    link.href = link.dataset.href ?? "";
  });
}
