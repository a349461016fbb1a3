"use strict";
// The right column: what went over the wire, and the switches that break it.
class Inspector {
  constructor(call) {
    this.call = call;
    this.list = document.getElementById("entries");
    this.filter = "all";
    this.ackLimit = 3000;
    for (const b of document.querySelectorAll("[data-filter]")) b.addEventListener("click", () => this.show(b.dataset.filter));
    for (const b of document.querySelectorAll("[data-fault]")) b.addEventListener("click", () => this.toggle(b));
    document.getElementById("heal").addEventListener("click", () => call("faults", { heal: true }));
    document.getElementById("kill-runner")?.addEventListener("click", (e) => this.kill(e.currentTarget));
  }

  async kill(button) {
    button.disabled = true;
    try { await this.call("kill-runner", {}); } finally { button.disabled = false; }
  }

  show(filter) {
    this.filter = filter;
    for (const b of document.querySelectorAll("[data-filter]")) b.setAttribute("aria-pressed", String(b.dataset.filter === filter));
    for (const node of this.list.children) node.hidden = !this.visible(node.dataset.way);
  }

  visible(way) { return this.filter === "all" || this.filter === way; }

  // toggle switches a fault on; pressing an active one heals everything, since faults are not named one by one.
  toggle(button) {
    if (button.getAttribute("aria-pressed") === "true") return this.call("faults", { heal: true });
    const kind = button.dataset.fault, times = Number(document.getElementById("fault-times").value);
    return this.call("faults", { set: { kind, times, retry_after: kind === "rate_limited" ? 2 : 0 }, delay_ms: kind === "latency" ? 2500 : 0 });
  }

  faults(list) {
    const active = new Set(list.map((f) => f.kind));
    for (const b of document.querySelectorAll("[data-fault]")) b.setAttribute("aria-pressed", String(active.has(b.dataset.fault)));
    document.getElementById("heal").disabled = list.length === 0;
    const words = { rate_limited: "429", rate_limited_bare: "429 without Retry-After", server_error: "503", lost_after: "answers get lost", latency: "slow", html: "HTML instead of JSON", token_revoked: "token revoked", bot_kicked: "bot removed" };
    return list.map((f) => (words[f.kind] || f.kind) + (f.times ? ` (${f.times} more)` : "")).join(", ");
  }

  reset(entries) {
    this.list.replaceChildren();
    for (const e of entries) this.add(e);
    document.getElementById("entries-empty").hidden = entries.length > 0;
  }

  add(e) {
    document.getElementById("entries-empty").hidden = true;
    this.list.prepend(this.entry(e));
    while (this.list.children.length > 250) this.list.lastElementChild.remove();
  }

  entry(e) {
    const toApp = ["command", "event", "interaction"].includes(e.kind);
    const way = toApp ? "in" : "out";
    const node = el("li", { class: `entry ${way} ${e.ok ? "" : "bad"}`, "data-way": way, "data-testid": "journal-entry", "data-kind": e.kind, "data-name": e.name });
    node.hidden = !this.visible(way);
    const clock = new Date(e.time).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
    const sub = toApp ? e.kind + (e.attempt ? `, retry ${e.attempt}` : "") : e.kind === "api" ? "" : e.kind;
    const details = el("details", {}, el("summary", {},
      el("span", { class: "way", title: toApp ? "to the app" : "from the app" }, toApp ? "→" : "←"),
      el("span", { class: "what" }, e.name, " ", el("small", {}, sub)), el("span", { class: "when" }, clock),
      toApp ? this.ackLine(e) : this.callLine(e)));
    details.addEventListener("toggle", () => { if (details.open && !details.querySelector(".detail")) details.append(this.detail(e)); });
    node.append(details);
    return node;
  }

  // again repeats the very same signed bytes, as a broken network would.
  again(e, times, label) {
    const button = el("button", { type: "button", "data-testid": "redeliver-" + times }, label);
    button.addEventListener("click", async () => {
      button.disabled = true;
      try { await this.call("redeliver", { id: e.id, times, parallel: times > 1 }); } catch { button.textContent = "No longer kept"; return; }
      button.disabled = false;
    });
    return button;
  }

  pill(e) {
    const text = e.ok ? String(e.status || "ok") : e.status >= 400 ? String(e.status) : e.error || String(e.status);
    return el("span", { class: "pill " + (e.ok ? "" : e.status === 429 ? "warn" : "bad") }, text);
  }

  ackLine(e) {
    const share = Math.min(100, (e.took_ms / this.ackLimit) * 100);
    const bar = el("span", { class: "ack-bar" + (e.ok ? (share > 60 ? " warn" : "") : " bad") });
    bar.style.width = share + "%";
    const text = `acknowledged in ${e.took_ms.toFixed(0)} ms of ${this.ackLimit} ms`;
    return el("span", { class: "line" }, this.pill(e), el("span", { class: "ack", title: text, "aria-label": text }, el("span", { class: "ack-track" }, bar), el("span", {}, e.took_ms.toFixed(e.took_ms < 10 ? 1 : 0) + " ms")), this.faultPill(e));
  }

  callLine(e) {
    const args = Object.entries(e.args || {}).filter(([k]) => ["channel", "text", "name", "user", "thread_ts"].includes(k)).map(([k, v]) => (k === "channel" ? "#" + names.channel(v) : k === "user" ? "@" + names.user(v) : k === "thread_ts" ? "in a thread" : v)).join("  ");
    return el("span", { class: "line" }, this.pill(e), this.faultPill(e), el("code", {}, args || (e.error && !e.status ? e.error : "")));
  }

  faultPill(e) { return e.fault && !(e.status >= 400) ? el("span", { class: "pill warn" }, e.fault.replaceAll("_", " ")) : null; }

  detail(e) {
    const box = el("div", { class: "detail" });
    const part = (title, text) => text && box.append(el("h3", {}, title), el("pre", {}, text));
    const pairs = (o) => Object.entries(o || {}).sort().map(([k, v]) => `${k}: ${v}`).join("\n");
    part("Request", e.url);
    part("Headers", pairs(e.headers));
    part("Body", prettyForm(e.body));
    part("Arguments", Object.entries(e.args || {}).sort().map(([k, v]) => `${k}: ${pretty(v)}`).join("\n"));
    part("Answer", pretty(e.answer));
    if (e.id) box.append(el("div", { class: "again" }, this.again(e, 1, "Send again"), this.again(e, 10, "10 times at once")));
    return box;
  }
}

// prettyForm indents the JSON in the lines of a form, and a body that is JSON as a whole.
function prettyForm(text) {
  if (!text || /^[[{]/.test(text)) return pretty(text);
  return text.split("\n").map((line) => { const i = line.indexOf("="); return i < 0 ? line : line.slice(0, i) + ": " + pretty(line.slice(i + 1)); }).join("\n");
}

// pretty indents JSON and leaves everything else alone.
function pretty(text) {
  if (!text || !/^[[{]/.test(text)) return text;
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}
