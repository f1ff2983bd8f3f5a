// A button that copies a text and says that it did; left out where the browser allows no clipboard.

import { icon, iconButton } from "./element.ts";
import { type StringKey, t } from "./strings.ts";

const shownMs = 1600;

export function copyButton(label: StringKey, text: () => string): Node {
  // Missing without TLS, where there would be a button that can only fail.
  if (navigator.clipboard === undefined) return new Text();
  const button = iconButton(t(label), "copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
    } catch {
      return;
    }
    button.replaceChildren(icon("check"));
    button.ariaLabel = t("copied");
    setTimeout(() => {
      button.replaceChildren(icon("copy"));
      button.ariaLabel = t(label);
    }, shownMs);
  });
  return button;
}
