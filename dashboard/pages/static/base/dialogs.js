/** Dialogs, each in a <dialog> element: Esc closes them, and the focus returns. */

import { el, replace } from "./dom.js";

const MAX_LISTED = 200;

/** Show content under a title; return the dialog. `onClose(value)` gets the dialog's return value. */
export function show(title, content, { buttons = [closeButton("Close")], onClose, wide = false } = {}) {
  const heading = el("h2", { text: title, id: `dialog-${document.querySelectorAll("dialog").length}` });
  const form = el("form", { method: "dialog", class: "stack" }, heading, content, el("div", { class: "row end" }, buttons));
  const dialog = el("dialog", { class: wide ? "wide" : null, aria: { labelledby: heading.id } }, form);
  const before = document.activeElement;
  dialog.addEventListener("close", () => {
    dialog.remove();
    before?.focus?.();
    onClose?.(dialog.returnValue);
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close(""));
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Return a button that closes its dialog with a value. */
export function closeButton(text, value = "", names = "") {
  return el("button", { class: `button ${names}`, value, text });
}

/** Ask whether to do something; resolve to true or false. `danger` marks what cannot be undone. */
export function confirm(text, { action = "OK", danger = false } = {}) {
  return new Promise((resolve) => {
    const buttons = [closeButton("Cancel"), closeButton(action, "yes", danger ? "danger" : "primary")];
    show(action, el("p", { text }), { buttons, onClose: (value) => resolve(value === "yes") });
    document.querySelector("dialog:last-of-type button[value=yes]").focus();
  });
}

/** Ask for a line of text; resolve to it, or to null. */
export function ask(title, { label = "Name", value = "", action = "OK" } = {}) {
  return new Promise((resolve) => {
    const input = el("input", { type: "text", value, maxlength: 200, required: true });
    const field = el("label", { class: "field" }, el("span", { text: label }), input);
    const buttons = [closeButton("Cancel", "", "quiet"), closeButton(action, "yes", "primary")];
    buttons[0].formNoValidate = true;
    show(title, field, { buttons, onClose: (answer) => resolve(answer === "yes" ? input.value.trim() || null : null) });
    input.focus();
  });
}

/**
 * Let the user choose one of {value, label, note?}, found by typing; resolve to its value, or to null.
 * allowNew: text of the entry that appears for a name that is not listed; it resolves to {name}.
 */
export function choose(title, items, { allowNew = "" } = {}) {
  return new Promise((resolve) => {
    let chosen = null;
    let active = 0;
    const input = el("input", { type: "text", role: "combobox", autocomplete: "off", "aria-expanded": "true", "aria-controls": "choices", aria: { label: title } });
    const list = el("ul", { class: "choices", id: "choices", role: "listbox", aria: { label: title } });
    const dialog = show(title, el("div", { class: "stack" }, input, list), { buttons: [closeButton("Cancel")], onClose: () => resolve(chosen) });
    const pick = (item) => {
      chosen = item.value;
      dialog.close("");
    };
    const options = () => [...list.children];
    const mark = (index) => {
      active = Math.max(0, Math.min(index, list.children.length - 1));
      options().forEach((option, at) => option.setAttribute("aria-selected", at === active));
      input.setAttribute("aria-activedescendant", options()[active]?.id ?? "");
      options()[active]?.scrollIntoView({ block: "nearest" });
    };
    let found = [];
    const filter = () => {
      const text = input.value.trim();
      const lower = text.toLowerCase();
      found = items.filter(({ label }) => label.toLowerCase().includes(lower)).slice(0, MAX_LISTED);
      const isListed = items.some(({ label }) => label.toLowerCase() === lower);
      if (allowNew && text && !isListed) found.push({ value: { name: text }, label: `${allowNew} “${text}”` });
      replace(list, found.map((item, index) =>
        el("li", { id: `choice-${index}`, role: "option", on: { click: () => pick(item) } },
          el("span", { text: item.label }), item.note ? el("span", { class: "muted", text: item.note }) : null)));
      mark(0);
    };
    input.addEventListener("input", filter);
    input.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step) mark(active + step);
      else if (event.key === "Enter" && found[active]) pick(found[active]);
      if (step || event.key === "Enter") event.preventDefault();
    });
    filter();
    input.focus();
  });
}
