"use strict";
// Turns text and blocks into elements. Whatever comes from a message becomes a text node or a checked attribute, never
// markup: this file is the only place that shows foreign text, and it knows no way to parse HTML.

// el makes an element. Properties are set as attributes, except class and on* handlers.
function el(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") node.className = value;
    else if (name.startsWith("on") && typeof value === "function") node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

// safeLink accepts the schemes that a chat client opens, and nothing that runs.
function safeLink(url) {
  try {
    return ["http:", "https:", "mailto:"].includes(new URL(url).protocol) ? url : "";
  } catch {
    return "";
  }
}

const unescapeText = (s) => s.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

const emojiText = (s) => s.replace(/:([a-z0-9_+'-]+):/g, (all, name) => EMOJI.get(name) || all);

// anchor is a link to somewhere. One to a message of this workspace leads there on this page; others open a tab.
function anchor(link, ...children) {
  const at = new URL(link), m = at.origin === location.origin && /^\/archives\/(\w+)\/p(\d+)(\d{6})$/.exec(at.pathname);
  if (!m) return el("a", { href: link, target: "_blank", rel: "noreferrer noopener" }, ...children);
  const place = { channel: m[1], ts: m[2] + "." + m[3] };
  return el("a", { href: "#" + new URLSearchParams(place), "data-testid": "permalink", onclick: (e) => { e.preventDefault(); document.dispatchEvent(new CustomEvent("permalink", { detail: place })); } }, ...children);
}

// Mrkdwn: Slack's own markup. people and places resolve ids to names.
class Mrkdwn {
  constructor(names) { this.names = names; }

  // render returns nodes for a text.
  render(text) {
    const out = [];
    String(text).split("```").forEach((part, i, all) => {
      const closed = i % 2 === 1 && i < all.length - 1;
      if (closed) out.push(el("pre", {}, ...this.plainTokens(part.replace(/^\n/, "").replace(/\n$/, ""))));
      else out.push(...this.lines((i % 2 === 1 ? "```" : "") + (i > 0 ? part.replace(/^\n/, "") : part)));
    });
    return out;
  }

  // lines gathers quoted lines and renders the rest inline.
  lines(text) {
    const out = [];
    let quote = [], plain = [];
    const flush = () => {
      if (plain.length) out.push(...this.inline(plain.join("\n")));
      if (quote.length) out.push(el("blockquote", {}, ...this.inline(quote.join("\n"))));
      plain = []; quote = [];
    };
    for (const line of text.split("\n")) {
      const m = /^(?:&gt;|>) ?(.*)$/.exec(line);
      if (m ? plain.length : quote.length) flush();
      if (m) quote.push(m[1]); else plain.push(line);
    }
    flush();
    return out;
  }

  inline(text) {
    const rule = /(<[^<>\n]{1,3000}>)|`([^`\n]+)`|(?<![\w*])\*(?=\S)([^*\n]*[^*\s])\*(?![\w*])|(?<![\w_])_(?=\S)([^_\n]*[^_\s])_(?![\w_])|(?<![\w~])~(?=\S)([^~\n]*[^~\s])~(?![\w~])/g;
    const out = [];
    let at = 0;
    for (const m of text.matchAll(rule)) {
      this.leaf(text.slice(at, m.index), out);
      at = m.index + m[0].length;
      if (m[1]) out.push(this.token(m[1].slice(1, -1)));
      else if (m[2]) out.push(el("code", {}, ...this.plainTokens(m[2])));
      else if (m[3]) out.push(el("b", {}, ...this.inline(m[3])));
      else if (m[4]) out.push(el("i", {}, ...this.inline(m[4])));
      else out.push(el("s", {}, ...this.inline(m[5])));
    }
    this.leaf(text.slice(at), out);
    return out;
  }

  // leaf is text without markup; a bare address in it becomes a link, as in Slack.
  leaf(text, out) {
    text.split(/(https?:\/\/[^\s<>`"]*[^\s<>`".,;:!?)\]])/).forEach((part, i) => {
      const plain = unescapeText(part);
      if (i % 2 === 1 && safeLink(plain)) out.push(anchor(plain, plain));
      else if (part) out.push(document.createTextNode(emojiText(plain)));
    });
  }

  // plainTokens renders links and mentions inside code, where nothing else is markup.
  plainTokens(text) {
    return text.split(/(<[^<>\n]{1,3000}>)/).filter(Boolean).map((part) =>
      /^<[^<>\n]+>$/.test(part) ? this.token(part.slice(1, -1)) : document.createTextNode(unescapeText(part)));
  }

  // token renders what stands in angle brackets: a mention, a channel, a date, a link. Anything else is shown as written.
  token(inner) {
    const [what, label] = [inner.split("|")[0], inner.includes("|") ? inner.slice(inner.indexOf("|") + 1) : ""];
    if (what.startsWith("@")) return el("span", { class: "mention" }, "@" + this.names.user(what.slice(1), unescapeText(label)));
    if (what.startsWith("#")) return el("span", { class: "mention" }, "#" + this.names.channel(what.slice(1), unescapeText(label)));
    if (what.startsWith("!date^")) return this.date(what.split("^"), unescapeText(label));
    if (what.startsWith("!subteam^")) return el("span", { class: "mention" }, "@" + (unescapeText(label).replace(/^@/, "") || "group"));
    if (/^!(channel|here|everyone)$/.test(what)) return el("span", { class: "mention loud", "data-broadcast": what.slice(1) }, "@" + what.slice(1));
    const link = safeLink(unescapeText(what));
    if (link) return anchor(link, emojiText(unescapeText(label || what)));
    return document.createTextNode(unescapeText("<" + inner + ">"));
  }

  // date shows a moment in the zone of whoever looks at the page.
  date(parts, fallback) {
    const moment = new Date(Number(parts[1]) * 1000);
    if (Number.isNaN(moment.getTime())) return document.createTextNode(fallback);
    const text = formatDate(moment, unescapeText(parts[2] || ""));
    const time = el("time", { datetime: moment.toISOString(), title: moment.toLocaleString() }, text);
    const link = safeLink(unescapeText(parts[3] || ""));
    return link ? anchor(link, time) : time;
  }
}

