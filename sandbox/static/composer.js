"use strict";
// The composer: Enter sends, Shift+Enter breaks the line, Tab completes commands, @people and #channels.
class Composer {
  // options: host, testid, label(), send(text) → error text or nothing, candidates(kind) → [{insert, name, usage, help}], hints() → sentences
  constructor(options) {
    this.o = options;
    this.items = [];
    this.chosen = 0;
    this.past = [];
    this.area = el("textarea", { id: options.id, rows: 1, "data-testid": options.testid, role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": options.id + "-list", autocomplete: "off", spellcheck: "false" });
    this.list = el("ul", { class: "suggestions", id: options.id + "-list", role: "listbox", hidden: true, "data-testid": options.testid + "-suggestions" });
    this.button = el("button", { type: "button", class: "send", "data-testid": options.testid + "-send", onclick: () => this.submit() }, "Send");
    this.note = el("div", { class: "note", role: "status" });
    this.tries = el("div", { class: "tries", "data-testid": options.testid + "-hints" });
    options.host.append(this.list, el("div", { class: "composer-field" }, this.area, this.button), el("div", { class: "below" }, this.note, this.tries));
    this.area.addEventListener("keydown", (e) => this.key(e));
    this.area.addEventListener("input", () => this.changed());
    this.area.addEventListener("blur", () => setTimeout(() => this.close(), 120));
    this.refresh();
  }

  refresh() {
    const { label, disabled } = this.o.label();
    this.area.placeholder = label;
    this.area.setAttribute("aria-label", label);
    this.area.disabled = Boolean(disabled);
    const hints = disabled || !this.o.hints ? [] : this.o.hints();
    this.tries.replaceChildren(...(hints.length ? ["Try "] : []), ...hints.map((text) => el("button", { type: "button", class: "try", title: "Write this into the composer", onclick: () => this.set(text) }, text)));
    this.changed();
  }

  set(text) { this.area.value = text; this.changed(); this.area.focus(); this.area.setSelectionRange(text.length, text.length); }

  hint() {
    this.note.className = "note";
    this.note.replaceChildren(el("kbd", {}, "Enter"), " sends  ", el("kbd", {}, "Tab"), " completes");
    if (this.o.commands) this.note.append("  ", el("kbd", {}, "/"), " commands");
  }

  complain(text) { this.note.className = "note bad"; this.note.textContent = text; }

  changed() {
    this.area.style.height = "auto";
    this.area.style.height = Math.min(this.area.scrollHeight, 180) + "px";
    this.button.disabled = this.area.disabled || !this.area.value.trim();
    this.hint();
    this.suggest();
  }

  // word is what is being completed: the text before the caret back to its sign.
  word() {
    const before = this.area.value.slice(0, this.area.selectionStart);
    const m = /^(\/\S*)$/.exec(before) || /(?:^|\s)([@#][\w.-]*)$/.exec(before);
    return m ? m[1] : "";
  }

  suggest() {
    const word = this.word().toLowerCase();
    this.items = word ? this.o.candidates(word[0]).filter((c) => c.insert.toLowerCase().startsWith(word)).slice(0, 8) : [];
    if (this.items.length === 1 && this.items[0].insert.toLowerCase() === word && word[0] !== "/") this.items = [];
    this.chosen = 0;
    this.draw();
  }

  draw() {
    const open = this.items.length > 0;
    this.list.hidden = !open;
    this.area.setAttribute("aria-expanded", String(open));
    this.list.replaceChildren(...this.items.map((c, i) => {
      const node = el("li", { role: "option", id: `${this.o.id}-option-${i}`, "aria-selected": String(i === this.chosen) }, el("b", {}, c.insert), c.usage ? el("code", {}, c.usage) : null, c.help ? el("span", {}, c.help) : null);
      node.addEventListener("mousedown", (e) => { e.preventDefault(); this.chosen = i; this.complete(); });
      return node;
    }));
    if (open) this.area.setAttribute("aria-activedescendant", `${this.o.id}-option-${this.chosen}`);
    else this.area.removeAttribute("aria-activedescendant");
  }

  close() { this.items = []; this.draw(); }

  complete() {
    const word = this.word(), end = this.area.selectionStart, text = this.items[this.chosen].insert + " ";
    this.area.setRangeText(text, end - word.length, end, "end");
    this.close();
    this.area.focus();
    this.changed();
  }

  key(e) {
    const open = this.items.length > 0;
    if (e.isComposing) return;
    if (open && (e.key === "ArrowDown" || e.key === "ArrowUp")) {
      e.preventDefault();
      this.chosen = (this.chosen + (e.key === "ArrowDown" ? 1 : this.items.length - 1)) % this.items.length;
      this.draw();
    } else if (open && e.key === "Tab" && !e.shiftKey) { e.preventDefault(); this.complete(); }
    else if (open && e.key === "Escape") { e.preventDefault(); this.close(); }
    else if (e.key === "ArrowUp" && !this.area.value && this.past.length) { e.preventDefault(); this.set(this.past.at(-1)); }
    else if (e.key === "Enter" && !e.shiftKey) { e.preventDefault(); this.submit(); }
  }

  async submit() {
    const text = this.area.value.trim();
    if (!text || this.area.disabled) return;
    this.past.push(text);
    this.area.value = "";
    this.changed();
    this.close();
    const problem = await this.o.send(text);
    if (problem) this.complain(problem);
  }
}
