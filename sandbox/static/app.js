"use strict";
// The page's state and its stream. render.js draws messages, inspector.js the right column, composer.js what is typed.
// PEOPLE are who one may act as, and FALLBACK are the channels where one of them is taken who cannot see the present one.
const PEOPLE = ["U0REQUEST01", "U0APPROVE01", "U0ADMIN0001", "U0GUEST0001", "U0SINGLE001", "U0STRANGE01", "U0GONE00001"];
const FALLBACK = ["C0DEPLOYS01", "C0SHARED001", "C0GENERAL01"];
// OURS begins the ids of the buttons that the app listens to; a job may print others.
const OURS = "slipway:";
const $ = (id) => document.getElementById(id);

const app = {
  users: new Map(), channels: new Map(), messages: new Map(), views: new Map(), commands: [], hints: [],
  me: PEOPLE[0], here: "C0DEPLOYS01", thread: "", unread: new Set(), version: 0, stream: null,
};

const names = {
  user: (id, label) => app.users.get(id)?.name || label || id,
  channel: (id, label) => label || app.channels.get(id)?.name || id,
};
const mrkdwn = new Mrkdwn(names);
const inspector = new Inspector(call);

// call asks the sandbox to do something, and returns its answer or throws its words.
async function call(what, body) {
  const answer = await fetch("/sandbox/" + what, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const out = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(out.error || "The sandbox refused: " + answer.status);
  return out;
}

const key = (m) => m.channel + " " + m.ts;

// ---- loading and the stream

async function load() {
  const [config, state] = await Promise.all([...["config", "state"].map(async (p) => (await fetch("/sandbox/" + p)).json()), EMOJI.size || loadEmoji()]);
  app.commands = config.commands;
  app.hints = config.hints.length ? config.hints : ["/check_status", "/slipway help"];
  inspector.ackLimit = config.ack_timeout_ms;
  app.users = new Map(state.users.map((u) => [u.id, u]));
  app.channels = new Map(state.channels.map((c) => [c.id, c]));
  app.messages = new Map(state.messages.map((m) => [key(m), m]));
  app.views = new Map(state.views.map((v) => [v.id, v]));
  app.version = state.version;
  showFaults(state.faults);
  inspector.reset(state.journal);
  fromHash();
  draw();
  listen();
}

function listen() {
  app.stream?.close();
  const stream = (app.stream = new EventSource("/sandbox/events?since=" + app.version));
  const on = (kind, f) => stream.addEventListener(kind, (e) => f(JSON.parse(e.data)));
  on("message", (m) => { arrived(m); });
  on("removed", (m) => { app.messages.delete(key(m)); drawSoon(); });
  on("journal", (e) => inspector.add(e));
  on("faults", showFaults);
  on("channel", (c) => { app.channels.set(c.id, c); drawSoon(); });
  on("user", (u) => { app.users.set(u.id, u); draw(); });
  on("view", (v) => { app.views.set(v.id, v); showView(v); });
  on("reset", () => { stream.close(); load(); });
  stream.onopen = () => { document.body.dataset.live = "true"; trouble(""); };
  stream.onerror = () => { document.body.dataset.live = "false"; trouble("offline"); };
}

function arrived(m) {
  const old = app.messages.get(key(m));
  app.messages.set(key(m), m);
  if (old && old.edits !== m.edits) m.flash = true;
  if (!old && m.channel !== app.here && (!m.for || m.for === app.me)) { app.unread.add(m.channel); drawSidebar(); }
  drawSoon();
}

let faultWords = "";
function showFaults(list) { faultWords = inspector.faults(list || []); trouble(document.body.dataset.live === "false" ? "offline" : ""); }

function trouble(kind) {
  const text = kind === "offline" ? "The sandbox does not answer. Trying again…" : faultWords && "Slack is broken on purpose: " + faultWords + ". Runs go on, and cards catch up when it is healed.";
  $("trouble").textContent = text;
  $("trouble").hidden = !text;
}

// ---- drawing

let pending = false;
function drawSoon() {
  if (pending) return;
  pending = true;
  // A frame when the page is visible; a timer keeps hidden pages up to date too.
  const run = () => { if (pending) { pending = false; drawTimelines(); } };
  requestAnimationFrame(run);
  setTimeout(run, 120);
}

function draw() { drawSidebar(); drawHeader(); drawTimelines(true); main.refresh(); side.refresh(); }

const canSee = (c, user) => c.members.includes(user);

function drawSidebar() {
  const focused = document.activeElement?.closest(".sidebar") && document.activeElement.dataset.testid;
  $("people").replaceChildren(...PEOPLE.map((id) => person(app.users.get(id))));
  const list = [...app.channels.values()].filter((c) => canSee(c, app.me));
  $("channels").replaceChildren(...list.filter((c) => !c.is_im).map(channelButton));
  $("directs").replaceChildren(...list.filter((c) => c.is_im).map(channelButton));
  if (focused) document.querySelector(`.sidebar [data-testid="${CSS.escape(focused)}"]`)?.focus();
}

function person(u) {
  return el("button", { type: "button", role: "radio", disabled: u.deleted, title: roleHelp(u), "aria-checked": String(u.id === app.me), "data-testid": "user-" + u.name, onclick: () => become(u.id) },
    avatar(u.id, u.real_name), el("span", { class: "name" }, u.real_name), el("span", { class: "role" }, roleOf(u)));
}

const roleOf = (u) => (u.deleted ? "deactivated" : u.is_stranger ? "stranger" : u.is_ultra_restricted ? "1-channel guest" : u.is_restricted ? "guest" : u.is_admin ? "admin" : "");

const roleHelp = (u) => ({ deactivated: "Left the workspace: acts no more", stranger: "From another workspace, over a shared channel", "1-channel guest": "A guest of one channel", guest: "A guest of several channels", admin: "An administrator" })[roleOf(u)] || "A full member";

function channelButton(c) {
  const current = c.id === app.here;
  const sign = c.is_im ? "•" : c.is_archived ? "▫" : c.is_private ? "◆" : "#";
  const unread = app.unread.has(c.id) && !current;
  return el("button", { type: "button", class: `${c.is_archived ? "muted" : ""} ${unread ? "unread" : ""}`, "aria-current": String(current), "data-testid": (c.is_im ? "dm-" : "channel-") + c.name, onclick: () => go(c.id), title: c.topic || "" },
    el("span", { class: "sign", "aria-hidden": "true" }, sign), el("span", { class: "name" }, c.name), unread ? el("span", { class: "skip" }, "unread") : null);
}

function avatar(id, name) {
  const bot = app.users.get(id)?.is_bot;
  const letters = (name || "?").split(/\s+/).map((w) => w[0]).slice(0, bot ? 1 : 2).join("").toUpperCase();
  const node = el("span", { class: "avatar" + (bot ? " bot" : ""), "aria-hidden": "true" }, letters);
  node.style.setProperty("--hue", [...id].reduce((h, ch) => (h * 31 + ch.charCodeAt(0)) % 360, 7));
  return node;
}

function drawHeader() {
  const c = app.channels.get(app.here);
  $("channel-name").textContent = c.is_im ? c.name : "# " + c.name;
  $("channel-topic").textContent = c.is_im ? "Only you and the bot" : c.topic || "";
  document.title = (c.is_im ? c.name : "#" + c.name) + " · Slipway sandbox";
  $("thread-where").textContent = c.is_im ? "" : "# " + c.name;
}

const mine = (m) => m.channel === app.here && (!m.for || m.for === app.me);
const isReply = (m) => m.thread_ts && m.thread_ts !== m.ts;
const byTime = (a, b) => (a.ts < b.ts ? -1 : a.ts > b.ts ? 1 : 0);

function drawTimelines(fresh) {
  const all = [...app.messages.values()].filter(mine).sort(byTime);
  const top = all.filter((m) => !isReply(m) || m.broadcast);
  fill($("timeline"), top, all, fresh, false);
  const open = app.thread && all.some((m) => m.ts === app.thread);
  $("thread").hidden = !open;
  $("frame").classList.toggle("with-thread", Boolean(open));
  if (open) fill($("thread-timeline"), all.filter((m) => m.ts === app.thread || (isReply(m) && m.thread_ts === app.thread)), all, fresh, true);
}

// fill brings a timeline to the given messages, touching only what changed, and keeps focus and the reading position.
function fill(box, list, all, fresh, inThread) {
  const atEnd = fresh || box.scrollHeight - box.scrollTop - box.clientHeight < 60;
  const focused = box.contains(document.activeElement) ? [document.activeElement.closest(".message")?.dataset.ts, document.activeElement.dataset.testid] : null;
  const known = fresh ? new Map() : new Map([...box.children].map((n) => [n.dataset.key, n]));
  const nodes = list.length ? [] : [welcome(inThread)];
  let last = null;
  for (const m of list) {
    const day = new Date(Number(m.ts) * 1000).toDateString();
    if (!inThread && day !== last?.day) nodes.push(known.get(day) || el("div", { class: "day", "data-key": day }, dayName(m.ts)));
    const replies = inThread ? [] : all.filter((r) => isReply(r) && r.thread_ts === m.ts && !r.for);
    const grouped = Boolean(last && last.day === day && last.m.user === m.user && !last.m.for === !m.for && last.m.name === m.name && m.ts - last.m.ts < 300 && !last.replies && !isCard(m) && !isCard(last.m));
    const sign = JSON.stringify([m, replies.length, replies.at(-1)?.ts, grouped, app.me]);
    const old = known.get(m.ts);
    nodes.push(old && old.sign === sign ? old : message(m, replies, grouped, sign, inThread));
    last = { m, day, replies: replies.length };
  }
  nodes.forEach((node, i) => { if (box.children[i] !== node) box.insertBefore(node, box.children[i] || null); });
  while (box.children.length > nodes.length) box.lastElementChild.remove();
  if (focused?.[1]) box.querySelector(`[data-ts="${CSS.escape(focused[0])}"] [data-testid="${CSS.escape(focused[1])}"]`)?.focus({ preventScroll: true });
  if (atEnd) box.scrollTop = box.scrollHeight;
}

// A card is more than text: sections alone are drawn as plainly as a text.
const isCard = (m) => Boolean(m.blocks?.some((b) => b.type !== "section" || b.accessory || b.fields));

function dayName(ts) {
  const d = new Date(Number(ts) * 1000);
  return d.toDateString() === new Date().toDateString() ? "Today" : d.toLocaleDateString(undefined, { weekday: "long", month: "long", day: "numeric" });
}

function welcome(inThread) {
  if (inThread || app.here !== "C0DEPLOYS01") {
    const tries = inThread ? [] : app.hints.map((text) => el("li", {}, el("button", { type: "button", class: "try", onclick: () => main.set(text) }, text)));
    return el("div", { class: "welcome", "data-key": "welcome" }, el("h2", {}, inThread ? "No replies yet" : "Nothing here yet"), "Say something, or try a command.", el("ul", {}, ...tries));
  }
  const tries = [["/deploy", "deploy the default, or see what there is"], ["/check_status", "what runs and waits now"], ["/slipway help", "everything else"]];
  return el("div", { class: "welcome", "data-key": "welcome" }, el("h2", {}, "Deploy something"),
    "Type a command below, as you would in your workspace. Every run gets one card here that updates itself.",
    el("ul", {}, ...tries.concat(app.hints.filter((h) => h.startsWith("@")).map((h) => [h, "a job, where people talk"])).map(([text, help]) => el("li", {}, el("button", { type: "button", class: "try", onclick: () => main.set(text + " ") }, text), " ", help))));
}

function message(m, replies, grouped, sign, inThread) {
  const user = app.users.get(m.user), shown = m.name || user?.real_name || "Somebody";
  const when = new Date(Number(m.ts) * 1000), clock = when.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
  const node = el("article", { class: `message${grouped ? " grouped" : ""}${m.for ? " private" : ""}${m.flash ? " changed" : ""}`, "data-testid": "message", "data-ts": m.ts, "data-key": m.ts, "data-user": user?.name || "", "data-ephemeral": String(Boolean(m.for)), "data-edits": m.edits || 0 });
  delete m.flash;
  node.sign = sign;
  node.append(el("span", { class: "hour", "aria-hidden": "true" }, clock), avatar(m.user || "notice", shown));
  const body = el("div", { class: "content" });
  if (m.for) body.append(el("div", { class: "only" }, "Only visible to you"));
  if (m.broadcast && !inThread) body.append(el("div", { class: "only" }, "Also in a thread"));
  if (m.pinned_by) body.append(el("div", { class: "only", "data-testid": "pinned" }, EMOJI.get("pushpin") + " Pinned by " + (app.users.get(m.pinned_by)?.real_name || "somebody")));
  body.append(el("div", { class: "byline" }, el("strong", {}, shown), user?.is_bot ? el("span", { class: "tag" }, "APP") : null, m.name === "Sandbox" ? el("span", { class: "tag" }, "NOTICE") : null,
    el("time", { datetime: when.toISOString(), title: when.toLocaleString() }, clock)));
  body.append(...bodyOf(m), under(m, replies, inThread));
  node.append(body, tools(m, inThread));
  return node;
}

function bodyOf(m) {
  const out = [];
  const edited = m.edits && !isCard(m) ? el("span", { class: "edited" }, " (edited)") : null;
  if (isCard(m)) {
    const drawer = new Blocks(mrkdwn, (e, block, node) => act(m, e, block, node), (e) => m.for || String(e.action_id || "").startsWith(OURS));
    const card = el("div", { class: "card blocks", "data-testid": "card" }, ...drawer.render(m.blocks));
    card.dataset.mood = mood([...card.children].map((n) => n.textContent.replace(/\s+/g, " ")).join(" "));
    out.push(card);
  } else if (m.blocks?.length) out.push(el("div", { class: "blocks" }, ...new Blocks(mrkdwn, () => {}).render(m.blocks), edited));
  else if (m.text) out.push(el("div", { class: "text" }, ...mrkdwn.render(m.text), edited));
  if (m.attachments) out.push(new Blocks(mrkdwn, () => {}).unknown({ type: "attachments", attachments: m.attachments }));
  for (const f of m.files || []) out.push(fileBox(f));
  return out;
}

function under(m, replies, inThread) {
  const box = el("div", { class: "under" });
  for (const [name, users] of Object.entries(m.reactions || {})) {
    const on = users.includes(app.me);
    box.append(el("button", { type: "button", class: "reaction", "data-testid": "reaction-" + name, "aria-pressed": String(on), title: users.map((u) => names.user(u)).join(", ") + " · :" + name + ":", onclick: () => tryCall("react", { ts: m.ts, name, remove: on }) }, (EMOJI.get(name) || ":" + name + ":") + " " + users.length));
  }
  if (replies.length) box.append(el("button", { type: "button", class: "replies", "data-testid": "replies", onclick: () => openThread(m.ts) }, replies.length === 1 ? "1 reply" : replies.length + " replies"));
  return box;
}

function tools(m, inThread) {
  if (m.for) return el("div");
  const tool = (label, props, ...what) => el("button", { type: "button", "aria-label": label, ...props }, ...what);
  const react = ["white_check_mark", "eyes", "tada"].map((name) => tool("React with " + name, { onclick: () => tryCall("react", { ts: m.ts, name, remove: Boolean(m.reactions?.[name]?.includes(app.me)) }) }, EMOJI.get(name)));
  const pin = tool(m.pinned_by ? "Unpin" : "Pin", { "data-testid": "pin", onclick: () => tryCall("pin", { ts: m.ts, remove: Boolean(m.pinned_by) }) }, EMOJI.get("pushpin"));
  const own = m.user !== app.me ? [] : [tool("Edit", { "data-testid": "edit", onclick: (e) => edit(m, e.target.closest(".message")) }, "Edit"), tool("Delete", { "data-testid": "delete", onclick: () => erase(m) }, "Delete")];
  return el("div", { class: "hover-tools" }, ...react, pin, ...own, inThread ? null : tool("Reply", { "data-testid": "reply", onclick: () => openThread(m.thread_ts || m.ts) }, "Reply"));
}

// typedText is a message as one would type it again.
const typedText = (text) => unescapeText(text.replace(/<@(\w+)(?:\|[^<>]*)?>/g, (_, id) => "@" + names.user(id)).replace(/<#(\w+)\|?[^<>]*>/g, (_, id) => "#" + names.channel(id)).replace(/<(https?:[^<>|]+)(?:\|[^<>]*)?>/g, "$1"));

// edit puts a field in the place of one's own words, until they are saved or left.
function edit(m, node) {
  const area = el("textarea", { rows: 2, "aria-label": "Edit the message", "data-testid": "edit-text" });
  area.value = typedText(m.text);
  const leave = () => { node.sign = ""; drawTimelines(); };
  const save = async () => { await tryCall("edit", { ts: m.ts, text: area.value.trim() }); leave(); };
  area.addEventListener("keydown", (e) => {
    if (e.key === "Enter" && !e.shiftKey && !e.isComposing) { e.preventDefault(); save(); }
    if (e.key === "Escape") { e.stopPropagation(); leave(); }
  });
  node.querySelector(".text")?.replaceWith(el("div", { class: "edit" }, area, el("div", { class: "edit-actions" }, el("button", { type: "button", class: "button", onclick: leave }, "Cancel"), el("button", { type: "button", class: "button primary", "data-testid": "edit-save", onclick: save }, "Save"))));
  area.focus();
}

async function erase(m) {
  const plain = (text) => ({ type: "plain_text", text });
  if (await confirmed({ title: plain("Delete this message?"), text: plain("Nobody will see it any more."), confirm: plain("Delete"), deny: plain("Keep"), style: "danger" })) await tryCall("delete", { ts: m.ts });
}

// ---- acting

async function tryCall(what, body) {
  try { await call(what, { user: app.me, channel: app.here, ...body }); } catch (e) { main.complain(e.message); }
}

// act presses a button of a card, after its confirm dialog if it has one.
async function act(m, element, block, node) {
  if (element.confirm && !(await confirmed(element.confirm))) return;
  if (element.url && safeLink(element.url)) window.open(element.url, "_blank", "noopener");
  node.setAttribute("aria-busy", "true");
  await tryCall("click", { ts: m.ts, block: block.block_id, action: element.action_id, value: element.chosen || "" });
  node.removeAttribute("aria-busy");
}

function confirmed(c) {
  const dialog = $("confirm"), drawer = new Blocks(mrkdwn, () => {});
  $("confirm-title").replaceChildren(...drawer.text(c.title || "Are you sure?"));
  $("confirm-text").replaceChildren(...drawer.text(c.text));
  $("confirm-no").replaceChildren(...drawer.text(c.deny || "Cancel"));
  $("confirm-yes").replaceChildren(...drawer.text(c.confirm || "Yes"));
  $("confirm-yes").className = "button " + (c.style === "danger" ? "danger" : "primary");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true }));
}