// formatDate fills Slack's date placeholders.
function formatDate(moment, format) {
  const show = (options) => moment.toLocaleString(undefined, options);
  const days = Math.round((new Date(moment).setHours(0, 0, 0, 0) - new Date().setHours(0, 0, 0, 0)) / 86400000);
  const near = { "-1": "yesterday", 0: "today", 1: "tomorrow" }[days];
  const long = show({ year: "numeric", month: "long", day: "numeric" });
  const values = {
    date: long, date_long: show({ weekday: "long", year: "numeric", month: "long", day: "numeric" }), date_long_full: long,
    date_short: show({ year: "numeric", month: "short", day: "numeric" }), date_num: show({ year: "numeric", month: "2-digit", day: "2-digit" }),
    date_slash: show({ year: "numeric", month: "2-digit", day: "2-digit" }), time: show({ hour: "2-digit", minute: "2-digit" }),
    time_secs: show({ hour: "2-digit", minute: "2-digit", second: "2-digit" }), ago: ago(moment),
  };
  for (const name of ["date", "date_long", "date_short"]) values[name + "_pretty"] = near || values[name];
  return format.replace(/\{(\w+)\}/g, (all, name) => values[name] || all);
}

function ago(moment) {
  const s = Math.round((moment - Date.now()) / 1000);
  const [unit, size] = [["day", 86400], ["hour", 3600], ["minute", 60]].find(([, n]) => Math.abs(s) >= n) || ["second", 1];
  return new Intl.RelativeTimeFormat(undefined, { numeric: "auto" }).format(Math.trunc(s / size), unit);
}

// Blocks renders Block Kit. act(element, block) is called when somebody uses an interactive element; those that nobody
// listens to are shown and cannot be used.
class Blocks {
  constructor(mrkdwn, act, listens = () => true) { this.mrkdwn = mrkdwn; this.act = act; this.listens = listens; }

  render(list) {
    return (Array.isArray(list) ? list : []).map((block) => {
      const how = this["block_" + block?.type];
      const node = how ? how.call(this, block) : this.unknown(block);
      if (block?.type) node.dataset.block = block.type;
      return node;
    });
  }

  // text renders a text object, or a bare string.
  text(t) {
    if (t === null || t === undefined) return [];
    if (typeof t === "string") return [document.createTextNode(emojiText(t))];
    return t.type === "mrkdwn" ? this.mrkdwn.render(t.text) : [document.createTextNode(emojiText(String(t.text ?? "")))];
  }

  block_section(b) {
    const body = el("div", { class: "body text" }, ...this.text(b.text));
    if (b.fields?.length) body.append(el("div", { class: "fields" }, ...b.fields.map((f) => el("div", { class: "text" }, ...this.text(f)))));
    return el("div", { class: "b-section" }, body, b.accessory ? this.element(b.accessory, b) : null);
  }

