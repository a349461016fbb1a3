"use strict";
// The names of Slack's standard emoji, filled from emoji.txt before the first message is drawn. A name that is not here is
// shown as it is written.
const EMOJI = new Map();

async function loadEmoji() {
  const text = await (await fetch("/static/emoji.txt")).text();
  for (const line of text.split("\n")) {
    if (!line || line.startsWith("# ")) continue;
    const [sign, ...known] = line.split(" ");
    for (const name of known) EMOJI.set(name, sign);
  }
}