// showView opens, updates or closes the modal that the app shows to the current person.
function showView(v) {
  const dialog = $("view");
  if (v.type !== "modal" || v.user !== app.me) return;
  if (!v.open) { if (dialog.open && dialog.dataset.view === v.id) dialog.close("gone"); return; }
  const drawer = new Blocks(mrkdwn, () => {});
  dialog.dataset.view = v.id;
  $("view-title").replaceChildren(...drawer.text(v.view.title));
  $("view-body").replaceChildren(...drawer.render(v.view.blocks));
  $("view-close").replaceChildren(...drawer.text(v.view.close || "Cancel"));
  $("view-submit").hidden = !v.view.submit;
  $("view-submit").replaceChildren(...drawer.text(v.view.submit || "Submit"));
  if (!dialog.open) dialog.showModal();
}

// A modal that is dismissed, by its button or by Escape, is closed for the app too.
$("view").addEventListener("close", () => {
  const v = app.views.get($("view").dataset.view);
  if (v?.open && v.user === app.me) call("close-view", { user: app.me, view: v.id }).catch(() => {});
});
$("view").addEventListener("submit", async (e) => {
  if (e.submitter?.value !== "submit") return;
  e.preventDefault();
  const values = {};
  for (const field of $("view-body").querySelectorAll("[data-block-id]")) {
    const input = field.querySelector("[data-action-id]");
    if (!input) continue;
    const state = { type: input.dataset.kind, value: input.value };
    if (input.tagName === "SELECT") state.selected_option = { value: input.value, text: { type: "plain_text", text: input.selectedOptions[0]?.textContent || "" } };
    values[field.dataset.blockId] = { [input.dataset.actionId]: state };
  }
  const answer = await call("submit", { user: app.me, view: $("view").dataset.view, values }).catch((err) => ({ body: "", error: err.message }));
  let reply = {};
  try { reply = JSON.parse(answer.body || "{}"); } catch { reply = {}; }
  for (const [id, text] of Object.entries(reply.errors || {})) $("view-body").querySelector(`[data-block-id="${CSS.escape(id)}"]`)?.append(el("small", { class: "wrong", role: "alert" }, text));
});

