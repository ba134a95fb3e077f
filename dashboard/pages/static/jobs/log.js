/** Log of one job: its last lines, followed while the job writes. */

import { get } from "../base/api.js";
import { byId } from "../base/dom.js";

const LIMIT = 256000; // bytes
const MAX_SHOWN = 1000000; // characters
const pre = byId("log");
const follow = byId("follow");

let shown = "";
let next = null; // what is shown ends there, in bytes
let isReading = false;

/** Show the log of a job: what is new since the last call, unless the log is paused. Raises ApiError. */
export async function showLog({ id, ended }) {
  if (shown !== id) [shown, next, pre.textContent, follow.ariaPressed] = [id, null, "", "true"];
  const isFollowing = follow.ariaPressed === "true";
  follow.hidden = ended && isFollowing;
  if (isReading || !isFollowing) return;
  isReading = true;
  try {
    const part = await get(`/jobs/${id}/log`, { offset: next, limit: LIMIT });
    if (shown !== id) return;
    next = part.next;
    if (!part.text) return;
    pre.append(part.text);
    if (pre.textContent.length > MAX_SHOWN) pre.textContent = pre.textContent.slice(-MAX_SHOWN / 2);
    pre.scrollTop = pre.scrollHeight;
  } finally {
    isReading = false;
  }
}

follow.onclick = () => (follow.ariaPressed = follow.ariaPressed !== "true");
