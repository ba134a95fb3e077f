/** Notices: short messages in a corner, which a screen reader reads too. */

import { byId, el } from "./dom.js";

const MAX_SHOWN = 4;

/** Show a message for some seconds, longer under the mouse; errors stay. action: {label, run}. Return what closes it. */
export function notify(text, { kind = "info", action } = {}) {
  const close = () => notice.remove();
  const button = (label, run) => el("button", { class: "button quiet", type: "button", text: label, on: { click: run } });
  const notice = el("div", { class: `notice ${kind}` }, el("span", { text }),
    action ? button(action.label, () => (close(), action.run())) : null, button("Dismiss", close));
  const area = byId("notices");
  area.append(notice);
  while (area.children.length > MAX_SHOWN) area.firstChild.remove();
  const shownMs = action ? 15000 : 6000;
  const wait = () => setTimeout(() => (notice.matches(":hover, :focus-within") ? wait() : close()), shownMs);
  if (kind !== "error") wait();
  return close;
}

/** Show an error of the API, unless the request was given up. */
export function notifyError(error) {
  if (error.name !== "AbortError") notify(error.detail ?? String(error), { kind: "error" });
}
