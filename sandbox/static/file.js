"use strict";
// Files of a message: a head with a download, and what can be shown of the contents. Contents are fetched once.
const contents = new Map();

// PREVIEW is how many lines of a text are shown before somebody asks for all, and PREVIEW_LIMIT how large a text may be, in bytes.
const PREVIEW = 8, PREVIEW_LIMIT = 512 * 1024;
const fileAddress = (f) => "/sandbox/files/" + encodeURIComponent(f.id);

// contentOf is the text of a file, or nothing when the sandbox no longer has it.
function contentOf(f) {
  if (!contents.has(f.id)) contents.set(f.id, fetch(fileAddress(f)).then((a) => (a.ok ? a.text() : null)).catch(() => null));
  return contents.get(f.id);
}

function fileSize(n) { return n < 1024 ? n + " bytes" : n < 1024 * 1024 ? (n / 1024).toFixed(1) + " KB" : (n / 1024 / 1024).toFixed(1) + " MB"; }

function fileBox(f) {
  const box = el("div", { class: "file", "data-testid": "file" },
    el("div", { class: "file-head" }, el("span", { "aria-hidden": "true" }, "📄"), el("b", {}, f.title || f.name), el("small", {}, [f.filetype, fileSize(f.size)].filter(Boolean).join(" · ")),
      el("a", { href: fileAddress(f), download: f.name, "data-testid": "file-download" }, "Download")));
  if (f.mimetype?.startsWith("image/")) box.append(el("img", { src: fileAddress(f), alt: f.title || f.name, loading: "lazy" }));
  else if (f.mimetype?.startsWith("text/") && f.size <= PREVIEW_LIMIT) box.append(textPreview(f));
  return box;
}

function textPreview(f) {
  const pre = el("pre", { "data-testid": "file-preview" }, "…"), more = el("button", { type: "button", class: "replies", hidden: true }, "Show all");
  contentOf(f).then((text) => {
    if (text === null) { pre.replaceWith(el("small", {}, "The sandbox was restarted and no longer has it.")); return; }
    const lines = text.replace(/\n$/, "").split("\n");
    const box = pre.closest(".timeline"), atEnd = box && box.scrollHeight - box.scrollTop - box.clientHeight < 60;
    pre.textContent = lines.slice(0, PREVIEW).join("\n");
    more.hidden = lines.length <= PREVIEW;
    if (atEnd) box.scrollTop = box.scrollHeight; // who read to the end stays there
    more.textContent = `Show all ${lines.length} lines`;
    more.addEventListener("click", () => { pre.textContent = text; more.hidden = true; });
  });
  return el("div", { class: "file-body" }, pre, more);
}
