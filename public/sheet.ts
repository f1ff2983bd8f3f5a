// Style that comes along with a script which is loaded late, so that pages which never need it never load it.

export function adopt(css: string) {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  document.adoptedStyleSheets.push(sheet);
}
