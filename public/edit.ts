// Changing a message that has been answered: its text becomes a box, and the answer to what is sent from there
// takes the place of the old one. Until it is sent nothing is lost.

import { element, iconButton } from "./element.ts";
import { t } from "./strings.ts";
import type { TurnActs, TurnView } from "./view.ts";

export function editButton(view: TurnView, acts: TurnActs): HTMLElement {
  const button = iconButton(t("edit"), "new");
  button.classList.add("edit");
  button.addEventListener("click", () => {
    const text = view.question.querySelector("p") as HTMLElement;
    const close = () => {
      form.replaceWith(text);
      button.hidden = false;
      button.focus();
    };
    const form = editForm(view, { send: (message) => acts.replace(view, message), close });
    text.replaceWith(form);
    button.hidden = true;
    form.querySelector("textarea")?.focus();
  });
  return button;
}

function editForm(view: TurnView, acts: { send(message: string): void; close(): void }): HTMLElement {
  const box = element("textarea", { class: "box", "aria-label": t("edit"), dir: "auto", rows: "3" });
  box.value = view.message;
  const cancel = element("button", { type: "button", class: "small" }, t("cancel"));
  cancel.addEventListener("click", () => acts.close());
  const buttons = element("div", { class: "row" }, cancel);
  buttons.append(element("button", { class: "small main" }, t("edit_send")));
  const form = element("form", { class: "editing" }, box);
  if (view.element.nextElementSibling !== null) form.append(element("p", { class: "note" }, t("edit_rest")));
  form.append(buttons);
  const submit = () => {
    const message = box.value.trim();
    if (message !== "") acts.send(message);
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  form.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Escape") acts.close();
    else if (event.key === "Enter" && event.target === box && !event.shiftKey) submit();
    else return;
    event.preventDefault();
  });
  return form;
}
