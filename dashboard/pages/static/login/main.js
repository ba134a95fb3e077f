/** Sign in: sends the token, then goes where the visitor wanted to go. */

import { get, post } from "../base/api.js";
import { byId } from "../base/dom.js";

const form = byId("login");
const token = byId("token");
const message = byId("login-error");

/** Go on to the page of `next`, which must be one of this server. */
function goOn() {
  let target = "/";
  try {
    const next = new URL(new URLSearchParams(location.search).get("next") ?? "/", location.origin);
    if (next.origin === location.origin && next.pathname !== "/login") target = next.pathname + next.search;
  } catch {
    // an address that cannot be read: the first page
  }
  location.replace(target.startsWith("//") ? "/" : target);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  message.textContent = "";
  try {
    await post("/session", { token: token.value.trim() });
    goOn();
  } catch (error) {
    message.textContent = error.status === 403 ? "The page was out of date: it is loaded again." : error.message;
    if (error.status === 403) location.reload();
    token.select();
  } finally {
    button.disabled = false;
  }
});

get("/session").then((state) => (state.signed_in || !state.token_required) && goOn(), () => {});
