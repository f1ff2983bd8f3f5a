// Finds elements wherever they are on the host page, in open shadow roots too.

export function find(selector: string, root: Document | ShadowRoot = document): Element[] {
  const inside = [...root.querySelectorAll("*")].flatMap((element) =>
    element.shadowRoot ? find(selector, element.shadowRoot) : [],
  );
  return [...root.querySelectorAll(selector), ...inside];
}
