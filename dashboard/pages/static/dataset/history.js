/** The list of changes, with undo of each, and the trash. */

import { get } from "/static/base/api.js";
import { byId, el, format, replace } from "/static/base/dom.js";
import { notifyError } from "/static/base/notices.js";

const PAGE = 60;

/** Show the changes and the trash. */
export function openHistory() {
  const dialog = byId("history");
  if (!dialog.open) dialog.showModal();
  dialog.append(byId("notices")); // what lies outside a modal dialog is inert
  dialog.onclose = () => document.body.append(byId("notices"));
  return Promise.all([showChanges(), showTrash(0)]).catch(notifyError);
}

async function showChanges() {
  const { changes } = await get("/dataset/changes", { limit: 100 });
  const rows = changes.map(({ id, summary, time, is_undone: isUndone }) => el("li", { class: "row between" },
    el("span", { class: "name", text: summary }), el("span", { class: "muted", text: isUndone ? "undone" : format.ago(time) }),
    isUndone ? null : el("button", { class: "button", type: "button", text: "Undo", "aria-label": `Undo: ${summary}`, dataset: { command: "undo", id } })));
  replace(byId("changes"), rows.length ? rows : el("li", { class: "muted", text: "Nothing has been changed yet." }));
}

async function showTrash(offset) {
  const { total, frames } = await get("/dataset/trash", { offset, limit: PAGE });
  const shown = offset + frames.length;
  if (!offset) replace(byId("trash"));
  byId("trash").append(...frames.map(({ picture, path, reason, login }) => el("li", {},
    el("img", { src: picture, alt: path, title: path, loading: "lazy" }), el("span", { class: "name clip", text: login }), el("span", { class: "muted clip", text: reason }))));
  byId("trash-count").textContent = total ? `${format.number(shown)} of ${format.plural(total, "frame")}. Undo a change to bring its frames back.` : "The trash is empty.";
  byId("trash-more").hidden = shown >= total;
  byId("trash-more").onclick = () => showTrash(shown).catch(notifyError);
}