function become(user) {
  app.me = user;
  const seen = (id) => app.channels.has(id) && canSee(app.channels.get(id), user);
  if (!seen(app.here)) app.here = [...(app.channels.get(app.here).is_im ? ["D" + user.slice(1)] : []), ...FALLBACK, ...app.channels.keys()].find(seen);
  app.thread = "";
  draw();
  for (const v of app.views.values()) if (v.open) showView(v);
}

function go(channel) {
  app.here = channel;
  app.thread = "";
  app.unread.delete(channel);
  history.replaceState(null, "", "#" + new URLSearchParams({ channel }));
  draw();
  main.area.focus();
}

function openThread(ts) {
  app.thread = ts;
  drawTimelines();
  side.refresh();
  $("thread-timeline").scrollTop = $("thread-timeline").scrollHeight;
  side.area.focus();
}

// fromHash follows what a permalink left in the address: #channel=…&ts=…
function fromHash() {
  const at = new URLSearchParams(location.hash.slice(1));
  follow({ channel: at.get("channel"), ts: at.get("ts") });
}

// follow turns to a channel and a message of it, in its thread when it is a reply. The caller draws.
function follow({ channel, ts }) {
  const there = app.channels.get(channel);
  if (!there || !canSee(there, app.me)) return;
  if (app.here !== there.id) app.thread = "";
  app.here = there.id;
  app.unread.delete(there.id);
  const m = ts && app.messages.get(there.id + " " + ts);
  if (!m) return;
  if (isReply(m)) app.thread = m.thread_ts;
  requestAnimationFrame(() => {
    const node = document.querySelector(`${isReply(m) ? "#thread-timeline" : "#timeline"} [data-ts="${CSS.escape(ts)}"]`);
    node?.classList.remove("target");
    void node?.offsetWidth; // a second visit lights it up again
    node?.classList.add("target");
    node?.scrollIntoView({ block: "center" });
  });
}

