// Every word the page says, by language. `UI_LANGUAGE` decides, else the browser, else English; all languages
// have the same keys, which the type holds.

const english = {
  answer: "Answer",
  answer_complete: "Answer complete",
  close: "Close chat",
  conversation: "Conversation",
  copied: "Copied",
  copy_answer: "Copy answer",
  copy_code: "Copy code",
  demo: "Demo model — no AI is connected",
  earlier: "Show earlier messages",
  greeting: "Hello! How can I help you?",
  jump: "Jump to newest",
  message: "Message",
  new_conversation: "New conversation",
  note_cut_off: "The answer reached its length limit and ends here.",
  note_failed: "The answer could not be finished.",
  note_filtered: "The answer was held back by the model’s content filter.",
  note_interrupted: "The answer was interrupted before it was finished.",
  note_overloaded: "The model is busy right now. Please try again in a moment.",
  note_stopped: "You stopped this answer.",
  note_timeout: "The model took too long to answer.",
  placeholder: "Write a message…",
  problem_gone: "This conversation is no longer available, so a new one was started.",
  problem_loading: "The conversation is still being loaded. Please send it in a moment.",
  problem_message_too_long: "This message is too long. Please shorten it and send it again.",
  problem_busy: "An answer is still being written. Please wait for it, or stop it.",
  problem_often: "Too many messages in a short time. Please wait a moment and send it again.",
  problem_refused: "The message was not accepted. Please change it and send it again.",
  problem_server: "The server could not take the message. Your text is kept; please send it again.",
  problem_stop: "The answer could not be stopped. Please try again.",
  problem_unreachable: "No connection. Your text is kept; please send it again when you are online.",
  problem_unsent: "It is not certain that your last message arrived. You can send it again.",
  reconnecting: "Connection lost. Reconnecting…",
  send: "Send message",
  stop: "Stop answer",
  thinking: "Thinking…",
  thoughts: "Thoughts",
  try_again: "Try again",
  writing: "The answer is being written",
  you: "You",
};

export type StringKey = keyof typeof english;

const russian: Record<StringKey, string> = {
  answer: "Ответ",
  answer_complete: "Ответ готов",
  close: "Закрыть чат",
  conversation: "Переписка",
  copied: "Скопировано",
  copy_answer: "Скопировать ответ",
  copy_code: "Скопировать код",
  demo: "Демо-модель — ИИ не подключён",
  earlier: "Показать более ранние сообщения",
  greeting: "Здравствуйте! Чем могу помочь?",
  jump: "К последним сообщениям",
  message: "Сообщение",
  new_conversation: "Новая беседа",
  note_cut_off: "Ответ достиг предельной длины и обрывается здесь.",
  note_failed: "Не удалось закончить ответ.",
  note_filtered: "Ответ задержан фильтром содержимого модели.",
  note_interrupted: "Ответ прервался, не дойдя до конца.",
  note_overloaded: "Модель сейчас перегружена. Попробуйте ещё раз чуть позже.",
  note_stopped: "Вы остановили этот ответ.",
  note_timeout: "Модель слишком долго не отвечала.",
  placeholder: "Напишите сообщение…",
  problem_gone: "Эта беседа больше недоступна, поэтому начата новая.",
  problem_loading: "Переписка ещё загружается. Отправьте сообщение чуть позже.",
  problem_message_too_long: "Сообщение слишком длинное. Сократите его и отправьте ещё раз.",
  problem_busy: "Ответ ещё пишется. Дождитесь его или остановите.",
  problem_often: "Слишком много сообщений подряд. Подождите немного и отправьте ещё раз.",
  problem_refused: "Сообщение не принято. Измените его и отправьте ещё раз.",
  problem_server: "Сервер не смог принять сообщение. Текст сохранён, отправьте его ещё раз.",
  problem_stop: "Не удалось остановить ответ. Попробуйте ещё раз.",
  problem_unreachable: "Нет соединения. Текст сохранён, отправьте его, когда связь появится.",
  problem_unsent: "Неизвестно, дошло ли последнее сообщение. Его можно отправить ещё раз.",
  reconnecting: "Соединение потеряно. Подключаемся снова…",
  send: "Отправить сообщение",
  stop: "Остановить ответ",
  thinking: "Размышляет…",
  thoughts: "Размышления",
  try_again: "Попробовать ещё раз",
  writing: "Ответ пишется",
  you: "Вы",
};

export const languages: ReadonlyMap<string, Record<StringKey, string>> = new Map([
  ["en", english],
  ["ru", russian],
]);
const rightToLeft = new Set(["ar", "fa", "he", "ur"]);

let strings: Record<StringKey, string> = english;

/** Settles the language of the page: the tenant's if it names one that is here, else the reader's, else English. */
export function speak(wanted: string | null) {
  const candidates = [...(wanted === null ? [] : [wanted]), ...navigator.languages, "en"];
  for (const candidate of candidates) {
    const language = candidate.split("-", 1)[0]?.toLowerCase() ?? "";
    const found = languages.get(language);
    if (found === undefined) continue;
    strings = found;
    document.documentElement.lang = language;
    document.documentElement.dir = rightToLeft.has(language) ? "rtl" : "ltr";
    return;
  }
}

export function t(key: StringKey): string {
  return strings[key];
}

/** Fills what chat.html marks with `data-text` (its content) and `data-label` (its accessible name). */
export function translate(root: ParentNode) {
  for (const node of root.querySelectorAll<HTMLElement>("[data-text]")) {
    node.textContent = t(node.dataset.text as StringKey);
  }
  for (const node of root.querySelectorAll<HTMLElement>("[data-label]")) {
    node.ariaLabel = t(node.dataset.label as StringKey);
    if (node instanceof HTMLButtonElement) node.title = node.ariaLabel;
  }
}
