// What is said in the pictures of the chat: a shop of lamps answers its customers, in several languages.

export const suggestions = ["Where is my order?", "Which bulb fits?", "May I return it?"];

export const question = "Is the Fjord warm enough for reading at night?";

/** Something of all that an answer can hold. */
export const guide = `## Choosing the light

The **Fjord** goes from candle-warm to daylight. Turn the *lower* ring, or press \`dim\` on the app:

1. Evening reading: **2200 K**
2. Desk work: **4000 K**
   - with the diffuser, if the desk is glossy

> Give your eyes a minute after each change.

| Lamp | Light | Price |
|:-----|:------|------:|
| Fjord | 800 lm | €189 |
| Fjord mini | 450 lm | €129 |

### From a script

\`\`\`python
from fjord import Lamp

lamp = Lamp("desk")  # the name on its foot
lamp.warm(kelvin=2200, over_seconds=90)
\`\`\`

How bright it is depends on the distance:

$$E = \\frac{I \\cos\\theta}{r^2}$$

All sizes are in the [data sheet](https://fjord.example/data-sheet.pdf), and we are glad to help you choose.`;

export const warm = `Yes, and it is made for exactly that. Turned all the way down it gives a **candle-warm 2200 K**, without any flicker.

If something ever wears out:

- every part **unscrews by hand**, no tools needed
- spares are kept for **twenty years**
- the guarantee covers everything for **ten years**

The sizes are in the [data sheet](https://fjord.example/data).`;

/** Cut where a table has just begun. */
export const begun = `Of course. These are the three that fit your desk:

| Lamp | Reach | Light |
|:-----|:------|:------|
| Fjord | 52 cm | 800 lm |
| Fjord mini | 38 cm | 45`;

export const arabic = {
  message: "هل يصلح مصباح Fjord للقراءة ليلاً؟",
  answer: `نعم، صُنع **لذلك تماماً**. عند خفضه إلى أدنى درجة يعطي ضوءاً دافئاً بدرجة 2200 كلفن.

1. أدر الحلقة السفلى إلى اليسار
2. انتظر دقيقة حتى تعتاد العين

| المصباح | الضوء | السعر |
|:--|:--|--:|
| Fjord | 800 lm | 189 € |

اكتب \`lamp.warm()\` في التطبيق، والتفاصيل في [ورقة البيانات](https://fjord.example/data).`,
};

export const chinese = {
  message: "这盏灯适合晚上看书吗？",
  answer:
    "适合。调到最低时，它发出**烛光般的暖光**（2200 K），没有频闪。\n\n- 所有零件都可以徒手拆下\n- 备件保留二十年",
};

export const japanese = {
  message: "夜の読書に向いていますか？",
  answer:
    "はい、まさにそのための明かりです。いちばん暗くすると、**ろうそくのような2200 K**になります。\n\n- 部品は手で外せます\n- 保証は十年です",
};

export const logo =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><rect width="64" height="64" rx="18" fill="#0b6b57"/><path d="M22 26h20l6 16H16z" fill="#ffd58a"/><path d="M32 14v12" stroke="#ffd58a" stroke-width="5"/></svg>';

/** A page of a site with the chat in a column of its own. */
export const help = `<style>
body { margin: 0; font: 17px/1.6 sans-serif; color: #26211b; background: #fbf8f3; }
main { display: grid; grid-template-columns: 20rem 1fr; gap: 48px; padding: 40px 56px; }
h1 { margin: 0 0 12px; font-family: serif; }
#chat { height: 700px; border: 1px solid #e0d7c8; border-radius: 16px; overflow: hidden; }
</style>
<main><div><h1>Help</h1><p>Ask about orders, bulbs and repairs. Somebody who knows lamps reads along on weekdays.</p></div><div id="chat"></div></main>`;
