// What a browser shows where a page cannot be: a sentence in the visitor's language, and nothing else. It loads nothing
// and holds nothing, so any site may frame it, as one does whose snippet names a chat that is not there.
import { type CipError, errors } from "../errors.ts";
import { pathOf } from "./methods.ts";

type Words = { title: string; missing: string; failed: string };

const languages: Record<string, Words> = {
  en: {
    title: "Chat",
    missing: "There is no chat at this address.",
    failed: "The chat cannot be shown at the moment. Please try again later.",
  },
  ru: {
    title: "Чат",
    missing: "По этому адресу нет чата.",
    failed: "Сейчас чат показать не удаётся. Попробуйте позже.",
  },
  de: {
    title: "Chat",
    missing: "Unter dieser Adresse gibt es keinen Chat.",
    failed: "Der Chat kann gerade nicht angezeigt werden. Bitte versuchen Sie es später noch einmal.",
  },
  es: {
    title: "Chat",
    missing: "No hay ningún chat en esta dirección.",
    failed: "El chat no se puede mostrar en este momento. Inténtelo de nuevo más tarde.",
  },
  fr: {
    title: "Chat",
    missing: "Il n’y a pas de chat à cette adresse.",
    failed: "Le chat ne peut pas être affiché pour le moment. Veuillez réessayer plus tard.",
  },
  pt: {
    title: "Chat",
    missing: "Não há nenhum chat neste endereço.",
    failed: "Não é possível mostrar o chat neste momento. Tente novamente mais tarde.",
  },
  zh: { title: "聊天", missing: "此地址没有聊天。", failed: "目前无法显示聊天，请稍后再试。" },
  ja: {
    title: "チャット",
    missing: "このアドレスにチャットはありません。",
    failed: "現在チャットを表示できません。しばらくしてからもう一度お試しください。",
  },
  ar: {
    title: "محادثة",
    missing: "لا توجد محادثة على هذا العنوان.",
    failed: "لا يمكن عرض المحادثة الآن. يُرجى المحاولة لاحقًا.",
  },
};

const style =
  ":root{color-scheme:light dark}" +
  "body{display:grid;place-content:center;min-height:100vh;margin:0;font:16px/1.5 system-ui,sans-serif}" +
  "p{max-width:32ch;margin:24px;text-align:center;text-wrap:balance}";

const headers = {
  "content-type": "text/html; charset=utf-8",
  "cache-control": "no-store",
  "content-security-policy": `default-src 'none'; style-src 'sha256-${new Bun.CryptoHasher("sha256").update(style).digest("base64")}'; base-uri 'none'; form-action 'none'; frame-ancestors *`,
  "cross-origin-resource-policy": "cross-origin",
};

/** Whether it is a person who looks, at something that could be a page; programs get a problem document. */
export function wantsPage(request: Request): boolean {
  const pathname = pathOf(request);
  const accept = request.headers.get("accept") ?? "";
  return (
    /^(GET|HEAD)$/.test(request.method) && !pathname.startsWith("/v1/") && /\btext\/html\b/i.test(accept)
  );
}

export function errorPage({ code, details }: CipError, request: Request, requestId: string): Response {
  const [status] = errors[code];
  const accepted = request.headers.get("accept-language") ?? "";
  const [language, words] = preferred(accepted);
  const sentence = status < 500 ? words.missing : words.failed;
  const html = `<!doctype html>
<html lang="${language}" dir="${language === "ar" ? "rtl" : "ltr"}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${words.title}</title>
<style>${style}</style>
</head>
<body><p>${sentence}</p></body>
</html>
`;
  const retryAfter = details.retryAfterSeconds;
  return new Response(html, {
    status,
    headers: {
      ...headers,
      "x-request-id": requestId,
      ...(retryAfter !== undefined && { "retry-after": String(retryAfter) }),
    },
  });
}

/** The first language of the header that there are words in. Browsers list them by preference. */
function preferred(acceptLanguage: string): [string, Words] {
  const tags = acceptLanguage.toLowerCase().matchAll(/(?:^|,)\s*([a-z]{2,3})\b/g);
  for (const [, tag = ""] of tags) {
    const words = languages[tag];
    if (words) return [tag, words];
  }
  return ["en", languages.en as Words];
}
