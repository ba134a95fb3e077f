/** Keyboard shortcuts of the page, and the list of them. */

import { el } from "./dom.js";
import { show } from "./dialogs.js";

const bindings = [];
const NAMES = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc" };

/** Add shortcuts: [{key, label, run(event), when?()}]. `key` is that of KeyboardEvent, or "Shift+…", "Ctrl+…". */
export function bindKeys(added) {
  bindings.push(...added);
}

/** Show the list of shortcuts. */
export function showKeys() {
  const rows = bindings.filter(({ label }) => label).map(({ key, label }) =>
    el("div", {}, el("dt", {}, el("kbd", { text: NAMES[key] ?? key })), el("dd", { text: label })));
  show("Keyboard shortcuts", el("dl", { class: "keys" }, rows));
}

function pressed(event) {
  const shift = event.shiftKey && (event.key.length > 1 || event.key === " ") ? "Shift+" : "";
  return `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${shift}${event.key}`;
}

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches?.("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]");
  if (event.defaultPrevented || event.altKey || isTyping || document.querySelector("dialog[open]:not([data-keys])")) return;
  const name = pressed(event);
  const found = bindings.find(({ key, when }) => key === name && (!when || when(event)));
  if (!found) return;
  // A focused button or link takes its own keys.
  if ((name === "Enter" || name === " ") && event.target.closest?.("a, button, summary")) return;
  event.preventDefault();
  found.run(event);
});

bindKeys([{ key: "?", label: "show this list", run: showKeys }]);
