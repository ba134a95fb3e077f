/** Sign in: send the token, then go where the visitor wanted to go. */

import { get, post } from "../base/api.js";
import { byId } from "../base/dom.js";

const [form, token, message] = [byId("login"), byId("token"), byId("login-error")];

/** Go to the page of `next`, if it is one of this server. */
function goOn() {
  const next = new URLSearchParams(location.search).get("next") ?? "/";
  const url = URL.canParse(next, location.origin) ? new URL(next, location.origin) : location;
  location.replace(url.origin === location.origin && url.pathname !== "/login" ? url : "/");
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  message.textContent = "";
  try {
    await post("/session", { token: token.value.trim() });
    goOn();
  } catch (error) {
    message.textContent = error.message;
    token.select();
  }
});

get("/session").then((state) => (state.signed_in || !state.token_required) && goOn());
