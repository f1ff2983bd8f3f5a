// What the visitor may do with all that is stored of them: take it away as a file, and have it deleted.

import type { Api } from "./api.ts";
import { element } from "./element.ts";
import { t } from "./strings.ts";

const files = [
  { type: "text/markdown", name: "conversations.md", label: "download_markdown" },
  { type: "application/json", name: "conversations.json", label: "download_json" },
] as const;

export function ownData(api: Api, say: (words: string) => void, erased: () => void): HTMLElement {
  const place = element("div", { class: "own-data" });
  show();
  return place;

  function show() {
    const downloads = files.map(({ type, name, label }) =>
      button(t(label), "", () => attempt(async () => save(await api.export(type), name))),
    );
    const erase = button(t("erase"), "danger", showErase);
    place.replaceChildren(...downloads, erase);
  }

  function showErase() {
    const yes = button(t("erase_yes"), "danger", () =>
      attempt(async () => {
        if (api.visitor.known) await api.forget();
        erased();
      }),
    );
    const no = button(t("cancel"), "", back);
    const words = element("p", { id: "erase-sure" }, t("erase_sure"));
    const row = element("div", { class: "row" }, yes, no);
    const question = element("div", { role: "group", "aria-labelledby": words.id }, words, row);
    question.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      back();
    });
    place.replaceChildren(question);
    no.focus();
  }

  function back() {
    show();
    place.querySelector<HTMLElement>(".danger")?.focus();
  }

  async function attempt(act: () => Promise<void>) {
    say("");
    await act().catch(() => say(t("problem_action")));
  }
}

function button(words: string, kind: string, act: () => void): HTMLElement {
  const made = element("button", { type: "button", class: `small ${kind}`.trim() }, words);
  made.addEventListener("click", act);
  return made;
}

function save(blob: Blob, name: string) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href));
}
