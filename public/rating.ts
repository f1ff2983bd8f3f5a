// Thumbs for an answer, and a comment with them. Shown as pressed is only what the server has, or is about to
// have; pressing once more takes it back.

import type { Feedback } from "./api.ts";
import { element, iconButton } from "./element.ts";
import { t } from "./strings.ts";
import type { TurnActs, TurnView } from "./view.ts";

const commentCharsMost = 2000;
const none: Feedback = { rating: null, comment: null };

export function rating(view: TurnView, id: string, acts: TurnActs): HTMLElement[] {
  const thumbs = { up: iconButton(t("rate_up"), "up"), down: iconButton(t("rate_down"), "down-thumb") };
  let form: HTMLElement | undefined;
  show();
  for (const rating of ["up", "down"] as const) thumbs[rating].addEventListener("click", () => press(rating));
  return [thumbs.up, thumbs.down];

  async function press(rating: "up" | "down") {
    const { comment } = view.feedback ?? none;
    if (view.feedback?.rating === rating) {
      closeForm();
      await store(null);
    } else if (await store({ rating, comment })) openForm(rating);
  }

  function openForm(rating: "up" | "down") {
    closeForm();
    form = commentForm(view.feedback?.comment ?? "", {
      cancel: () => {
        closeForm();
        thumbs[rating].focus();
      },
      send: async (comment) => {
        if (!(await store({ rating, comment }))) return;
        closeForm();
        thumbs[rating].focus();
        acts.say(t("comment_thanks"));
      },
    });
    view.tools.after(form);
  }

  function closeForm() {
    form?.remove();
    form = undefined;
  }

  async function store(feedback: Feedback | null): Promise<boolean> {
    const before = view.feedback;
    view.feedback = feedback;
    show();
    acts.say("");
    try {
      await acts.rate(id, feedback ?? none);
      return true;
    } catch {
      view.feedback = before;
      show();
      acts.say(t("problem_feedback"));
      return false;
    }
  }

  function show() {
    thumbs.up.ariaPressed = String(view.feedback?.rating === "up");
    thumbs.down.ariaPressed = String(view.feedback?.rating === "down");
  }
}

function commentForm(comment: string, acts: { send(comment: string): void; cancel(): void }): HTMLElement {
  const label = t("comment");
  const box = element("input", {
    class: "box",
    "aria-label": label,
    placeholder: label,
    maxlength: `${commentCharsMost}`,
    dir: "auto",
  });
  box.value = comment;
  const send = element("button", { class: "small" }, t("comment_send"));
  const form = element("form", { class: "comment" }, box, send);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    acts.send(box.value.trim());
  });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.isComposing) return;
    event.preventDefault();
    acts.cancel();
  });
  return form;
}
