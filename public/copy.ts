// A button that copies a text and says that it did, also where the browser keeps its clipboard from us.

import { element, icon, iconButton } from "./element.ts";
import { type StringKey, t } from "./strings.ts";

const shownMs = 1600;

export function copyButton(label: StringKey, text: () => string): HTMLElement {
  const button = iconButton(t(label), "copy");
  button.addEventListener("click", async () => {
    if (!(await copy(text(), button))) return;
    button.replaceChildren(icon("check"));
    button.ariaLabel = t("copied");
    setTimeout(() => {
      button.replaceChildren(icon("copy"));
      button.ariaLabel = t(label);
    }, shownMs);
  });
  return button;
}

/** Without TLS there is no clipboard, and a frame needs leave for it; the old way, out of a box, needs neither. */
async function copy(text: string, button: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const box = element("textarea", { class: "hidden" });
    box.value = text;
    button.after(box);
    box.select();
    const isCopied = document.execCommand("copy");
    box.remove();
    button.focus({ preventScroll: true });
    return isCopied;
  }
}