  block_header(b) { return el("div", { class: "b-header" }, ...this.text(b.text)); }

  block_divider() { return el("hr", { class: "b-divider" }); }

  block_context(b) {
    return el("div", { class: "b-context" }, ...(b.elements || []).map((e) => (e.type === "image" ? el("span", {}, e.alt_text || "") : el("span", { class: "text" }, ...this.text(e)))));
  }

  block_actions(b) { return el("div", { class: "b-actions" }, ...(b.elements || []).map((e) => this.element(e, b))); }

  // block_image stands in for a picture: the page loads nothing from outside.
  block_image(b) {
    return el("figure", { class: "b-image" }, el("span", { class: "frame-mark", "aria-hidden": "true" }, "🖼"), el("span", {}, b.title ? el("b", {}, ...this.text(b.title)) : null, " ", b.alt_text || "Image"),
      el("small", {}, b.image_url ? "not loaded from " + (safeLink(b.image_url) ? new URL(b.image_url).host : "an address that is no link") : ""));
  }

  block_alert(b) { return el("div", { class: "b-image" }, ...this.text(b.text)); }

  block_rich_text(b) { return el("div", { class: "rich" }, ...(b.elements || []).map((e) => this.rich(e))); }

  block_markdown(b) { return markdown(String(b.text ?? "")); }

  block_table(b) {
    const cell = (c) => el("td", {}, ...(c === null ? [] : c.type === "rich_text" ? c.elements.map((e) => this.rich(e)) : [String(c.text ?? c.value ?? "")]));
    return el("div", { class: "b-table" }, el("table", {}, ...(b.rows || []).map((row) => el("tr", {}, ...row.map(cell)))));
  }

  block_plan(b) {
    return el("div", { class: "b-plan" }, el("div", { class: "plan-title" }, ...this.text(b.title)), el("ul", { class: "tasks" }, ...(b.tasks || []).map((t) => this.task(t, "li"))));
  }

  block_task_card(b) { return this.task(b, "div"); }

  task(t, tag) {
    const words = { pending: "pending", in_progress: "in progress", complete: "complete", error: "failed" };
    const status = words[t.status] ? t.status : "pending";
    const more = ["details", "output"].filter((k) => t[k]).map((k) => el("div", { class: "more rich" }, ...(t[k].elements || []).map((e) => this.rich(e))));
    return el(tag, { class: "task " + status }, el("span", { class: "dot", "aria-hidden": "true" }),
      el("span", {}, ...this.text(t.title), " ", el("span", { class: "status" }, words[status])), ...more);
  }

  block_input(b) {
    const field = el("div", { class: "field", "data-block-id": b.block_id || "" }, el("label", {}, ...this.text(b.label), b.optional ? el("small", {}, " (optional)") : null), this.control(b.element || {}));
    if (b.hint) field.append(el("small", {}, ...this.text(b.hint)));
    return field;
  }

  // control is the form field of an input block; the page reads its value on submit.
  control(e) {
    const props = { "data-action-id": e.action_id, "data-kind": e.type, "aria-label": e.placeholder?.text };
    if (e.options) return el("select", props, ...e.options.map((o) => el("option", { value: o.value }, o.text?.text || "")));
    const node = el(e.multiline ? "textarea" : "input", { ...props, placeholder: e.placeholder?.text, rows: e.multiline ? 3 : null, maxlength: e.max_length });
    node.value = e.initial_value || "";
    return node;
  }

  rich(e) {
    const inner = () => (e.elements || []).map((x) => (x.type?.startsWith("rich_text_") ? this.rich(x) : this.span(x)));
    switch (e.type) {
      case "rich_text_section": return el("div", { class: "text" }, ...inner());
      case "rich_text_preformatted": return el("pre", {}, ...inner());
      case "rich_text_quote": return el("blockquote", {}, ...inner());
      case "rich_text_list": return el(e.style === "ordered" ? "ol" : "ul", {}, ...(e.elements || []).map((x) => el("li", {}, this.rich(x))));
      default: return this.unknown(e);
    }
  }

