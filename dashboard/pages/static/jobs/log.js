/** Log of one job: its last lines, followed while the job writes; earlier ones on demand. */

import { get } from "../base/api.js";
import { byId } from "../base/dom.js";
import { notifyError } from "../base/notices.js";

const WINDOW = 64000; // bytes of one request
const MAX_SHOWN = 1000000; // characters
const pre = byId("log");
const follow = byId("follow");
const isFollowing = () => follow.ariaPressed === "true";

let shown = ""; // id of the job
let first = 0; // what is shown begins and ends there, in bytes
let next = null;
let isReading = false;

/** Show the log of a job: what is new since the last call, unless the log is paused. */
export async function showLog({ id, ended }) {
  if (shown !== id) {
    [shown, next, pre.textContent, follow.ariaPressed] = [id, null, "", "true"];
  }
  follow.hidden = Boolean(ended) && isFollowing();
  if (isReading || !isFollowing()) return;
  isReading = true;
  try {
    const part = await get(`/jobs/${id}/log`, { offset: next, limit: WINDOW });
    if (shown === id) append(part);
  } catch (error) {
    if (error.status) notifyError(error);
  }
  isReading = false;
  if (shown !== id) showLog({ id: shown });
}

function append(part) {
  if (next === null) setFirst(part.offset);
  next = part.next;
  if (!part.text) return;
  pre.append(part.text);
  if (pre.textContent.length > MAX_SHOWN) pre.textContent = pre.textContent.slice(-MAX_SHOWN / 2);
  pre.scrollTop = pre.scrollHeight;
}

function setFirst(offset) {
  first = offset;
  byId("earlier").hidden = offset === 0;
}

byId("earlier").addEventListener("click", async () => {
  try {
    const offset = Math.max(0, first - WINDOW);
    const part = await get(`/jobs/${shown}/log`, { offset, limit: first - offset });
    pre.prepend(part.text);
    setFirst(offset);
  } catch (error) {
    notifyError(error);
  }
});
follow.addEventListener("click", () => (follow.ariaPressed = !isFollowing()));
