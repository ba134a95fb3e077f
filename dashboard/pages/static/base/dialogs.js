/** Dialogs: Esc closes them, and the focus returns. */

import { el, replace } from "./dom.js";

const MAX_LISTED = 200;

/** Show content under a title; return the dialog. `onClose(value)` gets the value of the button that closed it. */
export function show(title, content, { buttons = [closeButton("Close")], onClose } = {}) {
  const heading = el("h2", { text: title, id: `dialog-${document.querySelectorAll("dialog").length}` });
  const form = el("form", { method: "dialog", class: "stack" }, heading, content, el("div", { class: "row end" }, buttons));
  const dialog = el("dialog", { aria: { labelledby: heading.id } }, form);
  const before = document.activeElement;
  dialog.onclose = () => {
    dialog.remove();
    before?.focus?.();
    onClose?.(dialog.returnValue);
  };
  dialog.onclick = (event) => {
    if (event.target === dialog) dialog.close("");
  };
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

function closeButton(text) {
  const button = el("button", { class: "button", type: "button", text });
  button.onclick = () => button.closest("dialog").close("");
  return button;
}

/** Show content with a button for `action`; resolve to whether the user took it. Enter in a field takes it too. */
function decide(title, content, action, names) {
  return new Promise((resolve) => {
    const button = el("button", { class: `button ${names}`, value: "yes", text: action });
    const dialog = show(title, content, { buttons: [closeButton("Cancel"), button], onClose: (value) => resolve(value === "yes") });
    (dialog.querySelector("input") ?? button).focus();
  });
}

/** Ask whether to do what cannot be undone; resolve to true or false. */
export const confirm = (text, action) => decide(action, el("p", { text }), action, "danger");

/** Ask for a line of text; resolve to it, or to null. */
export async function ask(title, { label, action }) {
  const input = el("input", { maxlength: 200, required: true });
  const isTaken = await decide(title, el("label", { class: "field" }, el("span", { text: label }), input), action, "primary");
  return (isTaken && input.value.trim()) || null;
}

/**
 * Let the user choose one of {value, label, note?}, found by typing; resolve to its value, or to null.
 * allowNew: text of the entry that appears for a name that is not listed; it resolves to {name}.
 */
export function choose(title, items, { allowNew = "" } = {}) {
  return new Promise((resolve) => {
    let chosen = null;
    let active = 0;
    let found = [];
    const input = el("input", { role: "combobox", autocomplete: "off", aria: { label: title, expanded: true, controls: "choices" } });
    const list = el("ul", { class: "choices", id: "choices", role: "listbox", aria: { label: title } });
    const buttons = [closeButton("Cancel")];
    const dialog = show(title, el("div", { class: "stack" }, input, list), { buttons, onClose: () => resolve(chosen) });
    const pick = (item) => {
      chosen = item.value;
      dialog.close("");
    };
    const mark = (index) => {
      active = Math.max(0, Math.min(index, found.length - 1));
      [...list.children].forEach((option, at) => option.setAttribute("aria-selected", at === active));
      input.setAttribute("aria-activedescendant", found.length ? `choice-${active}` : "");
      list.children[active]?.scrollIntoView({ block: "nearest" });
    };
    input.oninput = () => {
      const name = input.value.trim();
      const text = name.toLowerCase();
      found = items.filter(({ label }) => label.toLowerCase().includes(text)).slice(0, MAX_LISTED);
      const isNew = allowNew && name && !items.some(({ label }) => label.toLowerCase() === text);
      if (isNew) found.push({ value: { name }, label: `${allowNew} “${name}”` });
      replace(list, found.map((item, index) =>
        el("li", { id: `choice-${index}`, role: "option", on: { click: () => pick(item) } },
          el("span", { text: item.label }), item.note && el("span", { class: "muted", text: item.note }))));
      mark(0);
    };
    input.onkeydown = (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step) mark(active + step);
      else if (event.key !== "Enter") return;
      else if (found[active]) pick(found[active]);
      event.preventDefault();
    };
    input.oninput();
    input.focus();
  });
}
