/** The list of changes, with undo of each, and the trash. */

import { get } from "/static/base/api.js";
import { byId, el, format, replace } from "/static/base/dom.js";
import { notifyError } from "/static/base/notices.js";

/** Show the latest changes, and what they brought to the trash. */
export async function openHistory() {
  const dialog = byId("history");
  if (!dialog.open) dialog.showModal();
  dialog.append(byId("notices")); // what lies outside a modal dialog is inert
  dialog.onclose = () => document.body.append(byId("notices"));
  try {
    const [{ changes }, { total, frames }] = await Promise.all([get("/dataset/changes", { limit: 100 }), get("/dataset/trash", { limit: 500 })]);
    replace(byId("changes"), changes.length ? changes.map(toRow) : el("li", { class: "muted", text: "Nothing has been changed yet." }));
    replace(byId("trash"), frames.map(({ picture, path, reason, login }) => el("li", {}, el("img", { src: picture, alt: path, title: path, loading: "lazy" }),
      el("span", { class: "name clip", text: login }), el("span", { class: "muted clip", text: reason }))));
    const shown = total > frames.length ? `The latest ${frames.length} of ` : "";
    byId("trash-count").textContent = total ? `${shown}${format.plural(total, "frame")}. Undo a change to bring its frames back.` : "The trash is empty.";
  } catch (error) {
    notifyError(error);
  }
}

function toRow({ id, summary, time, is_undone: isUndone }) {
  const button = { class: "button", type: "button", text: "Undo", "aria-label": `Undo: ${summary}`, dataset: { command: "undo", id } };
  return el("li", { class: "row between" }, el("span", { class: "name", text: summary }),
    el("span", { class: "muted", text: isUndone ? "undone" : format.ago(time) }), isUndone || el("button", button));
}