  span(x) {
    let node = document.createTextNode(x.text ?? "");
    if (x.type === "link") {
      const link = safeLink(x.url);
      node = link ? anchor(link, x.text || x.url) : document.createTextNode(x.text || x.url || "");
    } else if (x.type === "user") node = this.mrkdwn.token("@" + x.user_id);
    else if (x.type === "channel") node = this.mrkdwn.token("#" + x.channel_id);
    else if (x.type === "broadcast") node = this.mrkdwn.token("!" + x.range);
    else if (x.type === "emoji") node = document.createTextNode(EMOJI.get(x.name) || ":" + x.name + ":");
    else if (x.type === "date") node = this.mrkdwn.date(["", x.timestamp, x.format || "{date}"], x.fallback || "");
    for (const [style, tag] of [["bold", "b"], ["italic", "i"], ["strike", "s"], ["code", "code"]]) if (x.style?.[style]) node = el(tag, {}, node);
    return node;
  }

  // element renders what can be pressed or chosen.
  element(e, block) {
    if (e.type === "image") return el("span", { class: "b-image" }, e.alt_text || "");
    if (e.type === "button" || e.type === "workflow_button") return this.button(e, block);
    if (e.options && ["static_select", "overflow", "radio_buttons"].includes(e.type)) {
      const first = e.placeholder?.text || (e.type === "overflow" ? "More…" : "Choose…");
      const select = el("select", { disabled: !this.listens(e), "aria-label": first, "data-testid": "card-select-" + e.action_id }, el("option", { value: "" }, first), ...e.options.map((o) => el("option", { value: o.value }, o.text?.text || "")));
      select.addEventListener("change", () => select.value && this.act({ ...e, chosen: select.value }, block, select));
      return select;
    }
    return this.unknown(e);
  }

  button(e, block) {
    const style = ["primary", "danger"].includes(e.style) ? " " + e.style : "";
    const dead = !this.listens(e) && !safeLink(e.url || "");
    const node = el("button", { type: "button", class: "button" + style, disabled: dead, title: dead ? "Nobody listens to this button: a job printed it" : null, "data-testid": "card-button-" + e.action_id, "aria-label": e.accessibility_label }, ...this.text(e.text));
    node.addEventListener("click", () => this.act(e, block, node));
    return node;
  }

  unknown(v) {
    return el("details", { class: "b-unknown" }, el("summary", {}, (v?.type || "something") + " (not drawn here)"), el("pre", {}, JSON.stringify(v, null, 2)));
  }
}

// markdown draws the common part of Markdown: headings, lists, quotes, fences, bold, italic, code, links.
function markdown(text) {
  const box = el("div", { class: "b-markdown text" });
  text.split("```").forEach((part, i) => {
    if (i % 2 === 1) { box.append(el("pre", {}, part.replace(/^\w*\n/, "").replace(/\n$/, ""))); return; }
    for (const line of part.split("\n")) {
      const heading = /^#{1,6} (.*)$/.exec(line), item = /^[-*] (.*)$/.exec(line);
      if (heading) box.append(el("h3", {}, ...markdownInline(heading[1])));
      else if (item) box.append(el("ul", {}, el("li", {}, ...markdownInline(item[1]))));
      else if (line.trim()) box.append(el("div", {}, ...markdownInline(line)));
    }
  });
  return box;
}

function markdownInline(text) {
  const out = [];
  let at = 0;
  for (const m of text.matchAll(/`([^`]+)`|\*\*([^*]+)\*\*|\*([^*]+)\*|\[([^\]]+)\]\(([^)\s]+)\)/g)) {
    out.push(document.createTextNode(emojiText(text.slice(at, m.index))));
    at = m.index + m[0].length;
    const link = m[5] ? safeLink(m[5]) : "";
    if (m[1]) out.push(el("code", {}, m[1]));
    else if (m[2]) out.push(el("b", {}, m[2]));
    else if (m[3]) out.push(el("i", {}, m[3]));
    else out.push(link ? anchor(link, m[4]) : document.createTextNode(m[0]));
  }
  out.push(document.createTextNode(emojiText(text.slice(at))));
  return out;
}

// mood colours the edge of a card by the words that it shows; it is decoration, the words say it.
function mood(text) {
  if (/\b(failed|timed out|refused|error)\b/i.test(text)) return "bad";
  if (/\b(waiting|queued|paused|cancelled|canceled|cancelling)\b/i.test(text)) return "waiting";
  if (/\b(succeeded|success|complete|finished|done)\b/i.test(text) && !/\b(running|in progress|in_progress|pending)\b/i.test(text)) return "good";
  if (/\b(running|deploying|in progress|in_progress|started|claimed)\b/i.test(text)) return "running";
  return "";
}