// remind is what Slackbot does once a day or week, done now: /remind [#channel] ["]TEXT["] [when]
async function remind(rest) {
  const m = /^(?:#(\S+)\s+)?(?:"([^"]*)"|([\s\S]*))/.exec(rest || "");
  const text = (m[2] || m[3] || "").trim(), channel = m[1] ? [...app.channels.values()].find((c) => !c.is_im && c.name === m[1]) : app.channels.get(app.here);
  if (!text || !channel) return "Write /remind #channel \"@slipway NAMESPACE COMMAND\". Slackbot posts it at once, here.";
  if (channel.is_im) return "Slackbot posts reminders into channels. Name one: /remind #ops \"…\"";
  await call("remind", { channel: channel.id, text });
  return "";
}

async function send(text, thread) {
  const where = { user: app.me, channel: app.here };
  try {
    const m = /^(\/[\w-]+)(?:\s+([\s\S]*))?$/.exec(text);
    if (!m) { await call("post", { ...where, text, thread_ts: thread || "" }); return ""; }
    if (thread) return "Commands do not work in threads. Mention the bot instead: @slipway …";
    if (m[1] === REMIND.insert) return await remind(m[2]);
    if (!app.commands.some((c) => c.name === m[1])) return `${m[1]} is not a command here. Try ${app.commands.map((c) => c.name).join(", ")}.`;
    await call("command", { ...where, command: m[1], text: m[2] || "" });
    return "";
  } catch (e) {
    return e.message;
  }
}

// REMIND is Slack's own command.
const REMIND = { insert: "/remind", usage: '[#channel] "@slipway NAMESPACE COMMAND"', help: "Slackbot says it now" };

function candidates(sign) {
  if (sign === "/") return [...app.commands.map((c) => ({ insert: c.name, usage: c.usage, help: c.help })), REMIND];
  if (sign === "#") return [...app.channels.values()].filter((c) => !c.is_im && canSee(c, app.me)).map((c) => ({ insert: "#" + c.name, help: c.topic }));
  return [...app.users.values()].filter((u) => !u.is_stranger && !u.deleted && u.id !== "USLACKBOT").map((u) => ({ insert: "@" + u.name, help: u.real_name }));
}

const main = new Composer({
  id: "composer", testid: "composer", commands: true, host: $("composer-box"), send: (text) => send(text), candidates, hints: () => app.hints,
  label: () => {
    const c = app.channels.get(app.here);
    if (!c) return { label: "Loading…", disabled: true };
    if (c.is_archived) return { label: "This channel is archived", disabled: true };
    return { label: `Message ${c.is_im ? c.name : "#" + c.name} as ${app.users.get(app.me).name}, or type / for commands` };
  },
});
const side = new Composer({
  id: "thread-composer", testid: "thread-composer", host: $("thread-composer-box"), send: (text) => send(text, app.thread),
  candidates: (sign) => (sign === "/" ? [] : candidates(sign)), label: () => ({ label: "Reply… (@slipway to ask the bot)" }),
});

// A timeline that was read to its end stays at its end when the room around it changes.
for (const box of [$("timeline"), $("thread-timeline")]) {
  box.addEventListener("scroll", () => { box.atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 60; });
  new ResizeObserver(() => { if (box.atEnd) box.scrollTop = box.scrollHeight; }).observe(box);
}
$("thread-close").addEventListener("click", () => { app.thread = ""; drawTimelines(); main.area.focus(); });
$("inspector-toggle").addEventListener("click", () => {
  const hidden = $("frame").classList.toggle("no-inspector");
  $("inspector-toggle").setAttribute("aria-expanded", String(!hidden));
});
document.addEventListener("keydown", (e) => { if (e.key === "Escape" && app.thread && !$("confirm").open && !$("view").open) { app.thread = ""; drawTimelines(); main.area.focus(); } });
document.addEventListener("permalink", (e) => { follow(e.detail); history.replaceState(null, "", "#" + new URLSearchParams(e.detail)); draw(); });
window.addEventListener("hashchange", () => { fromHash(); draw(); });
if (window.innerWidth <= 1120) $("inspector-toggle").click();
load();
