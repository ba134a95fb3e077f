/** Views: copies of the page's templates, whose elements with data-text="name" show values[name]. */

import { byId } from "../base/dom.js";
import { notifyError } from "../base/notices.js";

/** Return a copy of the template `id`, filled in. */
export function copyOf(id, values = {}) {
  const node = byId(id).content.firstElementChild.cloneNode(true);
  fillIn(node, values);
  return node;
}

/** Set the texts, the values of meters, and the address of links: values.url. */
export function fillIn(root, values) {
  for (const node of root.querySelectorAll("[data-text]")) {
    const value = String(values[node.dataset.text] || "");
    const property = node.localName === "meter" ? "value" : "textContent";
    if (node[property] !== value) node[property] = value;
    if (node.localName === "a") values.url ? (node.href = values.url) : node.removeAttribute("href");
  }
}

// A request failed that nothing else waits for.
onunhandledrejection = (event) => {
  if (event.reason.status === undefined) return;
  event.preventDefault();
  notifyError(event.reason);
};
