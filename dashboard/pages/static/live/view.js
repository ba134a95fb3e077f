/** Views: copies of the page's templates, whose elements with data-text show values. */

import { byId } from "../base/dom.js";

/** Return a copy of the template `id`, filled in. */
export function copyOf(id, values = {}) {
  const node = byId(id).content.firstElementChild.cloneNode(true);
  fillIn(node, values);
  return node;
}

/** Set the text of each element with data-text="name" to values[name]. */
export function fillIn(root, values) {
  for (const node of root.querySelectorAll("[data-text]")) {
    const text = String(values[node.dataset.text] ?? "");
    if (node.textContent !== text) node.textContent = text;
  }
}
