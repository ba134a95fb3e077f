/** Keyboard shortcuts of the page, and the list of them. */

import { el } from "./dom.js";
import { show } from "./dialogs.js";

const bindings = [];
const NAMES = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc" };

/**
 * Add shortcuts: [{key, label, run(event), when?(event)}]. `key` is that of KeyboardEvent, or "Shift+…", "Ctrl+…".
 * scope: the dialog in which they work; null: they work while none is open.
 */
export function bindKeys(added, { scope = null } = {}) {
  bindings.push(...added.map((binding) => ({ ...binding, scope })));
  scope?.addEventListener("close", () => {
    for (let at = bindings.length - 1; at >= 0; at -= 1) if (bindings[at].scope === scope) bindings.splice(at, 1);
  });
}

/** Show the list of shortcuts. */
export function showKeys() {
  const rows = bindings.filter(({ label }) => label).map(({ key, label }) =>
    el("div", {}, el("dt", {}, el("kbd", { text: NAMES[key] ?? key })), el("dd", { text: label })));
  show("Keyboard shortcuts", el("dl", { class: "keys" }, rows));
}

document.addEventListener("keydown", (event) => {
  const { key: pressed, shiftKey, target } = event;
  const isTyping = target.matches?.("input:not([type=checkbox]):not([type=radio]), textarea, select");
  if (event.defaultPrevented || event.altKey || isTyping) return;
  const shift = shiftKey && (pressed.length > 1 || pressed === " ") ? "Shift+" : ""; // "?" needs Shift anyway
  const name = (event.ctrlKey || event.metaKey ? "Ctrl+" : "") + shift + pressed;
  const dialog = [...document.querySelectorAll("dialog[open]")].at(-1) ?? null;
  const found = bindings.find(({ key, when, scope }) => key === name && scope === dialog && (!when || when(event)));
  if (!found) return;
  // A focused button or link takes its own keys.
  if ((name === "Enter" || name === " ") && target.closest?.("a, button, summary")) return;
  event.preventDefault();
  found.run(event);
});

bindKeys([{ key: "?", label: "show this list", run: showKeys }]);
